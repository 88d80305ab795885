"""The noise has the distribution it claims, to the last digit; and a tenth more or less is noticed."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction

import opendp.prelude as opendp
import pytest

from enclave_compute.samplers import Sampler
from tests.noise_statistics import (
    FALSE_ALARM,
    allowed_gap,
    allowed_gap_between,
    gap,
    gap_between,
    gaussian_mass,
    laplace_mass,
)

DRAWS = 120_000
LAPLACE = [Fraction(1, 2), Fraction(1), Fraction(22, 7), Fraction(1000)]
GAUSSIAN = [Fraction(1, 3), Fraction(1), Fraction(9), Fraction(10**6 + 1, 7)]


@pytest.mark.parametrize("scale", LAPLACE, ids=str)
def test_laplace_is_discrete_laplace(scale: Fraction) -> None:
    assert gap(Sampler().laplace(scale, DRAWS), laplace_mass(scale)) <= allowed_gap(DRAWS)


@pytest.mark.parametrize("squared", GAUSSIAN, ids=str)
def test_gaussian_is_discrete_gaussian(squared: Fraction) -> None:
    assert gap(Sampler().gaussian(squared, DRAWS), gaussian_mass(squared)) <= allowed_gap(DRAWS)


@pytest.mark.parametrize("factor", [Fraction(9, 10), Fraction(11, 10)], ids=str)
def test_a_scale_wrong_by_a_tenth_is_noticed(factor: Fraction) -> None:
    laplace = Sampler().laplace(20 * factor, DRAWS)
    assert gap(laplace, laplace_mass(Fraction(20))) > allowed_gap(DRAWS)
    gaussian = Sampler().gaussian(400 * factor**2, DRAWS)
    assert gap(gaussian, gaussian_mass(Fraction(400))) > allowed_gap(DRAWS)


def test_rounded_continuous_noise_would_be_noticed() -> None:
    rounded = [round(random.gauss(0, 1 / math.sqrt(3))) for _ in range(DRAWS)]
    assert gap(rounded, gaussian_mass(Fraction(1, 3))) > allowed_gap(DRAWS)


def test_every_last_digit_is_as_likely() -> None:
    """Noise much wider than 8 has all remainders alike; steps in it would show here."""
    for sample in (
        Sampler().gaussian(Fraction(10**12), DRAWS),
        Sampler().laplace(Fraction(10**7, 3), DRAWS),
    ):
        counts = Counter(value % 8 for value in sample)
        allowed = math.sqrt(math.log(2 * 8 / FALSE_ALARM) / (2 * DRAWS))
        assert all(abs(counts[digit] / DRAWS - 1 / 8) <= allowed for digit in range(8))


def test_scales_beyond_64_bits() -> None:
    """Sums of decimals have 38 digits: the noise is drawn in the same way, whatever its size."""
    wide = 10**30
    gaussian = [value // (wide // 100) for value in Sampler().gaussian(Fraction(wide**2), DRAWS)]
    assert gap(gaussian, gaussian_mass(Fraction(100**2))) <= allowed_gap(DRAWS) + 0.5 / 100
    laplace = [value // (wide // 100) for value in Sampler().laplace(Fraction(wide), DRAWS)]
    assert gap(laplace, laplace_mass(Fraction(100))) <= allowed_gap(DRAWS) + 1 / 100


@pytest.mark.parametrize("bound", [1, 2, 3, 2**64 - 1, 2**64, 3 * 2**64 + 1])
def test_uniform_numbers_stay_below_their_bound_and_reach_everywhere(bound: int) -> None:
    sampler = Sampler()
    drawn = [sampler._below(bound) for _ in range(2000)]
    assert min(drawn) >= 0
    assert max(drawn) < bound
    for part in range(3):  # each third is met by one draw in three
        low, high = bound * part // 3, bound * (part + 1) // 3
        assert low == high or any(low <= value < high for value in drawn)


def words(*values: int) -> Callable[[int], bytes]:
    """Random bytes of which the 64-bit words come out in this order, then zeros."""
    queue: Iterator[int] = itertools.chain(values, itertools.repeat(0))

    def random_bytes(count: int) -> bytes:
        drawn = [next(queue) for _ in range(count // 8)]
        return b"".join(word.to_bytes(8, "little") for word in reversed(drawn))

    return random_bytes


@pytest.mark.parametrize(
    ("drawn", "numerator", "denominator", "answer"),
    [
        ([2**62 - 1], 1, 4, True),
        ([2**62], 1, 4, False),
        ([2**64 // 3, 2**64 // 3], 1, 3, False),  # a third is 0.5555… in base 16: the first word is equal
        ([2**64 // 3, 2**64 // 3 - 1], 1, 3, True),
        ([2**64 - 1], 1, 1, True),
        ([0], 0, 1, False),
    ],
)
def test_a_comparison_goes_on_until_the_digits_differ(
    drawn: list[int], numerator: int, denominator: int, answer: bool
) -> None:
    tail = [2**64 - 1] * 4 if not answer else []
    sampler = Sampler(words(*drawn, *tail))
    assert sampler._bernoulli(numerator, denominator) is answer


def test_a_word_that_would_favour_small_numbers_is_drawn_again() -> None:
    assert Sampler(words(2**64 - 1, 7))._below(3) == 1  # 2^64 - 1 is a multiple of 3: one too many
    assert Sampler(words(2**64 - 2))._below(3) == 2


def test_the_same_randomness_gives_the_same_noise() -> None:
    def once() -> list[int]:
        source = random.Random(7)
        sampler = Sampler(source.randbytes)
        return [*sampler.gaussian(Fraction(10, 3), 50), *sampler.laplace(Fraction(10, 3), 50)]

    assert once() == once()


def test_no_word_is_used_twice() -> None:
    asked: list[int] = []

    def counting(count: int) -> bytes:
        asked.append(count)
        return len(asked).to_bytes(8, "little") * (count // 8)

    sampler = Sampler(counting)
    drawn = [sampler._word() for _ in range(asked[0] // 8 if asked else 1024)]
    assert drawn == [1] * 512 + [2] * 512
    assert asked == [4096, 4096]


def test_two_samplers_draw_different_noise() -> None:
    assert Sampler().gaussian(Fraction(10**20), 4) != Sampler().gaussian(Fraction(10**20), 4)


@pytest.fixture(scope="module", autouse=True)
def contributed() -> None:
    opendp.enable_features("contrib")


def test_gaussian_agrees_with_opendp() -> None:
    draws, scale = 100_000, 20.0
    space = opendp.vector_domain(opendp.atom_domain(T="i64")), opendp.l2_distance(T="i64")
    theirs = (space >> opendp.m.then_gaussian(scale=scale))([0] * draws)
    assert gap_between(theirs, Sampler().gaussian(Fraction(400), draws)) <= allowed_gap_between(draws)
    assert gap_between(theirs, Sampler().gaussian(Fraction(484), draws)) > allowed_gap_between(draws)


def test_laplace_agrees_with_opendp() -> None:
    draws, scale = 100_000, 20.0
    space = opendp.vector_domain(opendp.atom_domain(T="i64")), opendp.l1_distance(T="i64")
    theirs = (space >> opendp.m.then_laplace(scale=scale))([0] * draws)
    assert gap_between(theirs, Sampler().laplace(Fraction(20), draws)) <= allowed_gap_between(draws)
    assert gap_between(theirs, Sampler().laplace(Fraction(24), draws)) > allowed_gap_between(draws)
