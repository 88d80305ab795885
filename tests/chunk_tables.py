"""Arrow tables as chunks and back, for tests: the format as `protos.formats.columns` has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pyarrow as pa

from party_client.datasets.packing import packed
from protos.formats.columns import (
    Buffers,
    Texts,
    encoded_bytes,
    read_columns_untrusted,
    width_bits,
    write_columns,
)
from protos.formats.schema import Column

ARROW: Mapping[str, pa.DataType] = {
    "bool": pa.bool_(),
    "date": pa.date32(),
    "float64": pa.float64(),
    "hex128": pa.binary(16),
    "int64": pa.int64(),
    "text": pa.string(),
    "timestamp": pa.timestamp("us"),
}


def arrow_type(kind: Column) -> pa.DataType:
    return pa.decimal128(*kind.decimal) if kind.decimal else ARROW[kind.type]


def agreed_columns(schema: pa.Schema) -> tuple[Column, ...]:
    """The columns of an agreement that fit `schema`, all of them nullable."""
    kinds = {kind: name for name, kind in ARROW.items()}
    return tuple(
        Column(
            field.name,
            f"decimal({field.type.precision},{field.type.scale})"
            if pa.types.is_decimal(field.type)
            else kinds.get(field.type, "text"),
            nullable=True,
            uses=frozenset(),
        )
        for field in schema
    )


def chunk(rows: pa.Table, *, compression: Literal["none", "zstd"] = "none") -> bytes:
    """One chunk's plaintext: all of `rows`, however large that is. Dictionaries stay dictionaries."""
    columns = agreed_columns(rows.schema)
    arrays = [values.combine_chunks() for values in rows.columns]
    buffers = [packed(*pair) for pair in zip(columns, arrays, strict=True)]
    plaintext = bytearray(encoded_bytes(columns, rows.num_rows, buffers))
    write_columns(columns, rows.num_rows, buffers, memoryview(plaintext))
    return pa.Codec("zstd").compress(plaintext).to_pybytes() if compression == "zstd" else bytes(plaintext)


def unpacked(columns: Sequence[Column], plaintext: bytes) -> pa.Table:
    """The rows of a chunk that is not compressed; dictionaries are resolved."""
    rows, buffers = read_columns_untrusted(columns, plaintext)
    arrays = [_array(*pair, rows) for pair in zip(columns, buffers, strict=True)]
    fields = [pa.field(column.name, arrow_type(column), nullable=column.nullable) for column in columns]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _array(column: Column, buffers: Buffers, rows: int) -> pa.Array[Any]:
    if isinstance(buffers, Texts):
        texts = buffers.entries or rows
        valid = None if buffers.codes is not None else buffers.valid
        plain = pa.Array.from_buffers(pa.string(), texts, _arrow(valid, buffers.bounds, buffers.text))
        if buffers.codes is None:
            return plain
        codes = pa.Array.from_buffers(pa.uint8(), rows, _arrow(buffers.valid, buffers.codes))
        return pa.DictionaryArray.from_arrays(codes, plain).cast(pa.string())
    if column.decimal is not None and width_bits(column) == 64:
        narrow = pa.Array.from_buffers(
            pa.decimal64(18, column.decimal[1]), rows, _arrow(buffers.valid, buffers.values)
        )
        return narrow.cast(arrow_type(column))
    return pa.Array.from_buffers(arrow_type(column), rows, _arrow(buffers.valid, buffers.values))


def _arrow(*parts: memoryview | None) -> list[pa.Buffer | None]:
    return [None if part is None else pa.py_buffer(part) for part in parts]
