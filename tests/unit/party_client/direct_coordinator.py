"""A coordinator without a network: the client's own calls, answered by a real enclave in this process.

It keeps what passed through, and does what a test tells it to do wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc

from party_client.transport import CallRefusedError, ChunkCall, Coordinator, UnavailableError
from protos.formats.calls import Op
from protos.formats.canonical import decode_untrusted
from protos.formats.limits import MIB
from protos.v1 import concordat_pb2 as wire
from tests.world import Enclave, RefusedByEnclaveError

JOB = "job"


@dataclass
class Faults:
    """What goes wrong, and when."""

    break_after: list[int] = field(default_factory=list)
    """For each stream in turn: how many chunks reach the enclave before the connection breaks."""
    acknowledge_every: int = 1
    before_chunk: Callable[[int], None] = lambda _: None
    """Called with a chunk's number before it reaches the enclave."""
    tamper: Callable[[wire.Chunk], wire.Chunk] = lambda chunk: chunk
    claim_next: int | None = None
    """What `begin_upload` answers instead of the truth."""
    acceptance: bytes | None = None


class DirectCoordinator(Coordinator):
    """Every call goes straight to `enclave`."""

    def __init__(self, enclave: Enclave) -> None:
        super().__init__(grpc.insecure_channel("localhost:1"), "localhost:1")  # never connected to
        self.enclave = enclave
        self.faults = Faults()
        self.sent: list[wire.Chunk] = []
        self.attested = 0
        self.runs: dict[bytes, str] = {}

    def attest(self, job_id: str, nonce: bytes) -> tuple[bytes, bytes]:
        self.attested += 1
        return self.enclave.attest(nonce)

    def begin_upload(self, job_id: str, dataset: str, upload_id: bytes, signed_header: bytes) -> int:
        answer = self._ask(Op.BEGIN, signed_header, dataset=dataset, upload=upload_id)
        return answer.header["next"] if self.faults.claim_next is None else self.faults.claim_next

    def upload_chunks(self, chunks: Iterator[wire.Chunk]) -> ChunkCall:
        return DirectChunkCall(self, chunks)

    def finish_upload(self, job_id: str, upload_id: bytes, signed_manifest: bytes) -> bytes:
        accepted: bytes = self._ask(Op.FINISH, signed_manifest, upload=upload_id).body
        return self.faults.acceptance or accepted

    def request_run(self, job_id: str, run_id: bytes, signed_request: bytes) -> wire.Run:
        try:
            self._ask(Op.RUN, signed_request, run=run_id)
        except CallRefusedError as error:
            self.runs[run_id] = error.refusal
        else:
            self.runs[run_id] = ""
        return self.get_run(job_id, run_id)

    def get_run(self, job_id: str, run_id: bytes) -> wire.Run:
        refusal = self.runs[run_id]
        state = wire.RUN_STATE_REFUSED if refusal else wire.RUN_STATE_RELEASED
        return wire.Run(run_id=run_id, job_id=job_id, state=state, refusal=refusal)

    def fetch_result(
        self, job_id: str, run_id: bytes, receiver: str, *, max_bytes: int
    ) -> tuple[bytes, bytes]:
        receipt = self._ask(Op.RECEIPT, run=run_id).body
        return receipt, self._ask(Op.RESULT, run=run_id, receiver=receiver).body

    def get_budget(self, job_id: str, signed_request: bytes) -> bytes:
        answer: bytes = self._ask(Op.BUDGET, signed_request).body
        return answer

    def get_public_keys(self, job_id: str, nonce: bytes) -> tuple[bytes, bytes]:
        body = self._ask(Op.KEYS, nonce=nonce).body
        fields = decode_untrusted(body, max_bytes=MIB, what="public keys")
        return fields["document"], fields["public_keys"]

    def use_key(self, job_id: str, call: bytes) -> bytes:
        answer: bytes = self._ask(Op.KEY_USE, call).body
        return answer

    def _ask(self, op: Op, body: bytes = b"", **fields: Any) -> Any:
        try:
            return self.enclave.call(op, body, **fields)
        except RefusedByEnclaveError as error:
            raise CallRefusedError(f"refused: {error.code}", refusal=error.code) from error


class DirectChunkCall(ChunkCall):
    """One stream."""

    def __init__(self, coordinator: DirectCoordinator, chunks: Iterator[wire.Chunk]) -> None:
        self._coordinator = coordinator
        self._chunks = chunks
        self._limit = coordinator.faults.break_after.pop(0) if coordinator.faults.break_after else None

    def __iter__(self) -> Iterator[int]:
        coordinator, faults = self._coordinator, self._coordinator.faults
        upload_id, number = b"", None
        for count, chunk in enumerate(self._chunks):
            if count == self._limit:
                raise UnavailableError("the connection broke")
            upload_id = chunk.upload_id or upload_id
            faults.before_chunk(chunk.number)
            coordinator.sent.append(chunk)
            passed = faults.tamper(chunk)
            answer = coordinator._ask(
                Op.CHUNK, passed.sealed, upload=upload_id, number=passed.number, last=passed.last
            )
            number = answer.header["next"]
            if (count + 1) % faults.acknowledge_every == 0:
                yield number
        if number is not None:
            yield number

    def cancel(self) -> None:
        """Nothing goes on in the background."""
