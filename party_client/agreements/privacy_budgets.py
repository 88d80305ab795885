"""What an owner's privacy budget allows: for one run, over all runs, and what that means for one person.

From the agreement's own values and the plans that the enclave will run, by the accounting that it does. It
says what is bounded and by how much, never that something is safe. Follows `docs/privacy.md`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from protos.formats.agreement import Agreement
from protos.formats.privacy import PrivacyEntry
from protos.plan import Plan
from protos.plan.stakes import budget_of, runs_with_noise
from protos.privacy import Budget, Loss, Mechanism

NOISES: Final[dict[Mechanism, str]] = {
    "gaussian": "gaussian (bell-shaped) noise",
    "laplace": "laplace (two-sided exponential) noise",
}
_LARGE_EPSILON: Final = 5
_STEPS_MOST: Final = 6


@dataclass(frozen=True)
class RunCost:
    """What one run of one query costs an owner."""

    query: str
    part: float
    """Of the budget, from 0 to 1."""
    epsilon_alone: float
    """What this run would count as if it were the only one ever, at the owner's delta."""


@dataclass(frozen=True)
class BudgetLeft:
    """Where an owner's budget stands after some runs of the query that costs most."""

    runs: int
    epsilon: float
    """What they count as together, at the owner's delta."""
    part_left: float
    """Of the budget, from 0 to 1."""


@dataclass(frozen=True)
class BudgetCheck:
    """One owner's privacy budget, explained."""

    owner: str
    epsilon: str
    delta: str
    noise: Mechanism
    datasets: tuple[str, ...]
    """Of this owner: no exact result of any of them leaves."""
    queries: tuple[str, ...]
    """That are charged to it."""
    runs_shared: int
    """Runs over which the budget is shared evenly: as many as the agreement allows with noise."""
    costs: tuple[RunCost, ...]
    left: tuple[BudgetLeft, ...]
    """After 0, 1, … runs; empty when no query is charged."""
    sentences: tuple[str, ...]


def owners_with_budget(agreement: Agreement) -> frozenset[str]:
    """Owners no exact result of whose data leaves."""
    return frozenset(entry.owner for entry in agreement.privacy)


def budget_checks(agreement: Agreement, plans: Iterable[Plan]) -> tuple[BudgetCheck, ...]:
    """The budget of every owner who has one, in the order of the agreement."""
    compiled = [plan for plan in plans if plan.noise is not None]
    return tuple(_check(agreement, entry, compiled) for entry in agreement.privacy)


def spent_part(budget: Budget, spent: Loss) -> float:
    """How much of `budget` a loss is, from 0 to 1: of its noise or of its delta, whichever is more."""
    allowed = budget.allowance
    parts = [spent.amount / allowed.amount]
    if allowed.delta:
        parts.append(spent.delta / allowed.delta)
    return float(max(parts))


def odds_factor(epsilon: Fraction) -> str:
    """By how much an epsilon lets odds change: "2.7", "1,097"."""
    factor = math.exp(epsilon)
    return f"{factor:.2g}" if factor < 10 else f"{factor:,.0f}"


def chance(delta: Fraction) -> str:
    """A small probability in words, never less than it is: "1 in 1,000,000"."""
    one_in = int(1 / delta)
    digits = max(0, len(str(one_in)) - 2)
    return f"1 in {one_in // 10**digits * 10**digits:,}"


def percent(part: float) -> str:
    """A part of 1 as people read it: "12.5 %"."""
    return f"{part * 100:.3g} %"


def _check(agreement: Agreement, entry: PrivacyEntry, plans: Sequence[Plan]) -> BudgetCheck:
    budget = budget_of(entry)
    losses = {plan.query: loss for plan in plans if (loss := _cost(plan, entry.owner)) is not None}
    return BudgetCheck(
        owner=entry.owner,
        epsilon=entry.epsilon,
        delta=entry.delta,
        noise=entry.noise,
        datasets=tuple(dataset.id for dataset in agreement.datasets if dataset.owner == entry.owner),
        queries=tuple(losses),
        runs_shared=runs_with_noise(agreement),
        costs=tuple(
            RunCost(query, spent_part(budget, loss), float(budget.epsilon_spent(loss)))
            for query, loss in losses.items()
        ),
        left=tuple(_left(agreement, budget, losses.values())),
        sentences=tuple(_sentences(agreement, entry, budget, losses)),
    )


