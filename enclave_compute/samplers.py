"""Draws whole numbers from the discrete Laplace and discrete Gaussian distributions, exactly.

Reads a scale as an exact fraction and random bytes from the kernel, and nothing of any dataset; the time
that it takes depends on these alone. Guarantees that the probability of every value is the one of the
formula, not an approximation of it: there is no floating point and no rounding, only comparisons of whole
numbers with uniform random ones (what rounded noise gives away: Mironov 2012, "On significance of the least
significant bits").

Follows Canonne, Kamath, Steinke 2020, "The Discrete Gaussian for Differential Privacy": algorithm 1
(Bernoulli of exp(-x)), algorithm 2 (discrete Laplace) and algorithm 3 (discrete Gaussian).
"""

from __future__ import annotations

import math
import os
from array import array
from collections.abc import Callable
from fractions import Fraction
from typing import Final

RandomBytes = Callable[[int], bytes]
"""That many bytes, uniform and independent: `os.urandom`, which is the kernel's getrandom."""

_WORD_BITS: Final = 64
_WORD_VALUES: Final = 1 << _WORD_BITS
_WORDS_AT_ONCE: Final = 512


class Sampler:
    """Draws as many values as are asked for. Keeps unused random words to itself; not thread-safe."""

    def __init__(self, random_bytes: RandomBytes = os.urandom) -> None:
        self._random_bytes = random_bytes
        self._words: array[int] = array("Q")

    def laplace(self, scale: Fraction, count: int) -> list[int]:
        """`count` values with mass proportional to exp(-|x| / `scale`)."""
        numerator, denominator = scale.numerator, scale.denominator
        return [self._laplace(numerator, denominator) for _ in range(count)]

    def gaussian(self, squared_scale: Fraction, count: int) -> list[int]:
        """`count` values with mass proportional to exp(-x² / 2 `squared_scale`)."""
        numerator, denominator = squared_scale.numerator, squared_scale.denominator
        # Any width is right; the integer just above the standard deviation needs the fewest attempts.
        width = math.isqrt(numerator // denominator) + 1
        return [self._gaussian(numerator, denominator, width) for _ in range(count)]

    def _gaussian(self, numerator: int, denominator: int, width: int) -> int:
        """Algorithm 3: a Laplace value, kept with probability exp(-(|y| - v / width)² / 2v)."""
        divisor = 2 * numerator * denominator * width * width
        while True:
            value = self._laplace(width, 1)
            distance = abs(value) * width * denominator - numerator
            if self._bernoulli_exp(distance * distance, divisor):
                return value

    def _laplace(self, numerator: int, denominator: int) -> int:
        """Algorithm 2: a geometric value in steps of `numerator`, a uniform place in the step, a sign."""
        while True:
            place = self._below(numerator)
            if not self._bernoulli_exp_small(place, numerator):
                continue
            steps = 0
            while self._bernoulli_exp_small(1, 1):
                steps += 1
            value = (place + numerator * steps) // denominator
            if self._word() & 1 == 0:
                return value
            if value:  # 0 has no sign: counted once
                return -value

    def _bernoulli_exp(self, numerator: int, denominator: int) -> bool:
        """True with probability exp(-`numerator` / `denominator`), for any fraction from 0."""
        while numerator > denominator:
            if not self._bernoulli_exp_small(1, 1):
                return False
            numerator -= denominator
        return self._bernoulli_exp_small(numerator, denominator)

    def _bernoulli_exp_small(self, numerator: int, denominator: int) -> bool:
        """Algorithm 1: the same for a fraction of at most 1, as the parity of a run of successes."""
        attempt = 1
        while self._bernoulli(numerator, denominator * attempt):
            attempt += 1
        return attempt % 2 == 1

    def _bernoulli(self, numerator: int, denominator: int) -> bool:
        """True with probability `numerator` / `denominator`, of at most 1.

        Compares the fraction with a uniform number between 0 and 1 whose binary digits are drawn, 64 at a
        time, until they decide.
        """
        while True:
            numerator = (numerator << _WORD_BITS) - self._word() * denominator
            if numerator <= 0:
                return False
            if numerator >= denominator:
                return True

    def _below(self, bound: int) -> int:
        """Uniform from 0 to `bound` - 1."""
        words = (bound.bit_length() + _WORD_BITS - 1) // _WORD_BITS
        values = 1 << (_WORD_BITS * words)
        usable = values - values % bound
        while True:
            drawn = self._word()
            for _ in range(words - 1):
                drawn = drawn << _WORD_BITS | self._word()
            if drawn < usable:
                return drawn % bound

    def _word(self) -> int:
        """64 random bits, used once."""
        if not self._words:
            self._words.frombytes(self._random_bytes(_WORDS_AT_ONCE * _WORD_BITS // 8))
        return self._words.pop()
