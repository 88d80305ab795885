"""Which way a number is rounded: always to the side that promises less privacy than there is.

Reads exact fractions and gives exact fractions that are proved bounds. There is no binary floating point
here: `decimal` rounds exp, ln and sqrt correctly (half even), so one unit further in the last place is a
bound, the same on every machine. Guarantees `*_down(x) <= f(x) <= *_up(x)`, and both are monotone in x.
"""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from fractions import Fraction
from typing import Final

_DIGITS: Final = 50
_UP: Final = Context(prec=_DIGITS, rounding=ROUND_CEILING)
_DOWN: Final = Context(prec=_DIGITS, rounding=ROUND_FLOOR)
_SMALLEST_EXPONENT: Final = Fraction(-2000)
"""e to this power stands for everything smaller, so that bounds stay short."""
SHORT_BITS: Final = 32
"""Significant bits of a noise scale: 2^-32 more noise than needed, and quick arithmetic."""


def exp_up(x: Fraction) -> Fraction:
    """At least e to the power of `x`."""
    return Fraction(_UP.next_plus(_UP.exp(_upper(max(x, _SMALLEST_EXPONENT)))))


def exp_down(x: Fraction) -> Fraction:
    """At most e to the power of `x`, at least 0."""
    return Fraction(_DOWN.next_minus(_DOWN.exp(_lower(x)))) if x >= _SMALLEST_EXPONENT else Fraction(0)


def ln_up(x: Fraction) -> Fraction:
    """At least the natural logarithm of `x`, which is positive."""
    # ln 1 is exact; the number after 0 would have a million places.
    bound = _upper(x)
    return Fraction(0) if bound == 1 else Fraction(_UP.next_plus(_UP.ln(bound)))


def ln_down(x: Fraction) -> Fraction:
    """At most the natural logarithm of `x`, which is positive."""
    bound = _lower(x)
    return Fraction(0) if bound == 1 else Fraction(_DOWN.next_minus(_DOWN.ln(bound)))


def sqrt_down(x: Fraction) -> Fraction:
    """At most the square root of `x`, which is positive."""
    return Fraction(_DOWN.next_minus(_DOWN.sqrt(_lower(x))))


def short_up(x: Fraction) -> Fraction:
    """At least `x`, which is positive, with `SHORT_BITS` significant bits."""
    unit = _unit_of(x)
    return math.ceil(x / unit) * unit


def short_down(x: Fraction) -> Fraction:
    """At most `x`, which is positive, with `SHORT_BITS` significant bits."""
    unit = _unit_of(x)
    return math.floor(x / unit) * unit


def _unit_of(x: Fraction) -> Fraction:
    """A power of two of which `x` is at least 2^(SHORT_BITS - 1) and less than 2^(SHORT_BITS + 1)."""
    return Fraction(2) ** (x.numerator.bit_length() - x.denominator.bit_length() - SHORT_BITS)


def _upper(x: Fraction) -> Decimal:
    return _UP.divide(Decimal(x.numerator), Decimal(x.denominator))


def _lower(x: Fraction) -> Decimal:
    return _DOWN.divide(Decimal(x.numerator), Decimal(x.denominator))
