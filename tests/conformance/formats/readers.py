"""Every parser of hostile bytes in `protos.formats`, as a function from bytes to what they mean.

One table for vectors, property tests and fuzz targets, so that a format that is in one is in all of them.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from types import MappingProxyType

from enclave_compute.state.content import Content
from protos.formats import cose, limits
from protos.formats.agreement import Agreement
from protos.formats.approvals import Approval, verify_approval_untrusted
from protos.formats.binding import KeyBundle
from protos.formats.budget import BUDGET_LABEL, BUDGET_REQUEST_LABEL, Budget, BudgetRequest
from protos.formats.canonical import Value, decode_untrusted
from protos.formats.errors import FormatError
from protos.formats.frames import Frame, read_frame_untrusted
from protos.formats.key_answer import KEY_ANSWER_LABEL, KeyAnswer, PublicKeys
from protos.formats.key_use import (
    KEY_REQUEST_LABEL,
    KeyCall,
    KeyRequest,
    verify_key_approval_untrusted,
)
from protos.formats.receipt import Claims, Receipt
from protos.formats.result import SealedResult, unpad
from protos.formats.run_request import RUN_REQUEST_LABEL, RunRequest
from protos.formats.sealed import ACCEPTANCE_LABEL, HEADER_LABEL, MANIFEST_LABEL, Manifest, SealedHeader
from protos.formats.state import (
    PROPOSAL_LABEL,
    STATEMENT_LABEL,
    LedgerEvent,
    StateProposal,
    StateRecord,
    StateStatement,
)
from tests.conformance.formats import sample_state, samples


def read_cbor(data: bytes) -> Value:
    return decode_untrusted(data, max_bytes=limits.MIB, what="value")


def read_approval(data: bytes) -> Approval:
    return verify_approval_untrusted(samples.agreement(), data)


def read_signed_header(data: bytes) -> bytes:
    return cose.verify_untrusted(
        data,
        typ=HEADER_LABEL,
        public_key=samples.AIRLINE.signing_key,
        max_bytes=limits.SEALED_HEADER_MAX_BYTES,
    )


def read_signed_manifest(data: bytes) -> bytes:
    return cose.verify_untrusted(
        data, typ=MANIFEST_LABEL, public_key=samples.AIRLINE.signing_key, max_bytes=limits.MANIFEST_MAX_BYTES
    )


def read_acceptance(data: bytes) -> bytes:
    return cose.verify_untrusted(
        data,
        typ=ACCEPTANCE_LABEL,
        public_key=samples.ENCLAVE.signing_key,
        max_bytes=limits.MANIFEST_MAX_BYTES,
    )


def read_signed_run_request(data: bytes) -> bytes:
    return cose.verify_untrusted(
        data,
        typ=RUN_REQUEST_LABEL,
        public_key=samples.ANALYST.signing_key,
        max_bytes=limits.RUN_REQUEST_MAX_BYTES,
    )


def read_signed_budget_request(data: bytes) -> bytes:
    return cose.verify_untrusted(
        data,
        typ=BUDGET_REQUEST_LABEL,
        public_key=samples.ANALYST.signing_key,
        max_bytes=limits.RUN_REQUEST_MAX_BYTES,
    )


def read_signed_budget(data: bytes) -> bytes:
    return cose.verify_untrusted(
        data, typ=BUDGET_LABEL, public_key=samples.ENCLAVE.signing_key, max_bytes=limits.BUDGET_MAX_BYTES
    )


def read_signed_key_request(data: bytes) -> bytes:
    return cose.verify_untrusted(
        data,
        typ=KEY_REQUEST_LABEL,
        public_key=samples.ANALYST.signing_key,
        max_bytes=limits.KEY_REQUEST_MAX_BYTES,
    )


def read_key_approval(data: bytes) -> None:
    digest = KeyRequest.decode_untrusted(samples.messages()["key-request"]).digest()
    verify_key_approval_untrusted(data, request_digest=digest, party=samples.AIRLINE.participant())


def read_signed_key_answer(data: bytes) -> bytes:
    return cose.verify_untrusted(
        data,
        typ=KEY_ANSWER_LABEL,
        public_key=samples.ENCLAVE.signing_key,
        max_bytes=limits.KEY_ANSWER_MAX_BYTES,
    )


def read_only_frame(data: bytes) -> Frame:
    """The frame that `data` is, when nothing comes after it."""
    stream = io.BytesIO(data)

    def read_exactly(count: int) -> bytes:
        got = stream.read(count)
        if len(got) != count:
            raise FormatError("the peer went away in the middle of a frame")
        return got

    frame = read_frame_untrusted(read_exactly)
    if stream.read(1):
        raise FormatError("bytes after the frame")
    return frame


def read_signed_proposal(data: bytes) -> bytes:
    key = sample_state.NEXT_ENCLAVE.signing_key
    return cose.verify_untrusted(
        data, typ=PROPOSAL_LABEL, public_key=key, max_bytes=limits.STATE_STATEMENT_MAX_BYTES
    )


def read_signed_statement(data: bytes) -> bytes:
    key = samples.AIRLINE.signing_key
    return cose.verify_untrusted(
        data, typ=STATEMENT_LABEL, public_key=key, max_bytes=limits.STATE_STATEMENT_MAX_BYTES
    )


READERS: Mapping[str, Callable[[bytes], object]] = MappingProxyType(
    {
        "cbor": read_cbor,
        "agreement": Agreement.decode_untrusted,
        "approval": read_approval,
        "key-bundle": KeyBundle.decode_untrusted,
        "sealed-header": SealedHeader.decode_untrusted,
        "envelope-header": SealedHeader.decode_untrusted,
        "signed-header": read_signed_header,
        "manifest": Manifest.decode_untrusted,
        "signed-manifest": read_signed_manifest,
        "acceptance": read_acceptance,
        "run-request": RunRequest.decode_untrusted,
        "signed-run-request": read_signed_run_request,
        "sealed-result": SealedResult.decode_untrusted,
        "padded-result": unpad,
        "claims": Claims.decode_untrusted,
        "receipt": Receipt.decode_untrusted,
        "budget-request": BudgetRequest.decode_untrusted,
        "signed-budget-request": read_signed_budget_request,
        "budget": Budget.decode_untrusted,
        "signed-budget": read_signed_budget,
        "key-request": KeyRequest.decode_untrusted,
        "signed-key-request": read_signed_key_request,
        "key-approval": read_key_approval,
        "key-call": KeyCall.decode_untrusted,
        "key-answer": KeyAnswer.decode_untrusted,
        "signed-key-answer": read_signed_key_answer,
        "public-keys": PublicKeys.decode_untrusted,
        "frame": read_only_frame,
        "ledger-event": LedgerEvent.decode_untrusted,
        "state-content": Content.decode_untrusted,
        "state-record": StateRecord.decode_untrusted,
        "state-proposal": StateProposal.decode_untrusted,
        "signed-state-proposal": read_signed_proposal,
        "state-statement": StateStatement.decode_untrusted,
        "signed-state-statement": read_signed_statement,
    }
)
