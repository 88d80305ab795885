"""Every rounding is to the side it says, by very little."""

from __future__ import annotations

import math
from decimal import Context, Decimal
from fractions import Fraction

import pytest

from protos.privacy import rounding

PRECISE = Context(prec=120)
NUMBERS = [Fraction(1, 10**9), Fraction(1, 3), Fraction(1), Fraction(22, 7), Fraction(10**20 + 1, 3)]


def precise(function: str, x: Fraction) -> Fraction:
    argument = PRECISE.divide(Decimal(x.numerator), Decimal(x.denominator))
    return Fraction(getattr(PRECISE, function)(argument))


@pytest.mark.parametrize("x", NUMBERS, ids=str)
def test_logarithms_enclose_the_true_one(x: Fraction) -> None:
    true, slack = precise("ln", x), Fraction(1, 10**45)
    assert true - slack <= rounding.ln_down(x) <= true <= rounding.ln_up(x) <= true + slack


@pytest.mark.parametrize("x", [*(-x for x in NUMBERS[:-1]), Fraction(0), *NUMBERS[:-1]], ids=str)
def test_exponentials_enclose_the_true_one(x: Fraction) -> None:
    true, slack = precise("exp", x), Fraction(1, 10**45)
    assert true - slack <= rounding.exp_down(x) < true < rounding.exp_up(x) <= true + slack


def test_exponentials_of_very_negative_numbers_stay_bounds() -> None:
    assert rounding.exp_down(Fraction(-(10**40))) == 0
    assert 0 < rounding.exp_up(Fraction(-(10**40))) < Fraction(1, 10**800)


@pytest.mark.parametrize("x", NUMBERS, ids=str)
def test_square_roots_are_not_more_than_the_true_one(x: Fraction) -> None:
    root = rounding.sqrt_down(x)
    assert root**2 < x < (root * (1 + Fraction(1, 10**45))) ** 2


@pytest.mark.parametrize("x", NUMBERS, ids=str)
def test_short_numbers_are_on_their_side_and_short(x: Fraction) -> None:
    down, up = rounding.short_down(x), rounding.short_up(x)
    assert down <= x <= up
    assert up - down <= x / 2**30
    for short in (down, up):
        odd = short.numerator >> ((short.numerator & -short.numerator).bit_length() - 1)
        assert odd.bit_length() <= rounding.SHORT_BITS + 1
        assert math.log2(short.denominator).is_integer()


def test_a_logarithm_that_is_exact_is_exact() -> None:
    assert rounding.ln_up(Fraction(1)) == rounding.ln_down(Fraction(1)) == 0
