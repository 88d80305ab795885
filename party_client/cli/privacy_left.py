"""How what is spent of owners' privacy budgets is shown: exact in JSON, as epsilon and parts for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

from party_client.agreements.privacy_budgets import percent, spent_part
from protos.formats.agreement import Agreement
from protos.formats.privacy import PrivacyEntry
from protos.formats.privacy_loss import LossUnits, PrivacyCharge, PrivacySpent
from protos.plan.stakes import budget_of
from protos.privacy import LOSS_UNIT, Loss


def left_rows(agreement: Agreement, accounts: Iterable[PrivacySpent]) -> list[tuple[str, ...]]:
    """(Owner, epsilon that all runs so far count as, of how much, part of the budget that is left)."""
    return [
        (
            account.owner,
            f"{_epsilon(entry, account.spent):.3g}",
            entry.epsilon,
            percent(1 - _part(entry, account.spent)),
        )
        for entry, account in _with_entries(agreement, accounts)
    ]


def left_facts(agreement: Agreement, accounts: Iterable[PrivacySpent]) -> dict[str, Any]:
    """By owner: the exact losses in units of 2^-160, and what they mean."""
    return {
        account.owner: {
            "noise": account.noise,
            "epsilon": entry.epsilon,
            "delta": entry.delta,
            "epsilon_spent": _epsilon(entry, account.spent),
            "part_left": 1 - _part(entry, account.spent),
            "spent": account.spent.to_value(),
            "allowed": account.allowed.to_value(),
            "left": account.left.to_value(),
        }
        for entry, account in _with_entries(agreement, accounts)
    }


def charge_sentences(agreement: Agreement, charges: Iterable[PrivacyCharge]) -> Iterator[str]:
    """What a run cost each owner, and what was left after it."""
    charges = tuple(charges)
    entries = _with_entries(agreement, (charge.after for charge in charges))
    for charge, (entry, after) in zip(charges, entries, strict=True):
        yield (
            f"cost {percent(_part(entry, charge.cost))} of the privacy budget of {entry.owner}; "
            f"{percent(1 - _part(entry, after.spent))} left, epsilon {_epsilon(entry, after.spent):.3g} of "
            f"{entry.epsilon} spent"
        )


def _with_entries(
    agreement: Agreement, accounts: Iterable[PrivacySpent]
) -> list[tuple[PrivacyEntry, PrivacySpent]]:
    entries = {entry.owner: entry for entry in agreement.privacy}
    return [(entries[account.owner], account) for account in accounts]


def _loss(entry: PrivacyEntry, units: LossUnits) -> Loss:
    return Loss(entry.noise, Fraction(units.amount) * LOSS_UNIT, Fraction(units.delta) * LOSS_UNIT)


def _part(entry: PrivacyEntry, units: LossUnits) -> float:
    return spent_part(budget_of(entry), _loss(entry, units))


def _epsilon(entry: PrivacyEntry, units: LossUnits) -> float:
    return float(budget_of(entry).epsilon_spent(_loss(entry, units)))
