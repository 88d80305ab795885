"""The columns of a chunk: what is written is read back; what is not as it must be is refused."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protos.formats import limits
from protos.formats.columns import (
    Buffers,
    Texts,
    Values,
    encoded_bytes,
    read_columns_untrusted,
    width_bits,
    write_columns,
)
from protos.formats.errors import FormatError, LimitExceededError
from protos.formats.schema import Column


def column(name: str, kind: str, *, nullable: bool = True) -> Column:
    return Column(name, kind, nullable, frozenset())


COLUMNS = (column("n", "int64", nullable=False), column("b", "bool"), column("t", "text"))
ROWS = 3
BUFFERS: list[Buffers] = [
    Values(memoryview(struct.pack("<3q", 1, -2, 3))),
    Values(memoryview(b"\x05"), valid=memoryview(b"\x07")),
    Texts(memoryview(struct.pack("<3I", 0, 2, 3)), memoryview(b"abc"), codes=memoryview(b"\0\1\0")),
]


def written(columns: tuple[Column, ...], rows: int, buffers: list[Buffers]) -> bytes:
    space = bytearray(b"\xff" * (encoded_bytes(columns, rows, buffers) + 5))
    size = write_columns(columns, rows, buffers, memoryview(space))
    assert space[size:] == b"\xff" * 5, "nothing is written beyond the end"
    return bytes(space[:size])


GOOD = written(COLUMNS, ROWS, BUFFERS)
# Where things stand in it: 6 numbers, then n, validity of b, b, codes, bounds and text of t, each aligned.
NULLS_OF_N, NULLS_OF_B, ENTRIES, TEXT_BYTES = 4, 8, 16, 20
AT_N, AT_VALIDITY, AT_B, AT_CODES, AT_BOUNDS, AT_TEXT = 32, 64, 80, 96, 112, 128


def test_what_was_written_is_read_back() -> None:
    assert read_columns_untrusted(COLUMNS, GOOD) == (ROWS, BUFFERS)
    assert GOOD[AT_N:][:24] == struct.pack("<3q", 1, -2, 3)
    assert GOOD[AT_TEXT:] == b"abc"


@pytest.mark.parametrize(
    ("kind", "width"),
    {
        "bool": 1,
        "date": 32,
        "decimal(18,2)": 64,
        "decimal(19,2)": 128,
        "float64": 64,
        "hex128": 128,
        "int64": 64,
        "timestamp": 64,
    }.items(),
)
def test_widths(kind: str, width: int) -> None:
    one = column("x", kind)
    assert width_bits(one) == width
    assert encoded_bytes((one,), 9, [Values(memoryview(bytes(9 * width // 8 + 1)))]) == 16 + -(
        -9 * width // 8
    )


def set_number(at: int, value: int) -> Callable[[bytearray], None]:
    return lambda data: struct.pack_into("<I", data, at, value)


def set_byte(at: int, value: int) -> Callable[[bytearray], None]:
    return lambda data: data.__setitem__(at, value)


REFUSED: dict[str, Callable[[bytearray], None]] = {
    "one byte less": lambda data: data.__delitem__(-1),
    "one byte more": lambda data: data.append(0),
    "only the sizes": lambda data: data.__delitem__(slice(24, None)),
    "less than the sizes": lambda data: data.__delitem__(slice(23, None)),
    "more rows than there is room for": set_number(0, ROWS + 2),
    "a row less": set_number(0, ROWS - 1),
    "nulls where there are none": set_number(NULLS_OF_N, 1),
    "nulls is 2": set_number(NULLS_OF_B, 2),
    "nulls is missing": set_number(NULLS_OF_B, 0),
    "another number of entries": set_number(ENTRIES, 1),
    "no entries": set_number(ENTRIES, 0),
    "more text": set_number(TEXT_BYTES, 4),
    "very much text": set_number(TEXT_BYTES, 2**32 - 1),
    "something before a buffer": set_byte(AT_N - 1, 1),
    "a null after the last row": set_byte(AT_VALIDITY, 0x0F),
    "a bool after the last row": set_byte(AT_B, 0x0D),
    "a code outside the dictionary": set_byte(AT_CODES + 2, 2),
    "the first bound is not 0": set_number(AT_BOUNDS, 1),
    "the last bound is not the end": set_number(AT_BOUNDS + 8, 2),
    "bounds that descend": set_number(AT_BOUNDS + 4, 4),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what: str) -> None:
    data = bytearray(GOOD)
    REFUSED[what](data)
    with pytest.raises(FormatError):
        read_columns_untrusted(COLUMNS, bytes(data))


def test_too_many_rows_or_entries_are_over_the_limit() -> None:
    flag = (column("b", "bool"),)
    for rows, fits in ((limits.CHUNK_MAX_ROWS, True), (limits.CHUNK_MAX_ROWS + 1, False)):
        data = written(flag, rows, [Values(memoryview(bytes((rows + 7) // 8)))])
        if fits:
            assert read_columns_untrusted(flag, data)[0] == rows
        else:
            with pytest.raises(LimitExceededError, match="expected at most"):
                read_columns_untrusted(flag, data)
    text = (column("t", "text"),)
    for entries in (256, 257):
        bounds = memoryview(struct.pack(f"<{entries + 1}I", *range(entries + 1)))
        texts: list[Buffers] = [Texts(bounds, memoryview(bytes(entries)), codes=memoryview(b"\xff"))]
        data = written(text, 1, texts)
        if entries == 256:
            assert read_columns_untrusted(text, data) == (1, texts)
        else:
            with pytest.raises(LimitExceededError, match="257 entries"):
                read_columns_untrusted(text, data)


def test_nulls_of_a_column_that_has_none_are_refused() -> None:
    data = written((column("n", "int64"),), 1, [Values(memoryview(bytes(8)), valid=memoryview(b"\0"))])
    assert read_columns_untrusted((column("n", "int64"),), data)[0] == 1
    with pytest.raises(FormatError, match="got 1 for nulls, expected 0"):
        read_columns_untrusted((column("n", "int64", nullable=False),), data)


def test_no_rows() -> None:
    columns = (column("n", "int64"), column("t", "text"))
    buffers: list[Buffers] = [Values(memoryview(b"")), Texts(memoryview(bytes(4)), memoryview(b""))]
    assert read_columns_untrusted(columns, written(columns, 0, buffers)) == (0, buffers)


KINDS = st.sampled_from(["bool", "date", "decimal(9,2)", "decimal(38,2)", "float64", "hex128", "text"])


@st.composite
def tables(draw: st.DrawFn) -> tuple[tuple[Column, ...], int, list[Buffers]]:
    rows = draw(st.integers(0, 40))
    columns, buffers = [], []
    for number, kind in enumerate(draw(st.lists(KINDS, min_size=1, max_size=6))):
        columns.append(column(f"c{number}", kind))
        buffers.append(draw(column_buffers(columns[-1], rows)))
    return tuple(columns), rows, buffers


@st.composite
def column_buffers(draw: st.DrawFn, kind: Column, rows: int) -> Buffers:
    bits = st.integers(0, 2**rows - 1).map(lambda n: memoryview(n.to_bytes((rows + 7) // 8, "little")))
    valid = draw(st.none() | bits)
    if kind.kind == "bool":
        return Values(draw(bits), valid)
    if kind.kind != "text":
        size = rows * width_bits(kind) // 8
        return Values(memoryview(draw(st.binary(min_size=size, max_size=size))), valid)
    entries = draw(st.integers(0, 5))
    count = entries or rows
    texts = draw(st.lists(st.binary(max_size=5), min_size=count, max_size=count))
    ends = [sum(map(len, texts[:n])) for n in range(count + 1)]
    codes = (
        bytes(draw(st.lists(st.integers(0, entries - 1), min_size=rows, max_size=rows))) if entries else None
    )
    return Texts(
        memoryview(struct.pack(f"<{count + 1}I", *ends)),
        memoryview(b"".join(texts)),
        codes=None if codes is None else memoryview(codes),
        valid=valid,
    )


@given(tables())
def test_any_buffers_have_one_encoding(table: tuple[tuple[Column, ...], int, list[Buffers]]) -> None:
    columns, rows, buffers = table
    data = written(columns, rows, buffers)
    assert len(data) == encoded_bytes(columns, rows, buffers)
    assert read_columns_untrusted(columns, data) == (rows, buffers)


@settings(max_examples=500)
@given(tables(), st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), min_size=1, max_size=4))
def test_damage_is_refused_or_is_the_encoding_of_something_else(
    table: tuple[tuple[Column, ...], int, list[Buffers]], changes: list[tuple[int, int]]
) -> None:
    columns, rows, buffers = table
    damaged = bytearray(written(columns, rows, buffers))
    for position, value in changes:
        damaged[position % len(damaged)] = value
    try:
        read_rows, read = read_columns_untrusted(columns, bytes(damaged))
    except FormatError:
        return
    assert written(columns, read_rows, read) == bytes(damaged)
