"""How far noise may reach, as proved bounds: for group thresholds and for what an analyst can expect.

Discrete Laplace of scale b has mass (1-q)/(1+q) q^|x| with q = e^(-1/b), so P[X >= m] = q^m / (1+q) exactly.
Discrete Gaussian with parameter v has mass e^(-x²/2v) / s, where s is the sum of e^(-x²/2v) over all whole
x. By Poisson summation s >= sqrt(2 pi v) (Canonne, Kamath, Steinke 2020, section 3), and s >= 1;
neighbouring terms from m on shrink by at least e^(-(2m+1)/2v), so P[X >= m] <= e^(-m²/2v) / (s (1 -
e^(-(2m+1)/2v))).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from protos.privacy.errors import PrivacyParameterError
from protos.privacy.loss import Mechanism
from protos.privacy.rounding import exp_down, exp_up, sqrt_down

_PI_DOWN: Final = Fraction(314159265, 10**8)


@dataclass(frozen=True)
class Noise:
    """The noise added to every cell of one column, drawn anew for each."""

    mechanism: Mechanism
    scale: Fraction
    """Laplace: the scale b, standard deviation at most sqrt(2) b. Gaussian: the *square* of the scale."""

    def __post_init__(self) -> None:
        if self.scale <= 0:
            raise PrivacyParameterError("a scale of noise is more than 0")

    @property
    def variance(self) -> Fraction:
        """At least the variance: the discrete distributions are narrower than the continuous ones."""
        return self.scale if self.mechanism == "gaussian" else 2 * self.scale**2


def tail(noise: Noise, reach: int) -> Fraction:
    """At least P[noise >= `reach`], for a `reach` of 1 or more; falls as `reach` grows."""
    if reach < 1:
        return Fraction(1)
    if noise.mechanism == "laplace":
        return exp_up(-reach / noise.scale) / (1 + exp_down(-1 / noise.scale))
    total = max(Fraction(1), sqrt_down(2 * _PI_DOWN * noise.scale))
    shrinking = 1 - exp_up(-Fraction(2 * reach + 1) / (2 * noise.scale))
    if shrinking <= 0:
        return Fraction(1)
    return min(Fraction(1), exp_up(-Fraction(reach**2) / (2 * noise.scale)) / (total * shrinking))


def reach_of(noise: Noise, probability: Fraction) -> int:
    """The smallest m of which the bound says P[noise >= m] <= `probability`."""
    high = 1
    while tail(noise, high) > probability:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if tail(noise, middle) <= probability else (middle, high)
    return high
