"""How noise looks on a screen: owners' privacy budgets, and how far off the figures of a query will be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.console import Console
from rich.padding import Padding

from party_client.agreements.privacy_budgets import BudgetCheck, percent
from party_client.cli.present import counted, say, table
from party_client.leak_report.noise_preview import AGREED, BudgetChoice, ColumnPreview, NoisePreview

_INDENT: Final = (0, 0, 0, 4)
KINDS: Final = {
    "rows": "number of rows",
    "units": "number of units",
    "sum": "sum",
    "mean": "average",
}


def render_budget(budget: BudgetCheck, out: Console) -> None:
    """One owner's privacy budget and where runs leave it."""
    head = f"epsilon {budget.epsilon}, delta {budget.delta}, {budget.noise} noise"
    say(out, f"  {budget.owner}: {head}")
    for sentence in budget.sentences:
        say(out, f"    - {sentence}")
    if budget.left:
        shown = table(["after", "counts as epsilon", "budget left"], left_rows(budget))
        out.print(Padding(shown, _INDENT, expand=False))


def left_rows(budget: BudgetCheck) -> list[tuple[str, str, str]]:
    """Where runs leave a budget: (after so many runs, epsilon, part that is left)."""
    return [
        (
            counted(step.runs, "run"),
            f"{step.epsilon:.2f} of {budget.epsilon}",
            percent(round(step.part_left, 6)),
        )
        for step in budget.left
    ]


def render_preview(found: NoisePreview, out: Console) -> None:
    """How far off the figures of one query will be, and the same with other budgets."""
    columns = ["column", "", "standard deviation", "95 of 100 within", f"in a group of {found.rows:,}"]
    out.print(Padding(table(columns, error_rows(found.agreed)), _INDENT, expand=False))
    say(out, f"    With other budgets, 95 of 100 figures would be within (in a group of {found.rows:,}):")
    out.print(Padding(table(choice_columns(found), choice_rows(found)), _INDENT, expand=False))


def preview_sentences(found: NoisePreview) -> Iterator[str]:
    """What one run costs, and which groups are missed."""
    for cost in found.agreed.costs:
        yield (
            f"one run costs {cost.owner} {percent(cost.part)} of its budget of epsilon {cost.epsilon:g}; "
            f"alone it would count as epsilon {cost.epsilon_alone:.2g}"
        )
    for floor in found.agreed.floors:
        yield (
            f"groups are shown from a noisy {floor.least_units:,} units of {' and '.join(floor.owners)} on; "
            f"with {floor.surely_units:,} at most 1 in 40 is missed; one that a single unit brings about is "
            f"shown with a probability of at most {floor.delta:.2g}"
        )
    if found.cells is not None:
        shown = counted(found.cells, "declared group")
        yield f"always {shown}, also where nobody is"


def error_rows(choice: BudgetChoice) -> list[tuple[str, ...]]:
    """(Column, what it is, standard deviation, half-width, relative error) of each noisy column."""
    return [
        (
            column.column,
            KINDS[column.kind],
            figure(column.standard_deviation),
            f"± {figure(column.half_width_95)}",
            relative(column),
        )
        for column in choice.columns
    ]


def choice_columns(found: NoisePreview) -> list[str]:
    """The head of the table of other budgets."""
    shown = ["shown from"] if found.agreed.floors else []
    return ["epsilon of " + ", ".join(cost.owner for cost in found.agreed.costs), *_names(found), *shown]


def choice_rows(found: NoisePreview) -> list[tuple[str, ...]]:
    """A quarter, half, once, twice and four times the agreed epsilons."""
    rows = []
    for choice in found.choices:
        if choice.factor not in (AGREED / 4, AGREED / 2, AGREED, AGREED * 2, AGREED * 4):
            continue
        epsilons = ", ".join(f"{cost.epsilon:g}" for cost in choice.costs)
        mark = "  (agreed)" if choice.factor == AGREED else ""
        floors = [f"{choice.floors[0].least_units:,} units"] if choice.floors else []
        errors = (f"± {figure(column.half_width_95)} ({relative(column)})" for column in choice.columns)
        rows.append((f"{epsilons}{mark}", *errors, *floors))
    return rows


def figure(value: float) -> str:
    """A size of noise with three digits that mean something."""
    if value >= 100:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.3g}"


def relative(column: ColumnPreview) -> str:
    """The error as a part of what is expected, which may be nothing."""
    return "-" if column.relative_95 is None else percent(column.relative_95)


def _names(found: NoisePreview) -> list[str]:
    return [column.column for column in found.agreed.columns]
