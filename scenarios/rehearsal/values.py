"""Made-up values of one column: from numbers to an Arrow array of the agreed type, all rows at once.

Every kind of column has an order of whole numbers behind it: a decimal is its smallest units, a date its
days, a timestamp its microseconds, a text or a key its number in a list.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from protos.formats.schema import Column
from scenarios.rehearsal.hints import Hint

_Numbers = npt.NDArray[np.int64]
Values: TypeAlias = "pa.Array[Any]"
GROUPS: Final = 8
"""Different values of a column whose values make groups and of which nothing else is known."""
_FIRST_DAY: Final = 19_723
"""2024-01-01, in days since 1970."""
_DAYS: Final = 365
_DAY_US: Final = 86_400_000_000
_HOUR_US: Final = 3_600_000_000
_HUNDREDTHS: Final = 100
"""Numbers of a float64 column are hundredths."""
_TRUE_SHARE: Final = 0.7
_KEYS_MOST: Final = 2**31
_TEXT_DIGITS: Final = 6
_HEX_DIGITS: Final = 32
_UNSCALED_MOST: Final = 10**15


def capacity(column: Column) -> int:
    """How many different keys there can be in a column of this type."""
    if column.decimal is not None:
        return int(min(_KEYS_MOST, 10 ** column.decimal[0] - 1))
    return {"bool": 2, "date": 100 * _DAYS}.get(column.kind, _KEYS_MOST)


def key_numbers(column: Column, keys: _Numbers) -> _Numbers:
    """The numbers of the keys 0, 1, 2, …: days for dates, hours for timestamps."""
    if column.kind == "date":
        return keys + _FIRST_DAY
    if column.kind == "timestamp":
        return keys * _HOUR_US + _FIRST_DAY * _DAY_US
    return keys if column.kind == "bool" else keys + 1


def spread_of(
    column: Column, hints: Sequence[Hint], *, is_grouped: bool, count: int, random: np.random.Generator
) -> _Numbers:
    """Numbers for a column that is no key: few and skewed where they make groups, else spread out.

    They fall on both sides of `hints`. Texts that a query knows have the numbers -1, -2, …
    """
    if column.kind == "bool":
        return (random.random(count) < _TRUE_SHARE).astype(np.int64)
    if column.kind in ("text", "hex128"):
        texts = _texts(column, hints)
        options = [*range(1, 1 + max(2, GROUPS - len(texts))), *range(-len(texts), 0)]
        return _choice(options, is_skewed=is_grouped, count=count, random=random)
    known = sorted({number for hint in hints if (number := _number(column, hint)) is not None})
    if is_grouped:
        step = {"date": 7, "timestamp": 7 * _DAY_US}.get(column.kind, 1)
        near = {number + side * step for number in known for side in (-1, 0, 1)}
        options = sorted(near) or list(map(int, key_numbers(column, np.arange(GROUPS, dtype=np.int64))))
        return _choice(options, is_skewed=True, count=count, random=random)
    low, high = _range(column, known)
    if known:
        return random.integers(low, high, size=count, endpoint=True)
    # Amounts as they are in life: many small ones, a few large.
    return np.minimum(low + (high - low) * random.random(count) ** 3, high).astype(np.int64)


def array_of(
    column: Column,
    numbers: _Numbers,
    missing: npt.NDArray[np.bool_] | None,
    *,
    label: str,
    hints: Sequence[Hint] = (),
) -> Values:
    """The numbers as values of the column's type, null where `missing`. Made-up texts begin with `label`."""
    made = _plain(column, np.abs(numbers), label) if column.kind == "text" else _plain(column, numbers, label)
    if (numbers < 0).any() and (texts := _texts(column, hints)):
        known = pa.array(texts).take(np.clip(-numbers - 1, 0, len(texts) - 1))
        made = pc.if_else(pa.array(numbers < 0), known, made)
    if missing is not None:
        made = pc.if_else(pa.array(missing), pa.scalar(None, made.type), made)
    return made


