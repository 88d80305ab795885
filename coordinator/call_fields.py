"""What calls bring beside signed and sealed messages: ids of the right length, chunks, and what is meant.

Reads what anybody with a client certificate sends. Raises `FormatError` or `BadRequestError`.
"""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.errors import BadRequestError
from coordinator.intake import IncomingChunk
from protos.formats.canonical import require_bytes
from protos.formats.identifiers import DIGEST_BYTES, RUN_ID_BYTES, UPLOAD_ID_BYTES
from protos.v1 import concordat_pb2 as messages


def incoming_chunks(first: messages.Chunk, rest: Iterator[messages.Chunk]) -> Iterator[IncomingChunk]:
    """The chunks of a stream, of which the first has been read."""
    yield IncomingChunk(first.number, first.sealed, first.last)
    del first
    for chunk in rest:
        yield IncomingChunk(chunk.number, chunk.sealed, chunk.last)


def is_deposit(request: messages.BeginUploadRequest | messages.Chunk | messages.FinishUploadRequest) -> bool:
    """Whether it names an agreement and no job. Raises `BadRequestError` if it names both or neither."""
    if bool(request.job_id) == bool(request.agreement_digest):
        raise BadRequestError("got both or neither of job_id and agreement_digest, expected one of them")
    return bool(request.agreement_digest)


def require_digest(value: bytes) -> bytes:
    """An agreement's digest."""
    return require_bytes(value, what="agreement digest", length=DIGEST_BYTES)


def require_upload_id(value: bytes) -> bytes:
    """An upload's id."""
    return require_bytes(value, what="upload id", length=UPLOAD_ID_BYTES)


def require_run_id(value: bytes) -> bytes:
    """A run's id."""
    return require_bytes(value, what="run id", length=RUN_ID_BYTES)
