"""How far off the figures of a query with noise will be, what a run costs, and what other budgets would give.

Worked out before anything is spent, from the agreement and the plan alone, by the accounting that the enclave
uses. The reader says how large a group they expect. Other budgets are those of the agreement with every
epsilon of it multiplied; delta and the kind of noise stay. Follows `docs/privacy.md`, "What it means for a
result".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Context, Decimal
from fractions import Fraction
from typing import Final

from party_client.agreements.noisy_queries import selecting_floors
from party_client.agreements.privacy_budgets import spent_part
from party_client.expected_noise import preview
from protos.formats.agreement import Agreement
from protos.formats.errors import FormatError
from protos.formats.privacy import PrivacyEntry
from protos.formats.query import Query
from protos.plan import Plan, QueryRefusedError
from protos.plan.noise import plan_of_noise
from protos.plan.plan import Noise
from protos.plan.stakes import budget_of

EXPECTED_ROWS: Final = 100
"""Where nobody says how large a group they expect."""
_FACTORS: Final = ("0.25", "0.35", "0.5", "0.7", "1", "1.4", "2", "2.8", "4")
_EXACT: Final = Context(prec=100)
AGREED: Final = 1.0


@dataclass(frozen=True)
class ColumnPreview:
    """The noise of one column of the result, in the column's own unit."""

    column: str
    kind: str
    """`rows`, `units`, `sum` or `mean`."""
    standard_deviation: float
    half_width_95: float
    """At least 95 of 100 figures are off by no more than this; of means approximately."""
    expected: float
    """What a group of that size would show; of sums and means with values in the middle of the clamp."""
    relative_95: float | None
    """`half_width_95` as a part of that; None where it is 0."""


@dataclass(frozen=True)
class FloorPreview:
    """Which groups are not shown, where the data selects them."""

    owners: tuple[str, ...]
    least_units: int
    """Noisy units that a group needs to be shown."""
    surely_units: int
    """With so many, it is missed at most 1 in 40 times."""
    delta: float
    """How likely a group is shown at most that one unit alone brings about, in one run."""


@dataclass(frozen=True)
class CostPreview:
    """What one run costs one owner."""

    owner: str
    epsilon: float
    """Of the whole budget."""
    part: float
    """Of the budget, from 0 to 1."""
    epsilon_alone: float
    """What the run would count as if it were the only one ever."""


@dataclass(frozen=True)
class BudgetChoice:
    """The noise under one choice of budgets."""

    factor: float
    """Of every epsilon in the agreement; 1 is the agreed one."""
    costs: tuple[CostPreview, ...]
    columns: tuple[ColumnPreview, ...]
    floors: tuple[FloorPreview, ...]


@dataclass(frozen=True)
class NoisePreview:
    """Everything about the noise of one query that can be known before it runs."""

    query: str
    rows: int
    """How many rows, or units, the reader expects in a group."""
    noise: str
    keys: str
    """`declared` or `selected`."""
    cells: int | None
    """Groups that are shown in any case; None where the data selects them."""
    agreed: BudgetChoice
    choices: tuple[BudgetChoice, ...]
    """With other epsilons, ascending, the agreed one among them."""


def noise_preview(
    agreement: Agreement, query: Query, plan: Plan, *, rows: int = EXPECTED_ROWS
) -> NoisePreview | None:
    """The preview of one query for groups of `rows` rows; None where its results are exact."""
    if plan.noise is None or query.noise is None:
        return None
    agreed = _choice(agreement, plan, plan.noise, AGREED, rows)
    cells = 1
    for domain in plan.noise.domains or ():
        cells *= len(domain)
    return NoisePreview(
        query=query.id,
        rows=rows,
        noise=budget_of(_entries(agreement, plan.noise)[0]).mechanism,
        keys=query.noise.keys,
        cells=None if plan.noise.domains is None else cells,
        agreed=agreed,
        choices=tuple(_choices(agreement, query, plan, rows)),
    )


def _choices(agreement: Agreement, query: Query, plan: Plan, rows: int) -> Iterator[BudgetChoice]:
    for factor in _FACTORS:
        try:
            other = replace(
                agreement, privacy=tuple(_times(entry, Decimal(factor)) for entry in agreement.privacy)
            )
            noise = plan_of_noise(other, query, replace(plan, noise=None))
        except (FormatError, QueryRefusedError):
            continue  # such an epsilon cannot be agreed on
        if noise is not None:
            yield _choice(other, plan, noise, float(factor), rows)


def _times(entry: PrivacyEntry, factor: Decimal) -> PrivacyEntry:
    """The entry with another epsilon, which is refused if nobody could agree on it."""
    text = f"{_EXACT.multiply(Decimal(entry.epsilon), factor):f}"
    return replace(entry, epsilon=text.rstrip("0").rstrip(".") if "." in text else text)


def _choice(agreement: Agreement, plan: Plan, noise: Noise, factor: float, rows: int) -> BudgetChoice:
    return BudgetChoice(
        factor=factor,
        costs=tuple(_costs(agreement, noise)),
        columns=tuple(_columns(plan, noise, rows)),
        floors=tuple(
            FloorPreview(floor.owners, floor.least, floor.surely, float(floor.delta))
            for floor in selecting_floors(noise)
        ),
    )


def _entries(agreement: Agreement, noise: Noise) -> list[PrivacyEntry]:
    owners = [owner for owner, _ in noise.plan.costs]
    return [entry for entry in agreement.privacy if entry.owner in owners]


def _costs(agreement: Agreement, noise: Noise) -> Iterator[CostPreview]:
    for entry in _entries(agreement, noise):
        budget, cost = budget_of(entry), noise.plan.cost_of(entry.owner)
        yield CostPreview(
            entry.owner, float(budget.epsilon), spent_part(budget, cost), float(budget.epsilon_spent(cost))
        )


def _columns(plan: Plan, noise: Noise, rows: int) -> Iterator[ColumnPreview]:
    expected = {item.output: item for item in preview(noise.plan, rows=rows).outputs}
    scales = {output.name: output.type.scale for output in plan.outputs}
    for output in noise.plan.outputs:
        if output.name not in noise.visible:
            continue
        found = expected[output.name]
        # Sums are counted in the smallest unit of their values, and means in whole units already.
        unit = 10 ** scales[output.name] if output.kind == "sum" else 1
        middle = Fraction(output.low + output.high, 2)
        typical = {"sum": rows * middle / unit, "mean": middle / 10**output.scale}.get(
            output.kind, Fraction(rows)
        )
        yield ColumnPreview(
            column=output.name,
            kind=output.kind,
            standard_deviation=found.standard_deviation / unit,
            half_width_95=found.half_width_95 / unit,
            expected=float(typical),
            relative_95=found.relative,
        )
