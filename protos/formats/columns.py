"""How the rows of a chunk are laid out in its plaintext: columns of plain bytes, sizes first, nothing else.

Which columns there are, in which order and how wide, follows from the agreement; a chunk says only how many
rows it has and, for each column, whether it has nulls and how much text. So nothing in it describes itself,
and every position is arithmetic. `read_columns_untrusted` reads bytes that a party made and guarantees that
every buffer is there, has its size and that no code points outside its dictionary; what depends on values is
checked by whoever reads them. Writing gives the one encoding that these buffers have.

Followed: protos/README.md, "Sealed dataset", the part on plaintexts; the buffers themselves are those of the
Arrow columnar format 1.5 ("Physical memory layout"), little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from protos.formats import limits
from protos.formats.errors import FormatError, LimitExceededError
from protos.formats.schema import Column

ALIGNMENT_BYTES: Final = 16
"""Every buffer begins at a multiple of this: the width of the widest value."""
DICTIONARY_MAX_ENTRIES: Final = 256
"""So that a code is one byte."""
NARROW_DECIMAL_MAX_DIGITS: Final = 18
"""Decimals of so many digits are 8 bytes, those of more are 16."""

_NUMBER: Final = struct.Struct("<I")
_BOUND_BYTES: Final = 4
_WIDTHS_BITS: Final = {
    "bool": 1,
    "date": 32,
    "float64": 64,
    "hex128": 128,
    "int64": 64,
    "timestamp": 64,
}


@dataclass(frozen=True)
class Values:
    """A column of values of one width."""

    values: memoryview
    """`rows` values; of a bool one bit each, the first in the lowest bit."""
    valid: memoryview | None = None
    """One bit a row, 0 where the value is null; None when none is."""


@dataclass(frozen=True)
class Texts:
    """A text column: a text for each row, or each different text once and a code for each row."""

    bounds: memoryview
    """Where each text ends in `text`, after a first 0: 4 bytes each, one more than there are texts."""
    text: memoryview
    codes: memoryview | None = None
    """With a dictionary: one byte a row, the number of its text. Without: None."""
    valid: memoryview | None = None
    """As in `Values`."""

    @property
    def entries(self) -> int:
        """Of the dictionary; 0 when there is none."""
        return 0 if self.codes is None else len(self.bounds) // _BOUND_BYTES - 1

    def dictionary(self) -> list[bytes]:
        """The texts that the codes stand for, in the order of the codes; empty when there are none."""
        if self.codes is None:
            return []
        bounds = struct.unpack(f"<{self.entries + 1}I", self.bounds)
        return [bytes(self.text[begin:end]) for begin, end in pairwise(bounds)]


Buffers = Values | Texts


def width_bits(column: Column) -> int:
    """How wide one value of `column` is, which is not text."""
    if column.decimal is not None:
        return 64 if column.decimal[0] <= NARROW_DECIMAL_MAX_DIGITS else 128
    return _WIDTHS_BITS[column.kind]


def encoded_bytes(columns: Sequence[Column], rows: int, buffers: Sequence[Buffers]) -> int:
    """The size of the encoding of `buffers`, one for each of `columns`."""
    at = _prelude_bytes(columns)
    for size in _sizes(columns, rows, [_numbers(one) for one in buffers]):
        at = _aligned(at) + size
    return at


def write_columns(columns: Sequence[Column], rows: int, buffers: Sequence[Buffers], into: memoryview) -> int:
    """Writes the encoding of `buffers` to the beginning of `into`; how many bytes it has."""
    numbers = [_numbers(one) for one in buffers]
    flat = [rows, *(number for one in numbers for number in one)]
    at = _prelude_bytes(columns)
    struct.pack_into(f"<{len(flat)}I", into, 0, *flat)
    sizes = _sizes(columns, rows, numbers)
    for size, part in zip(sizes, (part for one in buffers for part in _parts(one)), strict=True):
        begin = _aligned(at)
        into[at:begin] = bytes(begin - at)
        at = begin + size
        into[begin:at] = part
    return at


def read_columns_untrusted(columns: Sequence[Column], chunk: bytes) -> tuple[int, list[Buffers]]:
    """(Rows, the buffers of each column) in `chunk`: views of it, nothing is copied.

    Raises `FormatError`, and `LimitExceededError` for too many rows. That bounds ascend, and everything that
    depends on values, is left to the reader of the values.
    """
    view = memoryview(chunk)
    rows, numbers, at = _read_prelude(columns, view)
    parts = []
    for size in _sizes(columns, rows, numbers):
        begin = _aligned(at)
        if begin + size > len(view):
            raise FormatError(f"columns: got {len(view)} bytes, expected at least {begin + size}")
        if any(view[at:begin]):
            raise FormatError("columns: expected zeros between the buffers")
        at = begin + size
        parts.append(view[begin:at])
    if at != len(view):
        raise FormatError(f"columns: got {len(view)} bytes, expected {at}")
    rest = iter(parts)
    return rows, [_take(column, one, rows, rest) for column, one in zip(columns, numbers, strict=True)]


def _read_prelude(columns: Sequence[Column], view: memoryview) -> tuple[int, list[tuple[int, ...]], int]:
    size = _prelude_bytes(columns)
    if len(view) < size:
        raise FormatError(f"columns: got {len(view)} bytes, expected at least {size}")
    (rows,) = _NUMBER.unpack_from(view)
    if rows > limits.CHUNK_MAX_ROWS:
        raise LimitExceededError(f"columns: got {rows} rows, expected at most {limits.CHUNK_MAX_ROWS}")
    at, numbers = _NUMBER.size, []
    for column in columns:
        count = _count_of_numbers(column)
        numbers.append(struct.unpack_from(f"<{count}I", view, at))
        at += count * _NUMBER.size
    return rows, numbers, at


def _take(column: Column, numbers: tuple[int, ...], rows: int, parts: Iterator[memoryview]) -> Buffers:
    """The buffers of one column, from what is left of all parts."""
    where = f"columns: {column.name}"
    if numbers[0] > column.nullable:
        raise FormatError(
            f"{where}: got {numbers[0]} for nulls, expected {'0 or 1' if column.nullable else 0}"
        )
    valid = next(parts) if numbers[0] else None
    if valid is not None:
        _require_no_bits_after(valid, rows, where)
    if column.kind != "text":
        values = next(parts)
        if column.kind == "bool":
            _require_no_bits_after(values, rows, where)
        return Values(values, valid)
    _, entries, text_bytes = numbers
    if entries > DICTIONARY_MAX_ENTRIES:
        raise LimitExceededError(f"{where}: got {entries} entries, expected at most {DICTIONARY_MAX_ENTRIES}")
    codes = next(parts) if entries else None
    bounds, text = next(parts), next(parts)
    first, last = _NUMBER.unpack_from(bounds)[0], _NUMBER.unpack_from(bounds, len(bounds) - _BOUND_BYTES)[0]
    if (first, last) != (0, text_bytes):
        raise FormatError(f"{where}: got bounds {first} to {last}, expected 0 to {text_bytes}")
    if codes is not None:
        _require_dictionary(codes, entries, bounds, where)
    return Texts(bounds, text, codes, valid)


def _require_dictionary(codes: memoryview, entries: int, bounds: memoryview, where: str) -> None:
    # `translate` is the fastest way to ask whether any byte is outside a set.
    if bytes(codes).translate(None, bytes(range(entries))):
        raise FormatError(f"{where}: got a code outside the dictionary, expected less than {entries}")
    if any(low > high for low, high in pairwise(struct.unpack(f"<{entries + 1}I", bounds))):
        raise FormatError(f"{where}: got bounds that descend")


def _require_no_bits_after(bits: memoryview, rows: int, where: str) -> None:
    if rows % 8 and bits[-1] >> rows % 8:
        raise FormatError(f"{where}: expected zeros after the bit of the last row")


def _numbers(buffers: Buffers) -> tuple[int, ...]:
    """What the prelude says of a column."""
    has_nulls = int(buffers.valid is not None)
    if isinstance(buffers, Values):
        return (has_nulls,)
    return has_nulls, buffers.entries, len(buffers.text)


def _parts(buffers: Buffers) -> Iterator[memoryview]:
    if buffers.valid is not None:
        yield buffers.valid
    if isinstance(buffers, Values):
        yield buffers.values
        return
    if buffers.codes is not None:
        yield buffers.codes
    yield buffers.bounds
    yield buffers.text


def _sizes(columns: Sequence[Column], rows: int, numbers: Sequence[tuple[int, ...]]) -> Iterator[int]:
    """The sizes of all buffers in bytes, in the order of `_parts`."""
    for column, one in zip(columns, numbers, strict=True):
        if one[0]:
            yield _bytes_of_bits(rows)
        if column.kind != "text":
            yield _bytes_of_bits(rows * width_bits(column))
            continue
        _, entries, text_bytes = one
        if entries:
            yield rows
        yield _BOUND_BYTES * ((entries or rows) + 1)
        yield text_bytes


def _count_of_numbers(column: Column) -> int:
    return 3 if column.kind == "text" else 1


def _prelude_bytes(columns: Sequence[Column]) -> int:
    return _NUMBER.size * (1 + sum(map(_count_of_numbers, columns)))


def _bytes_of_bits(bits: int) -> int:
    return (bits + 7) // 8


def _aligned(at: int) -> int:
    return -(-at // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
