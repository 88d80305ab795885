"""How a party reaches the coordinator: every call, typed, with deadlines, retries and named failures.

The coordinator is trusted by nobody: what it answers is bytes to be verified by the caller of this module.
TLS (mutual, from a folder of certificates) protects who talks with whom; without TLS only this machine is
reachable. Every call may be repeated without being carried out twice, so a coordinator that is restarting is
asked again for some seconds. Raises `TransportError` and its subclasses. Followed: protos/v1/concordat.proto.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Final, NamedTuple, TypeVar

import grpc

from party_client.addresses import is_loopback
from party_client.refusals import first_line, next_step
from protos.formats.errors import ConcordatError
from protos.formats.limits import MIB, RECEIPT_MAX_BYTES
from protos.v1 import concordat_pb2 as wire
from protos.v1 import concordat_pb2_grpc as stubs

CODE_KEY: Final = "concordat-code"
DEADLINE_S: Final = 30.0
START_DEADLINE_S: Final = 120.0
"""An enclave has to boot and to be bound."""
FINISH_DEADLINE_S: Final = 900.0
"""The coordinator first brings what is still on its disk to the enclave."""
KEY_DEADLINE_S: Final = 120.0
"""Uses take turns, and one may be of tens of thousands of identifiers."""
RETRY_PAUSES_S: Final = (0.1, 0.2, 0.4, 0.8, 1.6)
TLS_FILE_MAX_BYTES: Final = MIB
_CODE_MAX_CHARACTERS: Final = 64
_MESSAGE_MAX_BYTES: Final = RECEIPT_MAX_BYTES + MIB
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", _MESSAGE_MAX_BYTES),
    ("grpc.max_send_message_length", 4 * MIB),
    ("grpc.enable_http_proxy", 0),  # the address was given to be connected to, not a proxy's
)

_Answer = TypeVar("_Answer")


class TransportError(ConcordatError):
    """A call to the coordinator failed."""

    code: ClassVar[str] = "transport/failed"


class UnavailableError(TransportError):
    """Nobody answers at this address, or not as this caller."""

    code = "transport/unavailable"


class DeadlineError(TransportError):
    """The coordinator did not answer in time."""

    code = "transport/deadline"


class CallRefusedError(TransportError):
    """The coordinator, or the enclave behind it, said no. `refusal` is its code; the hint is our own."""

    code = "transport/refused"

    def __init__(self, message: str, *, refusal: str) -> None:
        super().__init__(message, hint=next_step(refusal))
        self.refusal: Final = refusal


class StoredAgreement(NamedTuple):
    """What the coordinator keeps under a digest; nothing of it is verified."""

    agreement: bytes
    approvals: list[bytes]


class StateProposed(NamedTuple):
    """What an enclave would take up; nothing of it is verified."""

    document: bytes
    key_bundle: bytes
    signed_proposal: bytes


class Coordinator:
    """A connection to one coordinator; a context manager. Made by `over_tls` or `in_plaintext`."""

    def __init__(self, channel: grpc.Channel, address: str) -> None:
        self.address: Final = address
        self._channel = channel
        self._stub: Any = stubs.CoordinatorStub(channel)  # type: ignore[no-untyped-call]

    @classmethod
    def over_tls(cls, address: str, folder: Path, name: str) -> Coordinator:
        """Mutual TLS as `name`, with ca.pem, NAME.pem and NAME.key.pem of `folder`."""
        ca, certificate, key = (_read(folder / file) for file in ("ca.pem", f"{name}.pem", f"{name}.key.pem"))
        credentials = grpc.ssl_channel_credentials(ca, key, certificate)
        return cls(grpc.secure_channel(address, credentials, options=_OPTIONS), address)

    @classmethod
    def in_plaintext(cls, address: str) -> Coordinator:
        """Without TLS, to this machine only. Raises `TransportError` for any other address."""
        if not is_loopback(address):
            raise TransportError(
                f"{address} is not on this machine, so it is not spoken to in plaintext",
                hint="give a folder of certificates with --tls DIR",
            )
        return cls(grpc.insecure_channel(address, options=_OPTIONS), address)

    @property
    def is_local(self) -> bool:
        """Whether it runs on this machine, where compressing costs more than it saves."""
        return is_loopback(self.address)

    def close(self) -> None:
        """Ends the connection."""
        self._channel.close()

    def __enter__(self) -> Coordinator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- Agreements --------------------------------------------------------------------------------------

    def put_agreement(self, agreement: bytes) -> bytes:
        """Pins canonical agreement bytes to the board; their digest, as the coordinator reckons it."""
        request = wire.PutAgreementRequest(request_id=_request_id(), agreement=agreement)
        return bytes(self._call("PutAgreement", request).agreement_digest)

    def put_approval(self, agreement_digest: bytes, approval: bytes) -> None:
        """Pins a signed approval to an agreement, instead of what this certificate's owner had pinned."""
        request = wire.PutApprovalRequest(
            request_id=_request_id(), agreement_digest=agreement_digest, approval=approval
        )
        self._call("PutApproval", request)

    def get_agreement(self, agreement_digest: bytes) -> StoredAgreement:
        """Whatever the coordinator keeps under this digest: recompute the digest before believing it."""
        answer = self._call("GetAgreement", wire.GetAgreementRequest(agreement_digest=agreement_digest))
        return StoredAgreement(answer.agreement, list(answer.approvals))

    def list_agreements(self) -> list[bytes]:
        """Digests of all agreements there."""
        return list(self._call("ListAgreements", wire.ListAgreementsRequest()).agreement_digests)

    # --- Jobs --------------------------------------------------------------------------------------------

    def start_job(self, agreement_digest: bytes) -> wire.Job:
        """Starts an enclave for an agreement."""
        request = wire.StartJobRequest(request_id=_request_id(), agreement_digest=agreement_digest)
        job: wire.Job = self._call("StartJob", request, deadline_s=START_DEADLINE_S)
        return job

    def get_job(self, job_id: str) -> wire.Job:
        """How a job stands, by the coordinator's word."""
        job: wire.Job = self._call("GetJob", wire.GetJobRequest(job_id=job_id))
        return job

    def list_jobs(self, agreement_digest: bytes = b"") -> list[wire.Job]:
        """All jobs, or those of one agreement."""
        return list(self._call("ListJobs", wire.ListJobsRequest(agreement_digest=agreement_digest)).jobs)

    def close_job(self, job_id: str) -> wire.Job:
        """Ends a job and its enclave."""
        request = wire.CloseJobRequest(request_id=_request_id(), job_id=job_id)
        job: wire.Job = self._call("CloseJob", request, deadline_s=START_DEADLINE_S)
        return job

    def attest(self, job_id: str, nonce: bytes) -> tuple[bytes, bytes]:
        """(attestation document, key bundle) of the job's enclave for 32 fresh bytes; to be verified."""
        answer = self._call("Attest", wire.AttestRequest(job_id=job_id, nonce=nonce))
        return answer.document, answer.key_bundle

    # --- Datasets ----------------------------------------------------------------------------------------

    def begin_upload(self, job_id: str, dataset: str, upload_id: bytes, signed_header: bytes) -> int:
        """Announces an upload, or asks where to continue it: the number of the first chunk wanted."""
        request = wire.BeginUploadRequest(
            job_id=job_id, dataset=dataset, upload_id=upload_id, signed_header=signed_header
        )
        return int(self._call("BeginUpload", request).next_chunk)

    def upload_chunks(self, chunks: Iterator[wire.Chunk]) -> ChunkCall:
        """Sends chunks while acknowledgements come back. `chunks` runs in a thread of gRPC's."""
        return ChunkCall(self._stub.UploadChunks(chunks))

    def finish_upload(self, job_id: str, upload_id: bytes, signed_manifest: bytes) -> bytes:
        """Closes an upload; the enclave's signed acceptance, to be verified."""
        request = wire.FinishUploadRequest(
            job_id=job_id, upload_id=upload_id, signed_manifest=signed_manifest
        )
        return bytes(self._call("FinishUpload", request, deadline_s=FINISH_DEADLINE_S).acceptance)

    # --- Deposits ----------------------------------------------------------------------------------------

    def begin_deposit(
        self, agreement_digest: bytes, dataset: str, upload_id: bytes, signed_header: bytes
    ) -> int:
        """Announces a dataset that is to wait for enclaves, or asks which chunk to continue it with.

        Its chunks go through `upload_chunks`, the first one with `agreement_digest` in place of a job.
        """
        request = wire.BeginUploadRequest(
            agreement_digest=agreement_digest,
            dataset=dataset,
            upload_id=upload_id,
            signed_header=signed_header,
        )
        return int(self._call("BeginUpload", request).next_chunk)

    def finish_deposit(self, agreement_digest: bytes, upload_id: bytes, signed_manifest: bytes) -> None:
        """Closes a deposit: it now stands in for the caller's earlier one. No enclave has seen it yet."""
        request = wire.FinishUploadRequest(
            agreement_digest=agreement_digest, upload_id=upload_id, signed_manifest=signed_manifest
        )
        self._call("FinishUpload", request)

    def list_deposits(self, agreement_digest: bytes) -> list[wire.Deposit]:
        """What waits there and how it fares, by the coordinator's word; acceptances are to be verified."""
        request = wire.ListDepositsRequest(agreement_digest=agreement_digest)
        return list(self._call("ListDeposits", request).deposits)

    def remove_deposit(self, agreement_digest: bytes, upload_id: bytes, *, deposited_by: str = "") -> None:
        """Has a deposit deleted: one's own, or as an operator that of another caller."""
        request = wire.RemoveDepositRequest(
            request_id=_request_id(),
            agreement_digest=agreement_digest,
            upload_id=upload_id,
            deposited_by=deposited_by,
        )
        self._call("RemoveDeposit", request)

    # --- Runs --------------------------------------------------------------------------------------------

    def request_run(self, job_id: str, run_id: bytes, signed_request: bytes) -> wire.Run:
        """Hands over a signed request; the run may still be going on when this returns."""
        request = wire.RequestRunRequest(job_id=job_id, run_id=run_id, signed_request=signed_request)
        run: wire.Run = self._call("RequestRun", request)
        return run

    def get_run(self, job_id: str, run_id: bytes) -> wire.Run:
        """How a run stands, by the coordinator's word."""
        run: wire.Run = self._call("GetRun", wire.GetRunRequest(job_id=job_id, run_id=run_id))
        return run

    def fetch_result(
        self, job_id: str, run_id: bytes, receiver: str, *, max_bytes: int
    ) -> tuple[bytes, bytes]:
        """(receipt, sealed result) for `receiver`, of at most `max_bytes`; to be verified."""
        request = wire.FetchResultRequest(job_id=job_id, run_id=run_id, receiver=receiver)
        receipt, sealed, size = b"", [], 0
        for part in _naming_failures(self._stub.FetchResult(request, timeout=DEADLINE_S)):
            receipt = receipt or part.receipt
            sealed.append(part.sealed)
            size += len(part.sealed)
            if size > max_bytes:
                raise TransportError(
                    f"sealed result: got more than {max_bytes} bytes, which no result can have",
                    hint="ask the coordinator's operator what this is",
                )
        return receipt, b"".join(sealed)

    def get_budget(self, job_id: str, signed_request: bytes) -> bytes:
        """The enclave's signed statement of what is left, to be verified."""
        request = wire.GetBudgetRequest(job_id=job_id, signed_request=signed_request)
        return bytes(self._call("GetBudget", request).signed_budget)

    # --- The enclave's state -----------------------------------------------------------------------------

    def get_state_proposal(self, job_id: str, nonce: bytes) -> StateProposed:
        """The enclave's signed word of what it would take up, and its evidence; to be verified."""
        request = wire.GetStateProposalRequest(job_id=job_id, nonce=nonce)
        answer = self._call("GetStateProposal", request)
        return StateProposed(answer.document, answer.key_bundle, answer.signed_proposal)

    def put_state_statement(self, job_id: str, signed_statement: bytes) -> None:
        """Hands over a witness's signed statement."""
        request = wire.PutStateStatementRequest(job_id=job_id, signed_statement=signed_statement)
        self._call("PutStateStatement", request, deadline_s=START_DEADLINE_S)

    # --- Keys --------------------------------------------------------------------------------------------

    def get_public_keys(self, job_id: str, nonce: bytes) -> tuple[bytes, bytes]:
        """(document, public keys) for `nonce`, to be verified."""
        answer = self._call("GetPublicKeys", wire.GetPublicKeysRequest(job_id=job_id, nonce=nonce))
        return bytes(answer.document), bytes(answer.public_keys)

    def use_key(self, job_id: str, call: bytes) -> bytes:
        """The sealed answer to one use of a key, to be opened and verified."""
        request = wire.UseKeyRequest(job_id=job_id, call=call)
        return bytes(self._call("UseKey", request, deadline_s=KEY_DEADLINE_S).sealed_answer)

    def _call(self, name: str, request: object, *, deadline_s: float = DEADLINE_S) -> Any:
        method = getattr(self._stub, name)
        return retried(lambda: _named(lambda: method(request, timeout=deadline_s)))


