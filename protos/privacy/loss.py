"""What may have been learned about any one unit of an owner, as a number that adds up over columns and runs.

Two ways of counting, one for each kind of noise. *Laplace*: `amount` is epsilon of pure differential privacy;
runs add up (Dwork, Roth 2014, theorem 3.16). *Gaussian*: `amount` is rho of zero-concentrated differential
privacy, which adds up as well and grows more slowly in terms of epsilon (Bun, Steinke 2016, lemma 1.7).
Beside it stands `delta`, the probability that a group which one unit alone brought about is shown; it adds up
too (Bun, Steinke 2016, lemma 8.2).

rho becomes (epsilon, delta) by Canonne, Kamath, Steinke 2020, corollary 13: for *every* alpha > 1,

    epsilon = alpha rho + (ln(1/delta) - alpha ln alpha) / (alpha - 1) + ln(alpha - 1)

holds, so the smallest over a fixed list of alphas does. The list is fine enough to be within 0.2 % of the
best. All of it is exact or rounded against us (`rounding`); the sums are exact. Budgets, shares and costs
are whole numbers of `LOSS_UNIT`, so that a ledger keeps them as integers that do not grow with the number of
runs.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal

from protos.privacy.errors import PrivacyParameterError
from protos.privacy.rounding import ln_down, ln_up, short_down, short_up

Mechanism = Literal["gaussian", "laplace"]
MECHANISMS: Final[tuple[Mechanism, ...]] = ("gaussian", "laplace")


LOSS_UNIT: Final = Fraction(1, 2**160)


@dataclass(frozen=True)
class Loss:
    """An upper bound on what releases so far, or one release, say about one unit."""

    mechanism: Mechanism
    amount: Fraction
    """rho for gaussian noise, epsilon for laplace noise."""
    delta: Fraction
    """What selecting group keys from the data adds; 0 where keys are declared."""

    def __post_init__(self) -> None:
        if self.mechanism not in MECHANISMS:
            raise PrivacyParameterError(f"got noise {self.mechanism!r}, expected one of {MECHANISMS}")
        if self.amount < 0 or not 0 <= self.delta < 1:
            raise PrivacyParameterError("a privacy loss is not negative, and its delta is less than 1")

    def __add__(self, other: Loss) -> Loss:
        if self.mechanism != other.mechanism:
            raise PrivacyParameterError(
                f"losses of {self.mechanism} and {other.mechanism} noise do not add up",
                hint="give all owners of one query the same kind of noise",
            )
        return Loss(self.mechanism, self.amount + other.amount, self.delta + other.delta)

    def share(self, part: Fraction) -> Loss:
        """`part` of it, from 0 to 1, rounded down: what one run may cost when the whole is for several."""
        if not 0 <= part <= 1:
            raise PrivacyParameterError(f"got the share {part}, expected a part of 1")
        return Loss(self.mechanism, self.amount * part, self.delta * part).whole_down()

    def whole_down(self) -> Loss:
        """In whole units, at most this: for what may be spent."""
        amount, delta = self.amount // LOSS_UNIT, self.delta // LOSS_UNIT
        return Loss(self.mechanism, amount * LOSS_UNIT, delta * LOSS_UNIT)

    def whole_up(self) -> Loss:
        """In whole units, at least this: for what is charged."""
        amount, delta = -(-self.amount // LOSS_UNIT), -(-self.delta // LOSS_UNIT)
        return Loss(self.mechanism, amount * LOSS_UNIT, delta * LOSS_UNIT)

    def in_units(self) -> tuple[int, int]:
        """(amount, delta) in `LOSS_UNIT`, which it is a whole number of."""
        if self != self.whole_down():
            raise PrivacyParameterError("a loss that is not in whole units")
        return int(self.amount / LOSS_UNIT), int(self.delta / LOSS_UNIT)

    def is_within(self, allowed: Loss) -> bool:
        """Whether it is of the same kind as `allowed` and in no respect more."""
        same = self.mechanism == allowed.mechanism
        return same and self.amount <= allowed.amount and self.delta <= allowed.delta


def nothing(mechanism: Mechanism) -> Loss:
    """The loss before the first run."""
    return Loss(mechanism, Fraction(0), Fraction(0))


def epsilon_of_rho(rho: Fraction, delta: Fraction) -> Fraction:
    """An epsilon such that rho-zCDP implies (epsilon, `delta`)-DP, rounded up."""
    if rho == 0:
        return Fraction(0)
    log_up = ln_up(1 / delta)
    smallest = min(order.alpha * rho + order.rest(log_up) for order in _orders())
    return short_up(smallest) if smallest > 0 else Fraction(0)


@functools.lru_cache(maxsize=1024)
def rho_of_epsilon(epsilon: Fraction, delta: Fraction) -> Fraction:
    """A rho such that rho-zCDP implies (`epsilon`, `delta`)-DP, rounded down."""
    log_up = ln_up(1 / delta)
    largest = max((epsilon - order.rest(log_up)) / order.alpha for order in _orders())
    return short_down(largest)


@dataclass(frozen=True)
class _Order:
    """One alpha, and what does not depend on rho and delta."""

    alpha: Fraction
    constant: Fraction
    """At least ln(alpha - 1) - alpha ln alpha / (alpha - 1)."""

    def rest(self, log_up: Fraction) -> Fraction:
        return log_up / (self.alpha - 1) + self.constant


@functools.cache
def _orders() -> tuple[_Order, ...]:
    """alpha - 1 from 2^-8 to 2^32 in eight even steps for each power of two."""
    above = (Fraction(8 + step, 8) * Fraction(2) ** power for power in range(-8, 32) for step in range(8))
    return tuple(_Order(1 + a, ln_up(a) - (1 + a) * ln_down(1 + a) / a) for a in above)
