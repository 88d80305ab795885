"""Says in plain words what noise does in one query: which groups are shown, what is missed, what stays open.

From the compiled plan. Owners' thresholds are floors for noisy numbers here, how much is held back is told to
nobody, and releases are not compared with earlier ones: the budget bounds what repetition shows. Follows
`docs/privacy.md`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from party_client.agreements.plain_language import expression_text
from party_client.agreements.privacy_budgets import chance, percent, spent_part
from protos.formats.agreement import Agreement
from protos.formats.privacy import DomainValue
from protos.formats.query import Query
from protos.plan import Plan
from protos.plan.expressions import columns_of
from protos.plan.plan import Noise
from protos.plan.stakes import budget_of
from protos.privacy.tails import reach_of

_VALUES_SHOWN: Final = 12
_SELDOM: Final = Fraction(5, 200)


def protected_owners(plan: Plan) -> tuple[str, ...]:
    """Those whose budgets a run of `plan` is charged to."""
    return () if plan.noise is None else tuple(owner for owner, _ in plan.noise.plan.costs)


def noise_sentences(agreement: Agreement, plan: Plan) -> Iterator[str]:
    """What noise is in the results of a query, and which rows and values there are; nothing without noise."""
    noise = plan.noise
    if noise is None:
        return
    owners = protected_owners(plan)
    yield (
        f"{', '.join(noise.visible)}: off by noise in every row, for {' and '.join(owners)}. No exact figure "
        "of this query leaves."
    )
    yield from _keys(plan, noise)
    if noise.row_floors:
        what = "is shown without figures" if noise.domains is not None else "is not shown"
        yield (
            f"A row whose noisy number of units is below {noise.required_units:,}, the strictest threshold "
            f"of the owners, {what}. The number is not the exact one: a row with fewer may pass, and one "
            "with more may not."
        )
    if noise.value_floors:
        names = ", ".join(name for name, _ in noise.value_floors)
        yield f"The same holds for the rows that {names} is made of: else the figure is blank."
    for entry in agreement.privacy:
        if entry.owner in owners:
            cost = dict(noise.plan.costs)[entry.owner]
            part = percent(spent_part(budget_of(entry), cost))
            yield f"One run takes {part} of the privacy budget of {entry.owner}."


def noisy_inferences(agreement: Agreement, query: Query, plan: Plan) -> Iterator[str]:
    """What receivers could still work out from results with noise; nothing without noise."""
    noise = plan.noise
    if noise is None:
        return
    owners = " and ".join(protected_owners(plan))
    yield (
        f"Noise hides what one unit of {owners} adds, up to epsilon. What many units have in common shows, "
        "also about those who are not in the data."
    )
    yield from _from_keys(plan, noise)
    if plan.where is not None:
        columns = dict.fromkeys(f"{column.dataset}.{column.column}" for column in columns_of(plan.where))
        yield f"Figures are about those who meet the condition on {', '.join(columns)}."
    if others := sorted({dataset.owner for dataset in plan.datasets} - set(protected_owners(plan))):
        yield (
            f"{', '.join(others)} has no privacy budget: the noise is not made for its units, and their "
            "thresholds are floors for noisy numbers. Ask for [[privacy]] to have a promise for them."
        )
    runs = min(query.max_runs, agreement.limits.max_runs)
    if runs > 1:
        yield (
            f"Noise is drawn anew in every run: the mean of {runs:,} runs is off by {math.sqrt(runs):.2g} "
            "times less than one. That, and whatever can be subtracted, is what the budget bounds; releases "
            "are not compared with earlier ones."
        )


def noisy_run_sentence(plan: Plan, runs: int) -> str:
    """What all runs of a query with noise add up to."""
    return (
        f"Every run has noise of its own, so {runs:,} runs give {runs:,} different results, also with the "
        "same choices. Nothing is compared with earlier releases: what they show together about one unit of "
        f"{' and '.join(protected_owners(plan))} is bounded by the privacy budget, whatever is subtracted."
    )


def _keys(plan: Plan, noise: Noise) -> Iterator[str]:
    if not plan.groups:
        yield "There is one row, whatever the data is."
    elif noise.domains is not None:
        cells = math.prod(map(len, noise.domains))
        yield (
            f"Which groups there are is declared: all {cells:,} combinations of the agreed values are shown, "
            "also those that nobody is in. Rows of the data with any other value, or none, count nowhere."
        )
        for group, domain in zip(plan.groups, noise.domains, strict=True):
            yield f"Agreed values of {expression_text(group)}: {_values(domain)}."
    else:
        yield from _selected(noise)


def _selected(noise: Noise) -> Iterator[str]:
    yield (
        "Which groups there are is selected from the data: a group is shown when its noisy number of units "
        "is large enough, and groups that are small are missed."
    )
    for floor in selecting_floors(noise):
        yield (
            f"For {' and '.join(floor.owners)} the noisy number has to be {floor.least:,} or more. A group "
            f"with as many units is missed about every other time, one with {floor.surely:,} at most 1 in 40 "
            f"times. A group that one unit alone brings about is shown with a probability of at most "
            f"{chance(floor.delta)} in one run."
        )


@dataclass(frozen=True)
class SelectingFloor:
    """What a group's noisy number of units has to reach to be shown."""

    owners: tuple[str, ...]
    least: int
    surely: int
    """With so many units a group is missed at most 1 in 40 times."""
    delta: Fraction
    """At most so likely is a group shown, in one run, that one unit alone brings about."""


def selecting_floors(noise: Noise) -> tuple[SelectingFloor, ...]:
    """The floors of selected keys, one for each column that is counted; none for declared keys."""
    costs = dict(noise.plan.costs)
    owners: dict[tuple[str, int], list[str]] = {}
    for threshold in noise.plan.thresholds:
        owners.setdefault((threshold.column, threshold.least), []).append(threshold.owner)
    return tuple(
        SelectingFloor(
            owners=tuple(names),
            least=least,
            surely=least + reach_of(noise.plan.column(column).noise, _SELDOM) - 1,
            delta=max(costs[name].delta for name in names),
        )
        for (column, least), names in owners.items()
    )


def _from_keys(plan: Plan, noise: Noise) -> Iterator[str]:
    if not plan.groups:
        return
    if noise.domains is not None:
        yield "Which groups are shown says nothing: the agreement has listed them."
    else:
        yield "That a group is shown says that several units are likely to be in it; no exact number is told."


def noise_terms(query: Query) -> Iterator[str]:
    """What a query says of its noise, as it stands in the agreement; nothing without noise."""
    if query.noise is None:
        return
    if query.noise.keys == "selected":
        yield "groups are selected from the data"
    else:
        yield "groups are declared" if query.noise.domains else "one row"
    for number, domain in enumerate(query.noise.domains, 1):
        yield f"values of GROUP BY expression {number}: {', '.join(map(value_text, domain))}"
    if query.noise.weights:
        weights = ", ".join(f"{name} {weight}" for name, weight in query.noise.weights)
        yield f"weights: {weights}; all others 1"


def _values(domain: tuple[DomainValue, ...]) -> str:
    shown = ", ".join(value_text(value) for value in domain[:_VALUES_SHOWN])
    more = len(domain) - _VALUES_SHOWN
    return shown + (f" and {more:,} more" if more > 0 else "")


def value_text(value: DomainValue) -> str:
    """A declared value as it is written in TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)
