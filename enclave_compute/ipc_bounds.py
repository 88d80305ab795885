"""How much memory a chunk's Arrow IPC stream would take, worked out before anything is decompressed.

Reads bytes that a party made. A megabyte of zstd can say that it is thirty gigabytes of zeros; the Arrow
reader would believe it. So the stream's own framing is walked first (encapsulated messages, and of the
flatbuffers in them only what says sizes), and a stream that is too large, or has anything in it but one
schema, record batches and the end marker, goes no further. Raises `RefusedError`.

Follows the Arrow columnar format 1.5, "Encapsulated message format" and "Record batch message".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from enclave_compute.errors import RefusedError
from protos.formats import limits
from protos.formats.calls import Refusal

_CONTINUATION: Final = 0xFFFFFFFF
_END: Final = struct.pack("<II", _CONTINUATION, 0)
_SCHEMA, _RECORD_BATCH = 1, 3
_NOT_COMPRESSED: Final = -1
_BUFFER_BYTES: Final = 16


@dataclass(frozen=True)
class Size:
    """What a chunk says of itself, and may be believed because it was reckoned from its framing."""

    rows: int
    decoded_bytes: int


@dataclass(frozen=True)
class _Table:
    """A flatbuffers table: where it stands in which metadata. A field is found through the table's vtable."""

    data: bytes
    at: int

    def field(self, index: int) -> int | None:
        """Where field `index` stands; None when the table does not have it."""
        vtable = self.at - self.number("<i", self.at)
        slot = 4 + 2 * index
        if slot >= self.number("<H", vtable):
            return None
        offset = self.number("<H", vtable + slot)
        return self.at + offset if offset else None

    def value(self, layout: str, index: int) -> int:
        """A scalar field; 0, the default of all that are read here, when it is left out."""
        at = self.field(index)
        return 0 if at is None else self.number(layout, at)

    def follow(self, index: int) -> _Table | None:
        """The table or vector that field `index` points to."""
        at = self.field(index)
        return None if at is None else _Table(self.data, at + self.number("<I", at))

    def number(self, layout: str, at: int) -> int:
        """A little-endian number. `struct` counts negative positions from the end: refused."""
        if at < 0:
            raise struct.error
        return int(struct.unpack_from(layout, self.data, at)[0])


def require_bounded_untrusted(chunk: bytes) -> Size:
    """The size of `chunk`, which may now be decoded. Raises `RefusedError`."""
    rows = decoded_bytes = 0
    expected = _SCHEMA
    try:
        for message, body in _messages(chunk):
            if message.value("<B", 1) != expected:
                raise _malformed("expected one schema and then record batches")
            if expected == _RECORD_BATCH:
                batch = message.follow(2)
                if batch is None:
                    raise _malformed("a record batch without a header")
                rows += batch.value("<q", 0)
                decoded_bytes += _decoded_bytes(batch, body)
            expected = _RECORD_BATCH
            if not 0 <= rows <= limits.CHUNK_MAX_ROWS or decoded_bytes > limits.CHUNK_DECODED_MAX_BYTES:
                raise RefusedError(Refusal.OVER_LIMIT, "a chunk of too many rows or bytes once decoded")
    except struct.error:
        raise _malformed("a message that points outside itself") from None
    if expected == _SCHEMA:
        raise _malformed("no schema")
    return Size(rows, decoded_bytes)


def _messages(chunk: bytes) -> Iterator[tuple[_Table, memoryview]]:
    """Every message's metadata and body, up to the end marker, which must be the last thing there is."""
    view, at = memoryview(chunk), 0
    while (head := bytes(view[at : at + 8])) != _END:
        continuation, metadata_bytes = struct.unpack("<II", head)
        if continuation != _CONTINUATION:
            raise _malformed("expected an encapsulated message")
        metadata = bytes(view[at + 8 : at + 8 + metadata_bytes])
        message = _Table(metadata, struct.unpack_from("<I", metadata)[0])
        body_bytes = message.value("<q", 3)
        at += 8 + metadata_bytes
        if not 0 <= body_bytes <= len(view) - at:
            raise _malformed("a message longer than the chunk")
        yield message, view[at : at + body_bytes]
        at += body_bytes
    if at + 8 != len(view):
        raise _malformed("something after the end marker")


def _decoded_bytes(batch: _Table, body: memoryview) -> int:
    """What the buffers of a record batch take once decompressed: each says so in its first eight bytes."""
    buffers = batch.follow(2)
    if buffers is None:
        return 0
    is_compressed = batch.field(3) is not None
    total = 0
    for index in range(buffers.number("<I", buffers.at)):
        start = buffers.at + 4 + index * _BUFFER_BYTES
        offset, length = buffers.number("<q", start), buffers.number("<q", start + 8)
        if offset < 0 or not 0 <= length <= len(body) - offset:
            raise _malformed("a buffer outside its message")
        if is_compressed and length:
            (stated,) = struct.unpack_from("<q", body, offset)
            length = length if stated == _NOT_COMPRESSED else stated
            if length < 0:
                raise _malformed("a buffer of negative size")
        total += length
    return total


def _malformed(message: str) -> RefusedError:
    return RefusedError(Refusal.SCHEMA_MISMATCH, f"chunk: {message}")