def _plain(column: Column, numbers: _Numbers, label: str) -> Values:
    made: Values
    if column.kind in ("text", "hex128"):
        return _named(column, numbers, label)
    if column.decimal is not None:
        return _decimals(numbers, *column.decimal)
    if column.kind == "bool":
        made = pa.array(numbers == 1)
    elif column.kind == "date":
        made = pa.array(numbers.astype(np.int32)).cast(pa.date32())
    elif column.kind == "timestamp":
        made = pa.array(numbers).cast(pa.timestamp("us"))
    else:
        made = pa.array(numbers / _HUNDREDTHS if column.kind == "float64" else numbers)
    return made


def _named(column: Column, numbers: _Numbers, label: str) -> Values:
    digits = pa.array(numbers).cast(pa.string())
    made: Values
    if column.kind == "hex128":
        made = pc.utf8_lpad(digits, _HEX_DIGITS, "0")
        return made
    end = "@example.org" if column.normalise == "email/v1" else ""
    parts: list[Any] = [f"{label}-", pc.utf8_lpad(digits, _TEXT_DIGITS, "0"), end, ""]
    made = pc.binary_join_element_wise(*parts)
    return made


def _decimals(numbers: _Numbers, digits: int, scale: int) -> Values:
    """Smallest units as decimal128, which is two words of 64 bits, the lower one first."""
    words = np.empty((len(numbers), 2), dtype="<i8")
    words[:, 0], words[:, 1] = numbers, numbers >> 63
    return pa.Array.from_buffers(
        pa.decimal128(digits, scale), len(numbers), [None, pa.py_buffer(words.tobytes())]
    )


def _choice(options: Sequence[int], *, is_skewed: bool, count: int, random: np.random.Generator) -> _Numbers:
    weights = np.power(0.5 if is_skewed else 0.9, np.arange(len(options)))
    order = random.permutation(np.array(options, dtype=np.int64))
    return random.choice(order, size=count, p=weights / weights.sum())


def _range(column: Column, known: Sequence[int]) -> tuple[int, int]:
    """Lowest and highest number, both inclusive, around the known ones."""
    if known:
        around = {"date": 30, "timestamp": 30 * _DAY_US}.get(column.kind, abs(known[-1]) // 2)
        span = max(known[-1] - known[0], around, 10)
        low, high = known[0] - span // 2, known[-1] + span // 2
        return (max(low, 0) if known[0] >= 0 else low), _most(column, high)
    if column.kind == "date":
        return _FIRST_DAY, _FIRST_DAY + _DAYS
    if column.kind == "timestamp":
        return _FIRST_DAY * _DAY_US, (_FIRST_DAY + _DAYS) * _DAY_US
    scale = 10 ** min(column.decimal[1], 6) if column.decimal else 1
    return 0, _most(column, 1_000 * scale * (_HUNDREDTHS if column.kind == "float64" else 1))


def _most(column: Column, high: int) -> int:
    room = 10 ** column.decimal[0] - 1 if column.decimal else _UNSCALED_MOST * _DAY_US
    return min(high, room, 2**62)


def _texts(column: Column, hints: Sequence[Hint]) -> list[str]:
    """The texts that a query compares the column with and that it can hold."""
    if column.kind == "text":
        return [hint for hint in hints if isinstance(hint, str)]
    return []


def _number(column: Column, hint: Hint) -> int | None:
    """The number behind a value that a query names; None when it is none of this column's."""
    if column.kind in ("date", "timestamp"):
        return _moment(column, hint)
    if isinstance(hint, str):
        try:
            hint = Decimal(hint)  # of a parameter whose bounds are decimals
        except InvalidOperation:
            return None
    scale = 10 ** column.decimal[1] if column.decimal else _HUNDREDTHS if column.kind == "float64" else 1
    exact = Decimal(hint)
    return int(exact * scale) if exact.is_finite() and abs(exact * scale) < _UNSCALED_MOST else None


def _moment(column: Column, hint: Hint) -> int | None:
    if not isinstance(hint, str):
        return None
    try:
        days = (date.fromisoformat(hint[:10]) - date(1970, 1, 1)).days
        if column.kind == "date":
            return days
        return (datetime.fromisoformat(hint).replace(tzinfo=None) - datetime(1970, 1, 1)) // _US
    except ValueError:
        return None


_US: Final = datetime(1970, 1, 1, 0, 0, 0, 1) - datetime(1970, 1, 1)
