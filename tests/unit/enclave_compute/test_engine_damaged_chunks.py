"""Chunks whose bytes are damaged, doubled, too many or a bomb are refused before the engine sees them."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest

from enclave_compute.engine import Engine
from enclave_compute.errors import RefusedError
from protos.formats import limits
from protos.formats.calls import Refusal
from protos.formats.schema import Dataset
from tests.engine_world import MEMORY_MIB, chunk, column, table


def one_column(kind: str, *, nullable: bool = True) -> Dataset:
    columns = (column("unit", "int64"), column("x", kind, nullable=nullable))
    return Dataset("data", "owner", columns, "unit", 1, (), 1000, 1_000_000)


GOOD = one_column("int64", nullable=False)
ROWS = table(GOOD, [(1, 1), (2, 2)])


def damaged(change: Callable[[bytearray], None]) -> bytes:
    data = bytearray(chunk(ROWS))
    change(data)
    return bytes(data)


DAMAGED = {
    "empty": b"",
    "no end marker": chunk(ROWS)[:-8],
    "something after the end marker": chunk(ROWS) + b"\0" * 8,
    "two streams": chunk(ROWS) * 2,
    "only an end marker": chunk(ROWS)[-8:],
    "no schema": damaged(lambda data: data.__delitem__(slice(0, 8 + int.from_bytes(data[4:8], "little")))),
    "a length that is not there": damaged(lambda data: data.__setitem__(slice(4, 8), b"\xff\xff\xff\x7f")),
    "a file": b"ARROW1\0\0" + chunk(ROWS),
    "text": b"flight,delay\n1,2\n",
}


@pytest.mark.parametrize("what", DAMAGED)
def test_bytes_that_are_not_one_stream_are_refused(what: str) -> None:
    engine = Engine(MEMORY_MIB, 1)
    engine.create(GOOD)
    with pytest.raises(RefusedError) as caught:
        engine.append_untrusted("data", DAMAGED[what])
    assert caught.value.refusal is Refusal.SCHEMA_MISMATCH


def test_too_many_rows_in_one_chunk_are_refused() -> None:
    dataset = one_column("bool")
    unit = pa.array([0], pa.int64()).take(pa.array([0] * 2, pa.int64()))
    count = limits.CHUNK_MAX_ROWS // 2 + 1
    batch = pa.record_batch(
        [pa.concat_arrays([unit] * (count // 2)), pa.array([True] * (count // 2 * 2))], ["unit", "x"]
    )
    engine = Engine(MEMORY_MIB, 1)
    engine.create(dataset)
    rows = pa.Table.from_batches([batch, batch])
    assert rows.num_rows <= limits.CHUNK_MAX_ROWS
    engine.append_untrusted("data", chunk(rows, compression="zstd"))
    with pytest.raises(RefusedError) as caught:
        engine.append_untrusted("data", chunk(pa.Table.from_batches([batch] * 3), compression="zstd"))
    assert caught.value.refusal is Refusal.OVER_LIMIT


def test_decompression_bomb_is_refused_before_it_goes_off() -> None:
    dataset = one_column("text")
    rows = table(dataset, [(n, "x" * 60_000) for n in range(1500)])
    bomb = chunk(rows, compression="zstd")
    assert len(bomb) < limits.CHUNK_PLAINTEXT_MAX_BYTES < limits.CHUNK_DECODED_MAX_BYTES < rows.nbytes
    engine = Engine(MEMORY_MIB, 1)
    engine.create(dataset)
    with pytest.raises(RefusedError) as caught:
        engine.append_untrusted("data", bomb)
    assert caught.value.refusal is Refusal.OVER_LIMIT
