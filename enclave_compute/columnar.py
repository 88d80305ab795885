"""Turns a chunk into Arrow columns of exactly the agreed shape, and says how the engine reads each of them.

Reads bytes that a party made (after they opened and its signature was checked). Nothing in them describes
itself: which buffers there are, and where, follows from the agreement (`protos.formats.columns`), so the
Arrow library is never shown a sender's metadata, only buffers whose sizes are right. It validates that bounds
ascend. What depends on values (UTF-8, cell size, finite floats, digits) is an expression that the engine
evaluates while it inserts. Raises `RefusedError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import nanoarrow as na
from nanoarrow.c_array_stream import CArrayStream

from enclave_compute.arrow import dictionary_array
from enclave_compute.compression import decompress_untrusted
from enclave_compute.errors import RefusedError
from protos.formats import limits
from protos.formats.calls import Refusal
from protos.formats.columns import Buffers, Texts, read_columns_untrusted, width_bits
from protos.formats.errors import FormatError, LimitExceededError
from protos.formats.schema import Column
from protos.plan.quoting import quoted
from protos.plan.values import column_type

_UUID: Final = {"ARROW:extension:name": "arrow.uuid", "ARROW:extension:metadata": ""}
_TYPES: Final = {
    "bool": na.bool_(),
    "date": na.date32(),
    "float64": na.float64(),
    "hex128": na.fixed_size_binary(16),
    "int64": na.int64(),
    "timestamp": na.timestamp("us"),
}
_BYTES: Final = na.binary()
"""Text is read as bytes, to be checked on the way in; the few texts of a dictionary are checked before."""
_WHITESPACE: Final = "chr(9) || chr(10) || chr(11) || chr(12) || chr(13) || ' '"
_FIRST_AND_LAST: Final = {
    "date": "DATE '0001-01-01' AND DATE '9999-12-31'",
    "timestamp": "TIMESTAMP '0001-01-01 00:00:00' AND TIMESTAMP '9999-12-31 23:59:59.999999'",
}
_REFUSED: Final = "error('a value is outside its type')"


@dataclass(frozen=True)
class Chunk:
    """Decoded columns, exported to the engine as often as it asks (it asks several times)."""

    rows: int
    held_bytes: int
    """How much memory the columns take."""
    dictionaries: frozenset[str]
    """The columns that have one; chunks that differ in them have different types."""
    _arrays: list[Any]
    _schema: Any

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The Arrow PyCapsule interface; a requested schema is advice and is not taken."""
        return CArrayStream.from_c_arrays(self._arrays, self._schema, validate=False).__arrow_c_stream__()


def joined(chunks: Sequence[Chunk]) -> Chunk:
    """Chunks of one dataset, alike in their dictionaries, as one, in their order; nothing is copied."""
    arrays = [array for chunk in chunks for array in chunk._arrays]
    rows, held_bytes = sum(chunk.rows for chunk in chunks), sum(chunk.held_bytes for chunk in chunks)
    return Chunk(rows, held_bytes, chunks[0].dictionaries, arrays, chunks[0]._schema)


def decode_chunk_untrusted(
    columns: Sequence[Column], plaintext: bytes, *, compression: str = "none"
) -> Chunk:
    """The columns in `plaintext`, which are exactly these. Raises `RefusedError`."""
    if compression == "zstd":
        plaintext = decompress_untrusted(plaintext, max_bytes=limits.CHUNK_PLAINTEXT_MAX_BYTES)
    try:
        rows, buffers = read_columns_untrusted(columns, plaintext)
    except LimitExceededError as error:
        raise RefusedError(Refusal.OVER_LIMIT, error.message) from error
    except FormatError as error:
        raise RefusedError(Refusal.SCHEMA_MISMATCH, error.message) from error
    children = [_array(*pair, rows) for pair in zip(columns, buffers, strict=True)]
    fields = {column.name: child.schema for column, child in zip(columns, children, strict=True)}
    layout = na.c_schema(na.struct(fields))
    array = na.c_array_from_buffers(
        layout, rows, [None], children=children, validation_level="none", move=True
    )
    read_as = [_read_as(*pair) for pair in zip(columns, layout.children, strict=True)]
    dictionaries = frozenset(
        column.name
        for column, one in zip(columns, buffers, strict=True)
        if isinstance(one, Texts) and one.codes is not None
    )
    return Chunk(rows, len(plaintext), dictionaries, [array], layout.modify(children=read_as))


