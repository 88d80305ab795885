"""The receipt of a run: one file that anybody can check years later without a network.

It carries the enclave's claims (what was computed, on which datasets, for whom, what was suppressed and why),
an attestation document whose `user_data` is the digest of exactly these claims, and the agreement with its
approvals, so that the file explains itself. Checking it is the party client's `receipt verify`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from protos.formats import limits
from protos.formats.budget import WINDOWS, Charge
from protos.formats.canonical import (
    Value,
    decode_map_untrusted,
    digest,
    encode,
    require_bytes,
    require_fields,
    require_int,
    require_list,
    require_text,
)
from protos.formats.errors import FormatError
from protos.formats.identifiers import (
    DIGEST_BYTES,
    ENCLAVE_ID_BYTES,
    RUN_ID_BYTES,
    UPLOAD_ID_BYTES,
    require_slug,
)
from protos.formats.privacy_loss import PrivacyCharge
from protos.formats.query import ParameterValue
from protos.formats.run_request import require_parameters_untrusted

RECEIPT_LABEL: Final = "concordat/receipt/v1"
CLAIMS_LABEL: Final = "concordat/claims/v1"
CLAIMS_MAX_BYTES: Final = 64 * limits.KIB
_BUCKET: Final = re.compile(r"0|10*")


@dataclass(frozen=True)
class UsedDataset:
    """A dataset that counted: its slot, its owner, and the digest of the manifest the owner signed."""

    dataset: str
    party: str
    upload_id: bytes
    manifest_digest: bytes

    def to_value(self) -> Value:
        """The dataset as it stands in the claims."""
        return {
            "dataset": self.dataset,
            "party": self.party,
            "upload": self.upload_id,
            "manifest": self.manifest_digest,
        }

    @classmethod
    def from_value_untrusted(cls, value: Value) -> UsedDataset:
        """Inverse of `to_value`."""
        fields = require_fields(
            value, frozenset({"dataset", "party", "upload", "manifest"}), what="used dataset"
        )
        return cls(
            dataset=require_slug(fields["dataset"], what="dataset"),
            party=require_slug(fields["party"], what="party"),
            upload_id=require_bytes(fields["upload"], what="upload id", length=UPLOAD_ID_BYTES),
            manifest_digest=require_bytes(fields["manifest"], what="manifest digest", length=DIGEST_BYTES),
        )


@dataclass(frozen=True)
class Suppression:
    """How much was held back under one rule. Counts are rounded up to a bucket, never exact."""

    rule: str
    """For people: "fewer than 20 distinct tailnum of airline"."""
    groups_at_most: int | None
    """A power of ten, which may stand for nothing as well, or 0 for nothing that the result does not show.
    None, with noise: not told."""

    def __post_init__(self) -> None:
        require_text(self.rule, what="rule", max_characters=limits.TEXT_MAX_CHARACTERS)
        if self.groups_at_most is None:
            return
        require_int(self.groups_at_most, what="groups_at_most")
        if not _BUCKET.fullmatch(str(self.groups_at_most)):
            raise FormatError("groups_at_most: expected 0 or a power of ten, an exact count says too much")

    def to_value(self) -> Value:
        """The note as it stands in the claims."""
        return {"rule": self.rule, "groups_at_most": self.groups_at_most}

    @classmethod
    def from_value_untrusted(cls, value: Value) -> Suppression:
        """Inverse of `to_value`."""
        fields = require_fields(value, frozenset({"rule", "groups_at_most"}), what="suppression")
        return cls(**fields)


@dataclass(frozen=True)
class Claims:
    """What the enclave says about one run. Everything in it is the enclave's word, attested by the NSM."""

    agreement_digest: bytes
    enclave_id: bytes
    run_id: bytes
    query: str
    query_digest: bytes
    parameters: Mapping[str, ParameterValue]
    requested_by: str
    receivers: tuple[str, ...]
    datasets: tuple[UsedDataset, ...]
    suppressed: tuple[Suppression, ...]
    result_digest: bytes
    sequence: int
    """Place in the enclave's ledger: 1, 2, 3, …; where the agreement has `state`, events count as well."""
    previous: bytes
    """Head of the ledger before, zeros before its first entry; after a release it is the claims' digest."""
    runs_left: int
    """Runs of this query that remain after this one in this enclave life, if time lets them."""
    budget: tuple[Charge, ...]
    """What this run took, window by window; in the order of `budget.WINDOWS`."""
    privacy: tuple[PrivacyCharge, ...] = ()
    """What it cost the privacy budgets of owners, in the order of the agreement; empty without noise."""

    def encode(self) -> bytes:
        """Canonical bytes; `binding.receipt_user_data` is over them."""
        return encode(
            {
                "label": CLAIMS_LABEL,
                "agreement": self.agreement_digest,
                "enclave": self.enclave_id,
                "run": self.run_id,
                "query": self.query,
                "query_digest": self.query_digest,
                "parameters": dict(self.parameters),
                "requested_by": self.requested_by,
                "receivers": list(self.receivers),
                "datasets": [used.to_value() for used in self.datasets],
                "suppressed": [item.to_value() for item in self.suppressed],
                "result_digest": self.result_digest,
                "sequence": self.sequence,
                "previous": self.previous,
                "runs_left": self.runs_left,
                "budget": [charge.to_value() for charge in self.budget],
                "privacy": [charge.to_value() for charge in self.privacy],
            }
        )

    def head(self) -> bytes:
        """Head of the ledger after them."""
        return digest(CLAIMS_LABEL, self.encode())

    @classmethod
    def decode_untrusted(cls, data: bytes) -> Claims:
        """Parse claims; they are true only under a verified attestation document."""
        fields = decode_map_untrusted(data, label=CLAIMS_LABEL, keys=_CLAIM_KEYS, max_bytes=CLAIMS_MAX_BYTES)
        receivers = require_list(
            fields["receivers"], what="receivers", max_items=limits.PARTIES_MAX, min_items=1
        )
        datasets = require_list(
            fields["datasets"], what="datasets", max_items=limits.DATASETS_MAX, min_items=1
        )
        budget = require_list(fields["budget"], what="budget", max_items=len(WINDOWS), min_items=1)
        privacy = require_list(fields["privacy"], what="privacy", max_items=limits.PARTIES_MAX)
        suppressed = require_list(fields["suppressed"], what="suppressed", max_items=limits.DATASETS_MAX)
        return cls(
            agreement_digest=require_bytes(fields["agreement"], what="agreement digest", length=DIGEST_BYTES),
            enclave_id=require_bytes(fields["enclave"], what="enclave id", length=ENCLAVE_ID_BYTES),
            run_id=require_bytes(fields["run"], what="run id", length=RUN_ID_BYTES),
            query=require_slug(fields["query"], what="query"),
            query_digest=require_bytes(fields["query_digest"], what="query digest", length=DIGEST_BYTES),
            parameters=require_parameters_untrusted(fields["parameters"]),
            requested_by=require_slug(fields["requested_by"], what="requested_by"),
            receivers=tuple(require_slug(item, what="receiver") for item in receivers),
            datasets=tuple(map(UsedDataset.from_value_untrusted, datasets)),
            suppressed=tuple(map(Suppression.from_value_untrusted, suppressed)),
            result_digest=require_bytes(fields["result_digest"], what="result digest", length=DIGEST_BYTES),
            sequence=require_int(fields["sequence"], what="sequence", low=1),
            previous=require_bytes(fields["previous"], what="previous", length=DIGEST_BYTES),
            runs_left=require_int(fields["runs_left"], what="runs_left"),
            budget=tuple(map(Charge.from_value_untrusted, budget)),
            privacy=tuple(map(PrivacyCharge.from_value_untrusted, privacy)),
        )


