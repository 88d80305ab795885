"""Writes a result as an Arrow IPC stream of which every single byte follows from the values in it.

The engine leaves whatever was in memory under a NULL and splits a table as its threads happened to run. So
each column is rebuilt: zeros under NULLs, one record batch, one schema. Equal tables are equal bytes, and
nothing travels in the gaps. Types are those of `protos.formats.schema.WIRE_TYPES`.
"""

from __future__ import annotations

import io
from array import array
from dataclasses import dataclass, field
from typing import Any, Final

import nanoarrow as na
from nanoarrow.ipc import StreamWriter

from protos.plan import Output
from protos.plan.quoting import quoted

_ZEROS: Final = {
    "bool": "FALSE",
    "date": "DATE '1970-01-01'",
    "decimal": "0",
    "float64": "0.0::DOUBLE",
    "hex128": "''",
    "int64": "0",
    "text": "''",
    "timestamp": "TIMESTAMP '1970-01-01 00:00:00'",
}
_WIDTHS_BYTES: Final = {"bool": 1, "date": 4, "decimal": 16, "float64": 8, "int64": 8, "timestamp": 8}


def columns_sql(outputs: tuple[Output, ...]) -> str:
    """Two columns for each output, neither ever NULL: its value or a zero, and 1 if it has a value."""
    return ", ".join(
        f"{_value_sql(output)}, CAST({quoted(output.name)} IS NOT NULL AS TINYINT)" for output in outputs
    )


def write_table(outputs: tuple[Output, ...], batches: list[Any]) -> bytes:
    """The IPC stream of the rows in `batches`, which have the columns that `columns_sql` says."""
    columns = [_Column(output) for output in outputs]
    for batch in batches:
        parts = list(batch.children)
        for index, column in enumerate(columns):
            column.append(parts[2 * index].view(), parts[2 * index + 1].view())
    rows = sum(batch.length for batch in batches)
    schema = na.struct({column.output.name: column.arrow_type() for column in columns})
    table = na.c_array_from_buffers(
        schema, rows, [None], null_count=0, children=[column.finish(rows) for column in columns]
    )
    written = io.BytesIO()
    with StreamWriter.from_writable(written) as writer:
        writer.write_array(table)
    return written.getvalue()


@dataclass
class _Column:
    """One column while it grows batch by batch."""

    output: Output
    valid: bytearray = field(default_factory=bytearray)
    """One byte a row: 1 where there is a value."""
    values: bytearray = field(default_factory=bytearray)
    ends: array[int] = field(default_factory=lambda: array("i", [0]))
    """Of text: where each value ends in `values`, after a first 0."""

    def append(self, values: Any, valid: Any) -> None:
        self.valid += _slice(valid, 1, 1)
        if self.output.type.kind != "text":
            self.values += _slice(values, 1, _WIDTHS_BYTES[self.output.type.kind])
            return
        offsets = memoryview(values.buffer(1))[values.offset : values.offset + values.length + 1]
        first, last = (offsets[0], offsets[-1]) if len(offsets) else (0, 0)
        shift = len(self.values) - first
        self.ends.extend(offset + shift for offset in offsets[1:])
        self.values += memoryview(values.buffer(2)).cast("B")[first:last]

    def arrow_type(self) -> Any:
        kind = self.output.type
        if kind.kind == "decimal":
            return na.decimal128(kind.digits, kind.scale)
        return {
            "bool": na.bool_(),
            "date": na.date32(),
            "float64": na.float64(),
            "int64": na.int64(),
            "text": na.string(),
            "timestamp": na.timestamp("us"),
        }[kind.kind]

    def finish(self, rows: int) -> Any:
        kind = self.output.type.kind
        nulls = self.valid.count(0)
        buffers: list[Any] = [_bits(self.valid) if nulls else None]
        if kind == "text":
            buffers += [self.ends, bytes(self.values)]
        else:
            buffers.append(_bits(self.values) if kind == "bool" else bytes(self.values))
        return na.c_array_from_buffers(self.arrow_type(), rows, buffers, null_count=nulls)


def _value_sql(output: Output) -> str:
    name, kind = quoted(output.name), output.type.kind
    value = f"COALESCE({name}, {_ZEROS[kind]})"
    return f"CAST({value} AS TINYINT)" if kind == "bool" else f"CAST({value} AS {output.type.sql()})"


def _slice(view: Any, buffer: int, width_bytes: int) -> memoryview:
    data = memoryview(view.buffer(buffer)).cast("B")
    return data[view.offset * width_bytes : (view.offset + view.length) * width_bytes]


def _bits(flags: bytearray) -> bytes:
    """One bit a row, the first row in the lowest bit of the first byte, zeros after the last."""
    digits = flags.translate(_DIGITS)[::-1].decode("ascii")
    return int(digits or "0", 2).to_bytes((len(flags) + 7) // 8, "little")


_DIGITS: Final = b"01" + bytes(254)