def insert_expression(column: Column, *, has_dictionary: bool = False) -> str:
    """The engine's SQL that turns a decoded column into the stored one, or fails without a value."""
    name = quoted(column.name)
    if column.kind == "text" and has_dictionary:
        return _normalised(column, name)
    match column.kind:
        case "text":
            text = _normalised(column, f"decode({name})")
            return _if_valid(f"octet_length({name}) <= {limits.CELL_MAX_BYTES}", name, text)
        case "float64":
            # Adding zero turns -0.0 into 0.0: equal values are to be the same bytes.
            return _if_valid(f"isfinite({name})", name, f"{name} + 0.0::DOUBLE")
        case "decimal":
            digits, scale = column.decimal or (0, 0)
            most = f"{'9' * (digits - scale) or '0'}.{'9' * scale}"
            read_as = f"DECIMAL({_digits_read(column)},{scale})"
            in_range = f"{name} BETWEEN '-{most}'::{read_as} AND '{most}'::{read_as}"
            return _if_valid(in_range, name, f"CAST({name} AS {column_type(column).sql()})")
        case "date" | "timestamp":
            return _if_valid(f"{name} BETWEEN {_FIRST_AND_LAST[column.kind]}", name, name)
        case _:
            return name


def _normalised(column: Column, text: str) -> str:
    if column.normalise == "email/v1":
        return f"nfc_normalize(lower(trim({text}, {_WHITESPACE})))"
    return text


def _if_valid(condition: str, name: str, value: str) -> str:
    return f"CASE WHEN {name} IS NULL THEN NULL WHEN {condition} THEN {value} ELSE {_REFUSED} END"


def _array(column: Column, buffers: Buffers, rows: int) -> Any:
    """One column as the Arrow library sees it: the bare layout, without names or meaning."""
    if isinstance(buffers, Texts):
        return _text_array(column, buffers, rows)
    layout = _TYPES[column.kind] if column.decimal is None else _TYPES["hex128"]
    if column.decimal is not None and width_bits(column) == 64:
        layout = _TYPES["int64"]
    return na.c_array_from_buffers(layout, rows, [buffers.valid, buffers.values])


def _text_array(column: Column, buffers: Texts, rows: int) -> Any:
    if buffers.codes is not None:
        texts = _require_texts(column, buffers)
        return dictionary_array(rows, buffers.codes, na.c_array(texts, na.string()), valid=buffers.valid)
    try:
        # Full validation reads the bounds: they must ascend, or a text would reach outside the buffer.
        return na.c_array_from_buffers(
            _BYTES, rows, [buffers.valid, buffers.bounds, buffers.text], validation_level="full"
        )
    except Exception:  # nanoarrow has many types for it; what they say goes no further
        raise RefusedError(
            Refusal.SCHEMA_MISMATCH, f"columns: {column.name}: got bounds that descend"
        ) from None


def _require_texts(column: Column, buffers: Texts) -> list[str]:
    """The texts of a dictionary, checked as the engine checks others."""
    texts = buffers.dictionary()
    try:
        if max(map(len, texts)) <= limits.CELL_MAX_BYTES:
            return [text.decode() for text in texts]
    except UnicodeDecodeError:
        pass
    raise RefusedError(Refusal.SCHEMA_MISMATCH, f"columns: {column.name}: a text is outside its type")


def _read_as(column: Column, layout: Any) -> Any:
    """How the engine reads the column: the memory is the same.

    16-byte keys as UUIDs, which join as 128-bit integers; decimals with all digits that fit, to be checked.
    """
    if column.decimal is not None:
        digits = _digits_read(column)
        width = ",64" if digits == _NARROW_DIGITS else ""
        return layout.modify(format=f"d:{digits},{column.decimal[1]}{width}")
    return layout.modify(metadata=_UUID) if column.kind == "hex128" else layout


_NARROW_DIGITS: Final = 18
_WIDE_DIGITS: Final = 38


def _digits_read(column: Column) -> int:
    return _NARROW_DIGITS if width_bits(column) == 64 else _WIDE_DIGITS