@dataclass(frozen=True)
class Receipt:
    """The file. All parts are kept as the bytes they arrived in."""

    claims: bytes
    attestation: bytes
    agreement: bytes
    approvals: tuple[bytes, ...]

    def encode(self) -> bytes:
        """Canonical bytes: the receipt file."""
        return encode(
            {
                "label": RECEIPT_LABEL,
                "claims": self.claims,
                "attestation": self.attestation,
                "agreement": self.agreement,
                "approvals": list(self.approvals),
            }
        )

    @classmethod
    def decode_untrusted(cls, data: bytes) -> Receipt:
        """Parse a receipt file; verify it before believing any of it."""
        fields = decode_map_untrusted(
            data,
            label=RECEIPT_LABEL,
            keys=frozenset({"claims", "attestation", "agreement", "approvals"}),
            max_bytes=limits.RECEIPT_MAX_BYTES,
        )
        approvals = require_list(
            fields["approvals"], what="approvals", max_items=limits.PARTIES_MAX, min_items=1
        )
        return cls(
            claims=require_bytes(fields["claims"], what="claims", max_length=CLAIMS_MAX_BYTES),
            attestation=require_bytes(
                fields["attestation"], what="attestation", max_length=limits.ATTESTATION_DOCUMENT_MAX_BYTES
            ),
            agreement=require_bytes(
                fields["agreement"], what="agreement", max_length=limits.AGREEMENT_MAX_BYTES
            ),
            approvals=tuple(
                require_bytes(item, what="approval", max_length=limits.APPROVAL_MAX_BYTES)
                for item in approvals
            ),
        )


_CLAIM_KEYS: Final = frozenset(
    {
        *("agreement", "enclave", "run", "query", "query_digest", "parameters", "requested_by", "receivers"),
        *("datasets", "suppressed", "result_digest", "sequence", "previous", "runs_left", "budget"),
        "privacy",
    }
)
