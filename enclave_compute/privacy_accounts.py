"""What every owner's privacy budget has been spent of in this enclave life, and whether a run still fits.

Exact whole numbers; nothing is rounded on the way. The shares that runs get (`protos.plan.stakes`) never add
up to more than a budget, so a refusal here is a second barrier behind the numbers of runs. What an operator
could reset by starting another enclave is said in `docs/threat-model.md`, attacks 15 and 32.
"""

from __future__ import annotations

from dataclasses import dataclass

from enclave_compute.errors import RefusedError
from protos.formats.agreement import Agreement
from protos.formats.calls import Refusal
from protos.formats.privacy import PrivacyEntry
from protos.formats.privacy_loss import LossUnits, PrivacyCharge, PrivacySpent
from protos.plan import Plan
from protos.plan.stakes import budget_of
from protos.privacy import Budget, BudgetExceededError, Loss, nothing


@dataclass(frozen=True)
class _Account:
    entry: PrivacyEntry
    budget: Budget
    spent: Loss

    def after(self, cost: Loss) -> _Account:
        """The account after a run that costs so much. Raises `RefusedError`."""
        try:
            return _Account(self.entry, self.budget, self.budget.require_left(self.spent, cost))
        except BudgetExceededError as error:
            raise RefusedError(
                Refusal.PRIVACY_SPENT, f"the privacy budget of {self.entry.owner} is spent"
            ) from error

    def stated(self) -> PrivacySpent:
        """For statements and receipts."""
        return PrivacySpent(
            self.entry.owner, self.entry.noise, _units(self.spent), _units(self.budget.allowance)
        )


class PrivacyAccounts:
    """One account for each owner with a budget. Not thread-safe: runs take turns."""

    def __init__(self, agreement: Agreement) -> None:
        self._accounts = {
            entry.owner: _Account(entry, budget_of(entry), nothing(entry.noise))
            for entry in agreement.privacy
        }

    def left(self) -> tuple[PrivacySpent, ...]:
        """Every account, in the order of the agreement."""
        return tuple(account.stated() for account in self._accounts.values())

    def charges(self, plan: Plan) -> tuple[PrivacyCharge, ...]:
        """What a run of `plan` takes from whom, in the order of the agreement; nothing is taken yet.

        Empty for a plan without noise. Raises `RefusedError` when it does not fit.
        """
        costs = _costs(plan)
        return tuple(
            PrivacyCharge(_units(costs[owner]), account.after(costs[owner]).stated())
            for owner, account in self._accounts.items()
            if owner in costs
        )

    def charge(self, plan: Plan) -> None:
        """Take it, from every owner or, raising `RefusedError`, from none."""
        self._accounts |= {owner: self._accounts[owner].after(cost) for owner, cost in _costs(plan).items()}


def _costs(plan: Plan) -> dict[str, Loss]:
    return {} if plan.noise is None else dict(plan.noise.plan.costs)


def _units(loss: Loss) -> LossUnits:
    return LossUnits(*loss.in_units())
