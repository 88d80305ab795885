"""Decides whether a column of a source can be carried over to its agreed type exactly, cell by cell.

Reads Arrow arrays of any type. What is returned has the wire type and nothing in it was rounded, truncated or
guessed; cells that cannot be carried over are named by position. Whole columns are judged at once; a single
cell is looked at only after the column has failed, by halving.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from party_client.datasets import hexadecimal
from party_client.datasets.buffers import text_bounds
from party_client.datasets.columns import DICTIONARY, HEX_BYTES, HEX_DIGITS, expected, wire_type
from party_client.datasets.errors import PROBLEMS_MAX, ColumnsError
from protos.formats.limits import CELL_MAX_BYTES
from protos.formats.schema import Column


@dataclass(frozen=True)
class Finding:
    """Cells of one column that are not as agreed: their positions in the array, and what was expected."""

    positions: npt.NDArray[np.int64]
    expected: str


_Converted: TypeAlias = "tuple[pa.Array[Any], list[Finding]]"
_Conversion: TypeAlias = "Callable[[Column, pa.Array[Any]], _Converted]"


def conform(column: Column, values: pa.Array[Any]) -> tuple[pa.Array[Any], list[Finding]]:
    """`values` in the wire type of `column`, and what is wrong with them.

    With findings the returned array is meaningless. Raises `ColumnsError` when the type as such does not fit.
    """
    values = _without_wrapping(column, values)
    convert = _conversion(column, values.type)
    try:
        converted, findings = convert(column, values)
    except pa.ArrowInvalid:
        positions = failing_positions(lambda part: convert(column, part), values)
        return values, [Finding(np.fromiter(positions, dtype=np.int64), expected(column))]
    return converted, [*findings, *_rule_findings(column, converted)]


def failing_positions(convert: Callable[[pa.Array[Any]], object], values: pa.Array[Any]) -> Iterator[int]:
    """Positions of the first `PROBLEMS_MAX` single values for which `convert` raises, found by halving."""
    found = 0
    pending = [(0, len(values))]
    while pending and found < PROBLEMS_MAX:
        start, count = pending.pop()
        try:
            convert(values.slice(start, count))
        except pa.ArrowInvalid:
            if count == 1:
                found += 1
                yield start
            else:
                half = count // 2
                pending += [(start + half, count - half), (start, half)]


def _without_wrapping(column: Column, values: Any) -> pa.Array[Any]:
    """`values` without an extension type (such as uuid) or a dictionary around the values themselves.

    Texts keep their dictionary: that is how they travel.
    """
    if isinstance(values.type, pa.BaseExtensionType):
        values = values.storage
    if not pa.types.is_dictionary(values.type):
        return cast("pa.Array[Any]", values)
    if column.kind == "text" and _is_text(values.type.value_type) and not values.dictionary.null_count:
        texts = values.dictionary.cast(pa.string())
        return cast("pa.Array[Any]", pa.DictionaryArray.from_arrays(values.indices.cast(pa.int32()), texts))
    return cast("pa.Array[Any]", values.dictionary_decode())


def _conversion(column: Column, given: pa.DataType) -> _Conversion:
    if given in (wire_type(column), DICTIONARY):
        return _as_it_is
    if pa.types.is_null(given) or _castable(column.kind, given):
        return _cast
    if column.kind in _SPECIAL:
        takes, convert = _SPECIAL[column.kind]
        if takes(given):
            return convert
    raise _wrong_type(column, given)


def _castable(kind: str, given: pa.DataType) -> bool:
    """Casts that Arrow checks value by value: none of them rounds."""
    is_number = pa.types.is_integer(given) or pa.types.is_floating(given)
    return {
        "text": _is_text(given),
        "int64": is_number,
        "float64": is_number,
        "decimal": pa.types.is_decimal(given),
        "date": pa.types.is_date(given),
    }.get(kind, False)


def _is_text(given: pa.DataType) -> bool:
    return pa.types.is_string(given) or pa.types.is_large_string(given) or pa.types.is_string_view(given)


def _as_it_is(_: Column, values: pa.Array[Any]) -> _Converted:
    return values, []


def _cast(column: Column, values: pa.Array[Any]) -> _Converted:
    return values.cast(wire_type(column)), []


def _from_digits(column: Column, values: pa.Array[Any]) -> _Converted:
    if pa.types.is_binary(values.type):
        return values.cast(pa.binary(HEX_BYTES)), []
    if values.type != pa.binary(HEX_DIGITS):
        values = values.cast(pa.binary()).cast(pa.binary(HEX_DIGITS))
    decoded, bad = hexadecimal.decode(values)
    return decoded, [] if bad is None else [Finding(np.flatnonzero(bad), expected(column))]


def _from_integers(column: Column, values: pa.Array[Any]) -> _Converted:
    return values.cast(pa.decimal128(20, 0)).cast(wire_type(column)), []  # 2**64 has 20 digits


def _to_microseconds(column: Column, values: Any) -> _Converted:
    # The stored value of a zoned time is UTC already; casting changes the unit, exactly or not at all.
    return values.cast(pa.timestamp("us", values.type.tz)).view(wire_type(column)), []


def _to_date(column: Column, values: pa.Array[Any]) -> _Converted:
    dates = values.cast(pa.date32())
    with_time = pc.not_equal(dates.cast(values.type), values)
    return dates, _where(with_time, f"{expected(column)}, without a time")


_KEYS: Final = (pa.binary(), pa.binary(HEX_DIGITS))
_SPECIAL: Final[dict[str, tuple[Callable[[Any], bool], _Conversion]]] = {
    "hex128": (lambda given: _is_text(given) or given in _KEYS, _from_digits),
    "decimal": (pa.types.is_integer, _from_integers),
    "timestamp": (pa.types.is_timestamp, _to_microseconds),
    "date": (lambda given: pa.types.is_timestamp(given) and given.tz is None, _to_date),
}


def _rule_findings(column: Column, values: pa.Array[Any]) -> list[Finding]:
    """What the agreement says beyond the type: nulls, finite numbers, cells of bounded size."""
    findings = []
    if values.null_count and not column.nullable:
        findings += _where(values.is_null(), f"{expected(column)}, this column must not be empty")
    if column.kind == "float64":
        finite = pc.is_finite(values)
        if pc.all(finite).as_py() is False:
            findings += _where(pc.invert(finite), expected(column))
    if column.kind == "text":
        lengths = _text_lengths(values)
        if len(lengths) and int(lengths.max()) > CELL_MAX_BYTES:
            too_long = np.flatnonzero(lengths > CELL_MAX_BYTES)
            findings.append(Finding(too_long, f"at most {CELL_MAX_BYTES} bytes in one cell"))
    return findings


def _text_lengths(values: Any) -> npt.NDArray[np.int32]:
    """In bytes, of each row; under a null anything."""
    has_dictionary = pa.types.is_dictionary(values.type)
    lengths: npt.NDArray[np.int32] = np.diff(text_bounds(values.dictionary if has_dictionary else values))
    if has_dictionary and len(lengths) and int(lengths.max()) > CELL_MAX_BYTES:
        lengths = lengths[np.asarray(values.indices.fill_null(0))]
    return lengths


def _where(mask: Any, what: str) -> list[Finding]:
    positions = np.flatnonzero(mask.fill_null(False).to_numpy(zero_copy_only=False))
    return [Finding(positions, what)] if len(positions) else []


def _wrong_type(column: Column, given: pa.DataType) -> ColumnsError:
    hint = f"convert the column to {column.type} at the source"
    if column.kind == "decimal" and pa.types.is_floating(given):
        hint = (
            "a float is not an exact decimal: keep the amounts as decimal.Decimal, as text in a CSV file, "
            "or as whole cents in an int64 column"
        )
    if column.kind == "hex128":
        hint = f"give {HEX_DIGITS} hexadecimal digits as text, or {HEX_BYTES} bytes"
    return ColumnsError(
        f"column {column.name}: got {given}, expected {column.type} ({expected(column)})", hint=hint
    )