def _cost(plan: Plan, owner: str) -> Loss | None:
    return None if plan.noise is None else dict(plan.noise.plan.costs).get(owner)


def _left(agreement: Agreement, budget: Budget, losses: Iterable[Loss]) -> Iterator[BudgetLeft]:
    losses = list(losses)
    if not losses:
        return
    most = max(losses, key=lambda loss: spent_part(budget, loss))
    runs = runs_with_noise(agreement)
    steps = min(runs, _STEPS_MOST)
    for count in dict.fromkeys(runs * step // steps for step in range(steps + 1)):
        spent = Loss(most.mechanism, most.amount * count, most.delta * count)
        yield BudgetLeft(count, float(budget.epsilon_spent(spent)), 1 - spent_part(budget, spent))


def _sentences(
    agreement: Agreement, entry: PrivacyEntry, budget: Budget, losses: dict[str, Loss]
) -> Iterator[str]:
    owned = [dataset for dataset in agreement.datasets if dataset.owner == entry.owner]
    names = ", ".join(dataset.id for dataset in owned) or "none"
    yield (
        f"Every query over data of {entry.owner} ({names}) is noisy: no exact result of it leaves, not even "
        "a count. A query that could not be made so would be refused."
    )
    yield _promise(entry, budget, " or ".join(dict.fromkeys(dataset.privacy_unit for dataset in owned)))
    if budget.epsilon >= _LARGE_EPSILON:
        yield f"An epsilon of {entry.epsilon} is large: it bounds little of what one person's rows can show."
    yield (
        f"It is kept by {NOISES[entry.noise]}, drawn inside the enclave anew for every figure of every run. "
        "How large it is depends on the agreement and not on the data: it hides a small group and hardly "
        "changes a large one."
    )
    yield from _runs(agreement, entry, budget, losses)
    yield (
        "For several people together, such as a family of k, epsilon counts k times; somebody in the data of "
        "two owners is subject to both budgets added up. What many people have in common is not hidden."
    )


def _promise(entry: PrivacyEntry, budget: Budget, unit: str) -> str:
    """Whoever is known to be there has one value or another: that is one unit less and one more."""
    but = f", but for a probability of at most {chance(budget.delta)} (delta)" if budget.delta else ""
    return (
        f"What it means for one {unit or 'person'}: whoever reads the results of all runs of one enclave, "
        "and knows everything about everybody else, can change the odds that this one is in the data by a "
        f"factor of at most {odds_factor(budget.epsilon)} (that is epsilon {entry.epsilon}){but}. For what "
        "the records of somebody say who is known to be in it, epsilon counts twice: a factor of at most "
        f"{odds_factor(2 * budget.epsilon)}."
    )


def _runs(
    agreement: Agreement, entry: PrivacyEntry, budget: Budget, losses: dict[str, Loss]
) -> Iterator[str]:
    if not losses:
        yield f"No query that the enclave would run is charged to the budget of {entry.owner}."
        return
    runs = runs_with_noise(agreement)
    shared = "one run" if runs == 1 else f"{runs:,} runs"
    yield (
        f"The budget is for {shared} with noise, as many as this agreement allows, and is shared evenly: "
        + "; ".join(
            f"one run of {query} takes {percent(spent_part(budget, loss))}" for query, loss in losses.items()
        )
        + ". A run that does not fit any more is refused; one that fails while it computes is charged; "
        "fetching a released result again costs nothing."
    )
    if entry.noise == "gaussian" and runs > 1:
        most = max(losses.values(), key=lambda loss: spent_part(budget, loss))
        together = Loss(most.mechanism, most.amount * runs, most.delta * runs)
        yield (
            f"One run alone counts as epsilon {float(budget.epsilon_spent(most)):.2g}. With gaussian noise "
            f"runs add up more slowly than that: all {runs:,} together count as "
            f"{float(budget.epsilon_spent(together)):.2g} of {entry.epsilon}."
        )
    yield (
        "It is counted per enclave: if the parties send their data to another one, the count begins again, "
        "and what people risk is added up."
    )
