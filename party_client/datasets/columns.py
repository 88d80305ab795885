"""Which Arrow types an agreed dataset has on the wire, and what people call them."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from protos.formats.schema import Column

HEX_DIGITS: Final = 32
HEX_BYTES: Final = 16

_PLAIN: Final[dict[str, pa.DataType]] = {
    "bool": pa.bool_(),
    "date": pa.date32(),
    "float64": pa.float64(),
    "hex128": pa.binary(HEX_BYTES),
    "int64": pa.int64(),
    "text": pa.string(),
    "timestamp": pa.timestamp("us"),
}
_EXPECTED: Final = {
    "bool": "true or false",
    "date": "a date like 2013-01-31",
    "float64": "a finite number",
    "hex128": f"{HEX_DIGITS} hexadecimal digits",
    "int64": "a whole number of at most 64 bits",
    "text": "text in UTF-8",
    "timestamp": "a time like 2013-01-31T06:00:00, to the microsecond at most",
}


def wire_type(column: Column) -> pa.DataType:
    """The Arrow type of `column` (`protos.formats.schema.WIRE_TYPES`)."""
    if column.decimal is not None:
        return pa.decimal128(*column.decimal)
    return _PLAIN[column.type]


DICTIONARY: Final = pa.dictionary(pa.int32(), pa.string())
"""The other type that a text column may come in: how a source reads texts that repeat, if it can."""


def expected(column: Column) -> str:
    """What a cell of `column` must be, for people: "a whole number of at most 64 bits"."""
    if column.decimal is not None:
        precision, scale = column.decimal
        return f"a decimal number of at most {precision - scale} digits before and {scale} after the point"
    return _EXPECTED[column.type]
