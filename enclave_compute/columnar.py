"""Decodes a chunk into Arrow columns of exactly the agreed shape, and says how the engine reads each of them.

Reads bytes that a party made (after they opened and its signature was checked). Column names, types and order
must be those of the agreement; offsets and sizes are validated by the Arrow reader; everything that depends
on values (UTF-8, cell size, finite floats, digits) is an expression that the engine evaluates while it
inserts. Types are those of `protos.formats.schema.WIRE_TYPES`. Raises `RefusedError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import nanoarrow as na
from nanoarrow.c_array_stream import CArrayStream
from nanoarrow.ipc import InputStream

from enclave_compute.errors import RefusedError
from enclave_compute.ipc_bounds import require_bounded_untrusted
from protos.formats import limits
from protos.formats.calls import Refusal
from protos.formats.schema import Column, Dataset
from protos.plan.sql import quoted
from protos.plan.values import column_type

_UUID: Final = {"ARROW:extension:name": "arrow.uuid", "ARROW:extension:metadata": ""}
_FORMATS: Final = {
    "bool": "b",
    "date": "tdD",
    "float64": "g",
    "hex128": "w:16",
    "int64": "l",
    "text": "u",
    "timestamp": "tsu:",
}
_WHITESPACE: Final = "chr(9) || chr(10) || chr(11) || chr(12) || chr(13) || ' '"
_REFUSED: Final = "error('a value is outside its type')"


@dataclass(frozen=True)
class Chunk:
    """Decoded columns, exported to the engine as often as it asks (it asks several times)."""

    rows: int
    held_bytes: int
    """How much memory the columns take, at least; an empty chunk is reckoned by its encoding."""
    _arrays: list[Any]
    _schema: Any

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The Arrow PyCapsule interface; a requested schema is advice and is not taken."""
        return CArrayStream.from_c_arrays(self._arrays, self._schema, validate=False).__arrow_c_stream__()


def joined(chunks: Sequence[Chunk]) -> Chunk:
    """Chunks of one dataset as one, in their order; nothing is copied."""
    arrays = [array for chunk in chunks for array in chunk._arrays]
    rows, held_bytes = sum(chunk.rows for chunk in chunks), sum(chunk.held_bytes for chunk in chunks)
    return Chunk(rows, held_bytes, arrays, chunks[0]._schema)


def decode_chunk_untrusted(dataset: Dataset, chunk: bytes) -> Chunk:
    """The columns in `chunk`, which has exactly the shape of `dataset`. Raises `RefusedError`."""
    size = require_bounded_untrusted(chunk)
    try:
        stream = na.c_array_stream(InputStream.from_readable(chunk))
        schema = _engine_schema(dataset, stream.get_schema())
        arrays = list(stream)
    except RefusedError:
        raise
    except Exception:  # nanoarrow reports malformed bytes by many types; what they said goes no further
        raise RefusedError(Refusal.SCHEMA_MISMATCH, "a chunk that is not an Arrow IPC stream") from None
    if sum(array.length for array in arrays) != size.rows:
        raise RefusedError(Refusal.SCHEMA_MISMATCH, "a chunk whose batches are not as long as they say")
    return Chunk(size.rows, max(size.decoded_bytes, len(chunk)), arrays, schema)


def insert_expression(column: Column) -> str:
    """The engine's SQL that turns a decoded column into the stored one, or fails without a value."""
    name = quoted(column.name)
    match column.kind:
        case "text":
            text = f"decode({name})"
            if column.normalise == "email/v1":
                text = f"nfc_normalize(lower(trim({text}, {_WHITESPACE})))"
            return _if_valid(f"octet_length({name}) <= {limits.CELL_MAX_BYTES}", name, text)
        case "float64":
            # Adding zero turns -0.0 into 0.0: equal values are to be the same bytes.
            return _if_valid(f"isfinite({name})", name, f"{name} + 0.0::DOUBLE")
        case "decimal":
            digits, scale = column.decimal or (0, 0)
            most = f"{'9' * (digits - scale) or '0'}.{'9' * scale}"
            in_range = f"{name} BETWEEN '-{most}'::DECIMAL(38,{scale}) AND '{most}'::DECIMAL(38,{scale})"
            return _if_valid(in_range, name, f"CAST({name} AS {column_type(column).sql()})")
        case "date":
            return _if_valid(f"{name} BETWEEN DATE '0001-01-01' AND DATE '9999-12-31'", name, name)
        case "timestamp":
            first, last = "TIMESTAMP '0001-01-01 00:00:00'", "TIMESTAMP '9999-12-31 23:59:59.999999'"
            return _if_valid(f"{name} BETWEEN {first} AND {last}", name, name)
        case _:
            return name


def _if_valid(condition: str, name: str, value: str) -> str:
    return f"CASE WHEN {name} IS NULL THEN NULL WHEN {condition} THEN {value} ELSE {_REFUSED} END"


def _engine_schema(dataset: Dataset, schema: Any) -> Any:
    """The schema under which the engine reads the columns, if `schema` is the agreed one.

    The memory is the same, the reading is not: text is read as bytes, to be checked on the way in; 16-byte
    keys as UUIDs, which join as 128-bit integers; decimals with all 38 digits, to be checked as well. What
    the sender wrote besides names and types (metadata, nullability) is left behind.
    """
    children = list(schema.children)
    if [child.name for child in children] != [column.name for column in dataset.columns]:
        raise RefusedError(Refusal.SCHEMA_MISMATCH, "a chunk with other columns than the agreement's")
    return schema.modify(
        children=[
            _engine_column(column, child) for column, child in zip(dataset.columns, children, strict=True)
        ]
    )


def _engine_column(column: Column, child: Any) -> Any:
    expected = "d:{},{}".format(*column.decimal) if column.decimal else _FORMATS[column.kind]
    if child.format != expected or child.dictionary is not None or child.n_children:
        raise RefusedError(Refusal.SCHEMA_MISMATCH, f"column {column.name} is not of its agreed type")
    if column.decimal:
        return _clean(child, f"d:38,{column.decimal[1]}")
    if column.kind == "hex128":
        return child.modify(metadata=_UUID, nullable=True)
    return _clean(child, "z" if column.kind == "text" else expected)


def _clean(child: Any, read_as: str) -> Any:
    return child.modify(format=read_as, metadata={}, nullable=True)
