"""The walk over a stream's framing: exact at its bounds, and never led outside the bytes it was given."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pytest

from enclave_compute.errors import RefusedError
from enclave_compute.ipc_bounds import require_bounded_untrusted
from protos.formats import limits
from protos.formats.calls import Refusal
from tests import engine_world as world

TABLE = pa.table({"number": pa.array(range(5), pa.int64())})
END = struct.pack("<II", 0xFFFFFFFF, 0)


@dataclass
class Message:
    """One encapsulated message, to be taken apart and put together."""

    metadata: bytearray
    body: bytes

    def number(self, layout: str, at: int) -> int:
        return int(struct.unpack_from(layout, self.metadata, at)[0])

    def put(self, layout: str, at: int, number: int) -> None:
        struct.pack_into(layout, self.metadata, at, number)

    @property
    def root(self) -> int:
        """Where its root table stands."""
        return self.number("<I", 0)

    @property
    def header(self) -> int:
        """Where the table of its record batch stands."""
        at = self.field(self.root, 2)
        return at + self.number("<I", at)

    @property
    def first_buffer(self) -> int:
        """Where the offset of the batch's first buffer that is not empty stands; its length follows."""
        at = self.field(self.header, 2)
        vector = at + self.number("<I", at)
        starts = (vector + 4 + 16 * index for index in range(self.number("<I", vector)))
        return next(start for start in starts if self.number("<q", start + 8))

    def vtable(self, table: int) -> int:
        return table - self.number("<i", table)

    def field(self, table: int, index: int) -> int:
        """Where a field stands that is there."""
        return table + self.number("<H", self.vtable(table) + 4 + 2 * index)

    def encode(self) -> bytes:
        return struct.pack("<II", 0xFFFFFFFF, len(self.metadata)) + self.metadata + self.body


def parts(stream: bytes) -> tuple[Message, Message]:
    """The schema and the one batch of a stream that pyarrow wrote."""
    found = []
    for at in (0, 8 + struct.unpack_from("<I", stream, 4)[0]):
        (length,) = struct.unpack_from("<I", stream, at + 4)
        found.append(Message(bytearray(stream[at + 8 : at + 8 + length]), b""))
    schema, batch = found
    batch.body = stream[16 + len(schema.metadata) + len(batch.metadata) : -len(END)]
    return schema, batch


@pytest.fixture
def schema() -> Message:
    return parts(world.chunk(TABLE))[0]


@pytest.fixture
def batch() -> Message:
    return parts(world.chunk(TABLE))[1]


def joined(*sent: Message) -> bytes:
    return b"".join(message.encode() for message in sent) + END


def refuse(chunk: bytes, refusal: Refusal = Refusal.SCHEMA_MISMATCH) -> None:
    with pytest.raises(RefusedError) as caught:
        require_bounded_untrusted(chunk)
    assert caught.value.refusal is refusal


def test_a_stream_is_one_schema_and_any_number_of_batches(schema: Message, batch: Message) -> None:
    assert joined(schema, batch) == world.chunk(TABLE)
    for batches in range(4):
        size = require_bounded_untrusted(joined(schema, *[batch] * batches))
        assert (size.rows, size.decoded_bytes) == (batches * TABLE.num_rows, batches * 8 * TABLE.num_rows)


def test_other_orders_of_messages_are_refused(schema: Message, batch: Message) -> None:
    orders: list[list[Message]] = [[], [schema, schema], [batch], [batch, schema], [schema, batch, schema]]
    for order in orders:
        refuse(joined(*order))


def test_what_follows_the_end_is_refused(schema: Message, batch: Message) -> None:
    refuse(joined(schema, batch) + b"\0")
    refuse(joined(schema, batch) + END)
    refuse(joined(schema, batch)[: -len(END)])


def test_a_batch_needs_a_header(schema: Message, batch: Message) -> None:
    batch.put("<H", batch.vtable(batch.root) + 4 + 2 * 2, 0)
    refuse(joined(schema, batch))


def test_a_body_longer_than_the_chunk_is_refused(schema: Message, batch: Message) -> None:
    refuse(schema.encode() + Message(batch.metadata, batch.body[:-1]).encode())


