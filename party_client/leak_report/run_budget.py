"""What the allowed runs of a query can show together, run by run.

Each `Series` is one quantity over the number of runs, for a table or a chart; another rule that bounds runs
or what they reveal is another series. Counts are of one enclave, or of all that go on with one
state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from party_client.agreements.noisy_queries import noisy_run_sentence
from party_client.agreements.plain_language import parameter_choices, window_sentences
from party_client.agreements.privacy_budgets import spent_part
from protos.formats.agreement import Agreement
from protos.formats.query import Query
from protos.plan import Plan
from protos.plan.stakes import budget_of

_POINTS_MOST: Final = 25


@dataclass(frozen=True)
class Series:
    """One quantity after 0, 1, 2, … runs."""

    name: str
    points: tuple[tuple[int, int], ...]
    """(Runs, quantity); from 0 to the last run, with steps between when there are many."""


@dataclass(frozen=True)
class RunBudget:
    """How often a query may run and what the runs add up to."""

    runs: int
    """Of this query, `within` what is counted together."""
    within: str
    """`in one enclave`, or what else counts as one."""
    choices: int
    """Different ways in which one run can choose its parameters."""
    different_results: int
    """That all runs together can have at most."""
    series: tuple[Series, ...]
    sentences: tuple[str, ...]


def run_budget(agreement: Agreement, query: Query, plan: Plan) -> RunBudget:
    """The budget of `query` as `agreement` has it."""
    runs = min(query.max_runs, agreement.limits.max_runs)
    choices = parameter_choices(query.parameters)
    # Fresh noise makes every run another result, whatever is chosen.
    different = runs if plan.noise is not None else min(runs, choices)
    return RunBudget(
        runs=runs,
        within=counted_together(agreement),
        choices=choices,
        different_results=different,
        series=(
            Series("runs left", _points(runs, lambda n: runs - n)),
            *(_exact_series(runs, choices) if plan.noise is None else _noisy_series(agreement, plan, runs)),
        ),
        sentences=tuple(_sentences(agreement, query, plan, different)),
    )


def counted_together(agreement: Agreement) -> str:
    """Through what runs are counted together."""
    return "in one enclave" if agreement.state is None else "in all enclaves of one state"


def _exact_series(runs: int, choices: int) -> Iterator[Series]:
    yield Series("different results", _points(runs, lambda n: min(n, choices)))
    yield Series("pairs to subtract", _points(runs, lambda n: _pairs(min(n, choices))))


def _noisy_series(agreement: Agreement, plan: Plan, runs: int) -> Iterator[Series]:
    costs = {} if plan.noise is None else dict(plan.noise.plan.costs)
    parts = [
        spent_part(budget_of(entry), costs[entry.owner])
        for entry in agreement.privacy
        if entry.owner in costs
    ]
    yield Series("privacy budget left, %", _points(runs, lambda n: round(100 * (1 - n * max(parts)))))


def _sentences(agreement: Agreement, query: Query, plan: Plan, different: int) -> Iterator[str]:
    if plan.noise is not None:
        yield noisy_run_sentence(plan, different)
    elif parameter_choices(query.parameters) == 1:
        yield (
            "There is nothing to choose, and the data in an enclave does not change: every further run of "
            "one enclave shows the same rows, or fewer."
        )
    elif different > 1:
        required = plan.thresholds[0].required_units
        yield (
            f"All runs together give up to {different:,} different results, and {_pairs(different):,} pairs "
            f"of them to subtract from each other. Rows that differ from an earlier release by fewer than "
            f"{required:,} units are held back; three results or more, and values inside one row, are not "
            "looked at together."
        )
    if windows := window_sentences(query):
        yield f"Of these runs there may be {' and '.join(windows)}: that spreads them, and adds none."
    if sum(item.max_runs for item in agreement.queries) > agreement.limits.max_runs:
        together = counted_together(agreement)
        yield f"Of all queries together there may be {agreement.limits.max_runs:,} {together}."
    yield _another_enclave(agreement, plan)


def _another_enclave(agreement: Agreement, plan: Plan) -> str:
    if agreement.state is not None:
        return (
            "Another enclave under this agreement goes on with the count, over the same data, if the "
            "witnesses of its state let it; what none of them has seen can be rolled back."
        )
    waits = all(agreement.dataset(threshold.dataset).kms is not None for threshold in plan.thresholds)
    deposited = "with what waits for it under keys in KMS, whoever starts it"
    return (
        "Another enclave under this agreement begins to count again, "
        f"{deposited if waits else 'when the parties send it their data'}: "
        "two results from different days show the difference that new and missing units make."
    )


def _pairs(results: int) -> int:
    return results * (results - 1) // 2


def _points(runs: int, quantity: Callable[[int], int]) -> tuple[tuple[int, int], ...]:
    steps = min(runs, _POINTS_MOST - 1)
    counts = dict.fromkeys(runs * step // steps for step in range(steps + 1))
    return tuple((count, quantity(count)) for count in counts)