class ChunkCall:
    """One stream of chunks: iterate for the number of the first chunk that is not stored yet."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def __iter__(self) -> Iterator[int]:
        """Rising numbers. Raises `TransportError`."""
        for acknowledgement in _naming_failures(self._call):
            yield acknowledgement.next_chunk

    def cancel(self) -> None:
        """Ends the call now."""
        self._call.cancel()


def retried(call: Callable[[], _Answer]) -> _Answer:
    """The answer of `call`, asked again with pauses while nobody is there. Raises `TransportError`."""
    for pause_s in RETRY_PAUSES_S:
        try:
            return call()
        except UnavailableError:
            time.sleep(pause_s)
    return call()


def _named(call: Callable[[], _Answer]) -> _Answer:
    try:
        return call()
    except grpc.RpcError as error:
        raise _failure(error) from error


def _naming_failures(answers: Iterable[Any]) -> Iterator[Any]:
    try:
        yield from answers
    except grpc.RpcError as error:
        raise _failure(error) from error


def _failure(error: Any) -> TransportError:
    # Whatever it says, it is the coordinator that says it: in one line, as its word, and nothing as advice.
    status, said = error.code(), first_line(error.details() or "no reason given")
    metadata = {item.key: item.value for item in error.trailing_metadata() or ()}
    refusal = str(metadata.get(CODE_KEY, ""))[:_CODE_MAX_CHARACTERS]
    words = f"the coordinator says: {said}" + ("" if refusal in said else f" ({refusal})")
    if status is grpc.StatusCode.UNAVAILABLE:
        if refusal:
            return UnavailableError(words, hint=next_step(refusal))
        return UnavailableError(f"the coordinator cannot be reached ({said})", hint=_unavailable_hint(said))
    if refusal:
        return CallRefusedError(words, refusal=refusal)
    if status is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineError(
            "the coordinator did not answer in time", hint="try again; nothing is done twice"
        )
    return TransportError(
        f"the call failed: {status.name} ({said})",
        hint="try again; nothing is done twice. If it stays so, ask the coordinator's operator",
    )


def _unavailable_hint(details: str) -> str:
    lowered = details.lower()
    if "certificate" in lowered or "handshake" in lowered or "ssl" in lowered:
        return "the certificates do not fit: compare the folder given with --tls with the coordinator's"
    return "is it running, and is the address right? `concordat coordinator serve --help`"


def _request_id() -> str:
    return secrets.token_hex(16)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(TLS_FILE_MAX_BYTES)
    except OSError as error:
        raise TransportError(
            f"{path}: cannot be read ({error.strerror})",
            hint="make certificates for this name with `concordat tls dev DIR NAME`",
        ) from error