def test_a_body_of_less_than_nothing_is_refused(schema: Message, batch: Message) -> None:
    # So much less that the next message would be this one, for ever.
    batch.put("<q", batch.field(batch.header, 0), 0)
    batch.put("<q", batch.first_buffer + 8, 0)
    batch.body = b""
    batch.put("<q", batch.field(batch.root, 3), -len(batch.encode()))
    refuse(joined(schema, batch))


def test_messages_begin_with_the_marker(schema: Message, batch: Message) -> None:
    refuse(b"\xff\xff\xff\xfe" + joined(schema, batch)[4:])


def test_metadata_is_read_to_its_last_byte(schema: Message, batch: Message) -> None:
    # A vtable may stand after its table: here it is the last thing there is.
    vtable = batch.vtable(batch.root)
    length = batch.number("<H", vtable)
    batch.put("<i", batch.root, batch.root - len(batch.metadata))
    batch.metadata += batch.metadata[vtable : vtable + length]
    assert require_bounded_untrusted(joined(schema, batch)).rows == TABLE.num_rows
    batch.metadata = batch.metadata[:-1]
    refuse(joined(schema, batch))


def test_nothing_is_found_by_counting_from_the_end(schema: Message, batch: Message) -> None:
    # A copy of the vtable at the very end, and a table that says: my vtable is at minus so many bytes.
    vtable = batch.vtable(batch.root)
    length = batch.number("<H", vtable)
    batch.metadata += batch.metadata[vtable : vtable + length]
    batch.put("<i", batch.root, batch.root + length)
    assert batch.vtable(batch.root) == -length
    refuse(joined(schema, batch))


@pytest.mark.parametrize(
    ("offset", "length"), [(-8, 8), (0, -1), (0, 41), (40, 8), (48, 0), (2**62, 8), (8, 2**62)]
)
def test_buffers_lie_inside_their_message(schema: Message, batch: Message, offset: int, length: int) -> None:
    assert len(batch.body) == 40
    at = batch.first_buffer
    batch.put("<q", at, offset)
    batch.put("<q", at + 8, length)
    refuse(joined(schema, batch))


@pytest.mark.parametrize(("stated", "decoded_bytes"), [(1000, 1000), (0, 0), (-1, None)])
def test_a_compressed_buffer_takes_what_it_states(stated: int, decoded_bytes: int | None) -> None:
    schema, batch = parts(world.chunk(pa.table({"n": pa.array([7] * 1000, pa.int64())}), compression="zstd"))
    at, length = (batch.number("<q", batch.first_buffer + more) for more in (0, 8))
    batch.body = batch.body[:at] + struct.pack("<q", stated) + batch.body[at + 8 :]
    size = require_bounded_untrusted(joined(schema, batch))
    # -1 says: not compressed after all, so it takes what it is long.
    assert size.decoded_bytes == (length if decoded_bytes is None else decoded_bytes)


def test_a_compressed_buffer_of_less_than_nothing_is_refused() -> None:
    schema, batch = parts(world.chunk(pa.table({"n": pa.array([7] * 1000, pa.int64())}), compression="zstd"))
    at = batch.number("<q", batch.first_buffer)
    batch.body = batch.body[:at] + struct.pack("<q", -2) + batch.body[at + 8 :]
    refuse(joined(schema, batch))


@pytest.mark.parametrize("compression", [None, "zstd"])
def test_as_many_bytes_once_decoded_as_are_allowed(
    monkeypatch: pytest.MonkeyPatch, compression: Literal["zstd"] | None
) -> None:
    table = pa.table({"number": pa.array([7] * 1000, pa.int64())})
    chunk = world.chunk(table, compression=compression)
    monkeypatch.setattr(limits, "CHUNK_DECODED_MAX_BYTES", 8 * 1000)
    assert require_bounded_untrusted(chunk).decoded_bytes == 8 * 1000
    monkeypatch.setattr(limits, "CHUNK_DECODED_MAX_BYTES", 8 * 1000 - 1)
    refuse(chunk, Refusal.OVER_LIMIT)


def test_as_many_rows_as_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CHUNK_MAX_ROWS", TABLE.num_rows)
    assert require_bounded_untrusted(world.chunk(TABLE)).rows == TABLE.num_rows
    monkeypatch.setattr(limits, "CHUNK_MAX_ROWS", TABLE.num_rows - 1)
    refuse(world.chunk(TABLE), Refusal.OVER_LIMIT)
