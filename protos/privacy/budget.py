"""What an owner lets be learned about any one unit, over all runs, and whether a run still fits in it.

The owner states (epsilon, delta) and the kind of noise. Inside, the budget is an allowance that losses are
subtracted from. For gaussian noise half of delta pays for the conversion of rho into epsilon and half for
group keys selected from the data; for laplace noise all of it is for selected keys, and a delta of 0 is pure
differential privacy with declared keys only. Spending within the allowance keeps (epsilon, delta).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from protos.formats.limits import DELTA_MAX, DELTA_MIN, EPSILON_MAX, EPSILON_MIN
from protos.privacy.errors import BudgetExceededError, PrivacyParameterError
from protos.privacy.loss import MECHANISMS, Loss, Mechanism, epsilon_of_rho, rho_of_epsilon

RUNS_MAX: Final = 10**6
_DENOMINATOR_MAX: Final = 10**40


@dataclass(frozen=True)
class Budget:
    """One owner's promise to its people."""

    epsilon: Fraction
    delta: Fraction
    """A failure that this promise allows; far smaller than 1 / number of units. 0 only with laplace noise."""
    mechanism: Mechanism

    def __post_init__(self) -> None:
        if self.mechanism not in MECHANISMS:
            raise PrivacyParameterError(f"got noise {self.mechanism!r}, expected one of {MECHANISMS}")
        if max(self.epsilon.denominator, self.delta.denominator) > _DENOMINATOR_MAX:
            raise PrivacyParameterError("epsilon and delta have at most 40 decimal places")
        if not EPSILON_MIN <= self.epsilon <= EPSILON_MAX:
            raise PrivacyParameterError(
                f"got epsilon {float(self.epsilon):g}, expected from {float(EPSILON_MIN):g} to {EPSILON_MAX}",
                hint="common choices over all runs are 1 to 4",
            )
        if self.delta == 0 and self.mechanism == "laplace":
            return
        if not DELTA_MIN <= self.delta <= DELTA_MAX:
            raise PrivacyParameterError(
                f"got delta {float(self.delta):g}, expected {float(DELTA_MIN):g} to {float(DELTA_MAX):g}",
                hint="take much less than 1 / number of people; a delta of 0 needs laplace noise",
            )

    @property
    def allowance(self) -> Loss:
        """The loss that all runs together may cause."""
        if self.mechanism == "laplace":
            return Loss("laplace", self.epsilon, self.delta).whole_down()
        half = self.delta / 2
        return Loss("gaussian", rho_of_epsilon(self.epsilon, half), half).whole_down()

    def each_of(self, runs: int) -> Loss:
        """The even share of one of `runs` runs."""
        if not 1 <= runs <= RUNS_MAX:
            raise PrivacyParameterError(f"got {runs} runs, expected from 1 to {RUNS_MAX}")
        return self.allowance.share(Fraction(1, runs))

    def require_left(self, spent: Loss, cost: Loss) -> Loss:
        """What is spent after a run that costs `cost`. Raises `BudgetExceededError` and charges nothing."""
        after = spent + cost
        if not after.is_within(self.allowance):
            raise BudgetExceededError(
                f"the privacy budget of epsilon {float(self.epsilon):g} does not cover this run",
                hint="what was released can be fetched again; for more, the parties sign another agreement",
            )
        return after

    def epsilon_spent(self, spent: Loss) -> Fraction:
        """The epsilon that holds, with this budget's delta, for what is `spent`; rounded up."""
        if not spent.is_within(self.allowance):
            raise BudgetExceededError("more is spent than the budget ever allowed")
        if self.mechanism == "laplace":
            return spent.amount
        # What is within the allowance keeps the promise; only the upward rounding may say a trace more.
        return min(self.epsilon, epsilon_of_rho(spent.amount, self.delta - spent.delta))
