"""How a sample is compared with a distribution: with bounds for every sample size, wrong once in 1e9.

Dvoretzky, Kiefer, Wolfowitz, with Massart's constant: the largest gap between the distribution function and
that of n draws exceeds t with probability at most 2 exp(-2 n t²), for discrete distributions too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Final

FALSE_ALARM: Final = 1e-9
Mass = Callable[[int], float]


def laplace_mass(scale: Fraction) -> Mass:
    """Of the discrete Laplace distribution: (1-q) / (1+q) q^|x| with q = exp(-1/scale)."""
    q = math.exp(-1 / scale)
    return lambda x: (1 - q) / (1 + q) * math.exp(-abs(x) / float(scale))


def gaussian_mass(squared_scale: Fraction) -> Mass:
    """Of the discrete Gaussian distribution, normalised by a sum over all that is not nothing."""
    v = float(squared_scale)
    reach = math.ceil(12 * math.sqrt(v)) + 2
    total = math.fsum(math.exp(-x * x / (2 * v)) for x in range(-reach, reach + 1))
    return lambda x: math.exp(-x * x / (2 * v)) / total


def gap(sample: Sequence[int], mass: Mass) -> float:
    """The largest distance between the two distribution functions, looked for within the sample's range."""
    counts, low, high = Counter(sample), min(sample), max(sample)
    width = high - low
    expected = math.fsum(mass(x) for x in range(low - 4 * width - 40, low))
    drawn, largest = 0, expected
    for x in range(low, high + 1):
        drawn += counts[x]
        expected += mass(x)
        largest = max(largest, abs(drawn / len(sample) - expected))
    return largest


def allowed_gap(draws: int) -> float:
    """What `gap` exceeds once in a thousand million times if the sample is of the distribution."""
    return math.sqrt(math.log(2 / FALSE_ALARM) / (2 * draws))


def gap_between(one: Sequence[int], other: Sequence[int]) -> float:
    """The largest distance between the distribution functions of two samples of one size."""
    assert len(one) == len(other)
    ones, others = Counter(one), Counter(other)
    difference, largest = 0, 0
    for x in sorted(ones.keys() | others.keys()):
        difference += ones[x] - others[x]
        largest = max(largest, abs(difference))
    return largest / len(one)


def allowed_gap_between(draws: int) -> float:
    """As `allowed_gap`, for two samples of `draws` each (Wei, Dudley 2012, from 458 draws on)."""
    return math.sqrt(math.log(2 / FALSE_ALARM) / draws)


def least_probability(hits: int, draws: int) -> float:
    """A bound that the true probability is under once in a thousand million times (Hoeffding)."""
    return hits / draws - math.sqrt(math.log(1 / FALSE_ALARM) / (2 * draws))


def largest_probability(hits: int, draws: int) -> float:
    """A bound that the true probability is over once in a thousand million times (Hoeffding)."""
    return hits / draws + math.sqrt(math.log(1 / FALSE_ALARM) / (2 * draws))
