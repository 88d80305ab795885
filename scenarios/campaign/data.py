"""A publisher's audience and an advertiser's orders: made up, the same on every machine, addresses in a mess.

Half of the readers are customers. Each side writes an address in its own way: capitals, blanks around it,
and accents as one character or as two. Compared byte by byte, hardly any two of them are the same.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute

SEED: Final = 20260301
FIRST_NAMES: Final = ("ana", "bruno", "chloé", "dörte", "esra", "fátima", "goran", "håkon", "ines", "josé")
LAST_NAMES: Final = ("almeida", "bäcker", "conti", "dvořák", "eriksen", "fonseca", "garcía", "hansen")
DOMAINS: Final = ("example.com", "example.net", "example.org", "mail.example")
SHOWN: Final = ("A", "B", "nothing")
DEVICES: Final = ("phone", "tablet", "desktop", "television")
_DEVICE_SHARES: Final = (0.55, 0.15, 0.2999, 0.0001)
"""Few have a television with the application: their groups are small enough to be held back."""
_FIRST_DAY: Final = np.datetime64("2026-02-01", "D")
_DAYS: Final = 60
_OPEN_ORDERS_SHARE: Final = 0.02
"""Orders without an amount yet."""
_LIFT: Final = {"A": 1.0, "B": 0.9, "nothing": 0.75}
"""How likely somebody is to buy after all, by what they were shown: what the query is to find."""

# The stubs of pyarrow know neither `utf8_normalize` nor plain texts among arrays.
_compute: Any = pyarrow.compute
_Integers = npt.NDArray[np.int64]


def tables(rows: int) -> dict[str, pa.Table]:
    """Dataset id to its table: `rows` readers, and `rows` orders."""
    random = np.random.Generator(np.random.PCG64(SEED))
    shown = random.integers(len(SHOWN), size=2 * rows)
    return {"audience": _audience(rows, shown, random), "orders": _orders(rows, shown, random)}


def _audience(rows: int, shown: _Integers, random: np.random.Generator) -> pa.Table:
    """People 0 to rows - 1, once each, in no order; `shown` says for each person which of `SHOWN`."""
    people = random.permutation(rows)
    return pa.table(
        {
            "email": _as_written(people, random),
            "shown": _pick(SHOWN, shown[people]),
            "device": _pick(DEVICES, random.choice(len(DEVICES), size=rows, p=_DEVICE_SHARES)),
        }
    )


def _orders(rows: int, shown: _Integers, random: np.random.Generator) -> pa.Table:
    """People rows / 2 to 3 rows / 2, some with many orders and some with none."""
    first, second = rows // 2 + random.integers(rows, size=(2, rows))
    # Whoever hesitates leaves the order to somebody else.
    buys = random.random(rows) < np.array([_LIFT[name] for name in SHOWN])[shown[first]]
    people = np.where(buys, first, second)
    cents = np.maximum(1, random.lognormal(mean=8.2, sigma=0.9, size=rows).astype(np.int64))
    is_open = random.random(rows) < _OPEN_ORDERS_SHARE
    return pa.table(
        {
            "email": _as_written(people, random),
            "ordered_on": pa.array(_FIRST_DAY + random.integers(_DAYS, size=rows)),
            "amount": _decimal(cents, missing=is_open),
        }
    )


def _as_written(people: _Integers, random: np.random.Generator) -> pa.Array[Any]:
    """The address of each person, each time in one of five ways that mean the same."""
    plain = _addresses(people)
    ways = [
        plain,
        _compute.utf8_upper(plain),
        _compute.utf8_capitalize(plain),
        _compute.binary_join_element_wise("  ", plain, " ", ""),
        _compute.utf8_normalize(plain, form="NFD"),
    ]
    written: pa.Array[Any] = _compute.choose(pa.array(random.integers(len(ways), size=len(people))), *ways)
    return written


def _addresses(people: _Integers) -> pa.Array[Any]:
    """`first.last.number@domain`, all lower-case and composed; different people have different numbers."""
    addresses: pa.Array[Any] = _compute.binary_join_element_wise(
        _compute.binary_join_element_wise(
            _pick(FIRST_NAMES, people % len(FIRST_NAMES)),
            _pick(LAST_NAMES, people // 7 % len(LAST_NAMES)),
            _compute.cast(pa.array(people), pa.string()),
            ".",
        ),
        _pick(DOMAINS, people // 3 % len(DOMAINS)),
        "@",
    )
    return addresses


def _pick(words: tuple[str, ...], indices: _Integers) -> pa.Array[Any]:
    return pa.array(words).take(indices)


def _decimal(cents: _Integers, *, missing: npt.NDArray[np.bool_]) -> pa.Array[Any]:
    """decimal128(12,2) of whole cents, exactly: scaled by an exact hundredth, not by a float."""
    whole = pa.array(cents, mask=missing).cast(pa.decimal128(19, 0))
    hundredth = pa.scalar("0.01").cast(pa.decimal128(3, 2))
    amounts: pa.Array[Any] = _compute.multiply(whole, hundredth).cast(pa.decimal128(12, 2))
    return amounts
