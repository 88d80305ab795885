"""Chunks whose bytes are damaged, doubled, too many or a bomb are refused before the engine sees them."""

from __future__ import annotations

import struct

import pyarrow as pa
import pytest
from backports import zstd

from enclave_compute.engine import Engine
from enclave_compute.errors import RefusedError
from protos.formats import limits
from protos.formats.calls import Refusal
from protos.formats.schema import Dataset
from tests.chunk_tables import chunk
from tests.engine_world import MEMORY_MIB, column, table


def one_column(kind: str, *, nullable: bool = True) -> Dataset:
    columns = (column("unit", "int64"), column("x", kind, nullable=nullable))
    return Dataset("data", "owner", columns, "unit", 2, (), 1000, 1_000_000)


GOOD = one_column("int64", nullable=False)
ROWS = table(GOOD, [(1, 1), (2, 2)])
COMPRESSED = chunk(ROWS, compression="zstd")


def refusal_of(dataset: Dataset, data: bytes, compression: str = "none") -> Refusal:
    engine = Engine(MEMORY_MIB, 1)
    engine.create(dataset)
    with pytest.raises(RefusedError) as caught:
        engine.append_untrusted("data", data, compression=compression)
    return caught.value.refusal


DAMAGED = {
    "empty": b"",
    "the last byte missing": chunk(ROWS)[:-1],
    "a byte too many": chunk(ROWS) + b"\0",
    "two chunks": chunk(ROWS) * 2,
    "an Arrow stream": b"\xff\xff\xff\xff" + bytes(60),
    "text": b"flight,delay\n1,2\n",
    "compressed": COMPRESSED,
}


@pytest.mark.parametrize("what", DAMAGED)
def test_bytes_that_are_not_one_chunk_are_refused(what: str) -> None:
    assert refusal_of(GOOD, DAMAGED[what]) in {Refusal.SCHEMA_MISMATCH, Refusal.OVER_LIMIT}


NOT_A_FRAME = {
    "empty": b"",
    "not compressed": chunk(ROWS),
    "half a frame": COMPRESSED[:-1],
    "two frames": COMPRESSED * 2,
    "something after the frame": COMPRESSED + b"\0",
    "a frame with another content": zstd.compress(b"flight,delay\n1,2\n"),
    "a frame of nothing": zstd.compress(b""),
}


@pytest.mark.parametrize("what", NOT_A_FRAME)
def test_bytes_that_are_not_one_whole_zstd_frame_are_refused(what: str) -> None:
    assert refusal_of(GOOD, NOT_A_FRAME[what], "zstd") in {Refusal.SCHEMA_MISMATCH, Refusal.OVER_LIMIT}


def test_bounds_that_descend_are_refused() -> None:
    """They would make a text reach outside its buffer."""
    rows = table(one_column("text"), [(1, "aaaa"), (2, "bbbb"), (3, "cccc")])
    good = chunk(rows)
    bounds = struct.pack("<4I", 0, 4, 8, 12)
    assert good.count(bounds) == 1
    for worse in ((0, 9, 8, 12), (0, 2**31, 8, 12), (0, 4, 2**32 - 1, 12), (0, 13, 13, 12)):
        damaged = good.replace(bounds, struct.pack("<4I", *worse))
        assert refusal_of(one_column("text"), damaged) is Refusal.SCHEMA_MISMATCH


def test_too_many_rows_in_one_chunk_are_refused() -> None:
    dataset = Dataset("data", "owner", (column("unit", "bool"),), "unit", 2, (), 2**21, 1_000_000)
    most = pa.table({"unit": pa.array([True] * limits.CHUNK_MAX_ROWS)})
    engine = Engine(MEMORY_MIB, 1)
    engine.create(dataset)
    assert engine.append_untrusted("data", chunk(most)) == limits.CHUNK_MAX_ROWS
    more = pa.table({"unit": pa.array([True] * (limits.CHUNK_MAX_ROWS + 1))})
    assert refusal_of(dataset, chunk(more)) is Refusal.OVER_LIMIT


def test_decompression_bomb_is_refused_before_it_goes_off() -> None:
    bomb = zstd.compress(bytes(2**28))
    assert len(bomb) < 2**15
    assert refusal_of(GOOD, bomb, "zstd") is Refusal.OVER_LIMIT
    exactly = zstd.compress(bytes(limits.CHUNK_PLAINTEXT_MAX_BYTES))
    assert refusal_of(GOOD, exactly, "zstd") is Refusal.SCHEMA_MISMATCH, "looked at, and not a chunk"
