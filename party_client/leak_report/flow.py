"""Whose columns flow where: from the owners' datasets through the steps of a query to columns and receivers.

Complete by construction: steps that make an output come from the plan's outputs, and whatever else the plan
uses a column for gets a step of its own, so no use of a column is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from party_client.agreements.derived_tables import inner_conditions
from party_client.agreements.plain_language import DOINGS, expression_text, output_sentences
from protos.formats.agreement import Agreement
from protos.formats.query import Query
from protos.formats.schema import AGGREGATE_USES
from protos.plan import Output, Plan
from protos.plan.expressions import Aggregate, Expression, columns_of
from protos.plan.relations import sources_in


@dataclass(frozen=True, order=True)
class FlowColumn:
    """A column of a dataset."""

    dataset: str
    column: str


@dataclass(frozen=True)
class FlowDataset:
    """A dataset with those of its columns that the query uses."""

    owner: str
    dataset: str
    unit: str
    columns: tuple[str, ...]
    others: int
    """Columns that the query does not use."""


@dataclass(frozen=True)
class FlowStep:
    """Something that the query does with columns."""

    kind: str
    """`opt_out`, `join`, `filter`, `group`, `aggregate`, `listed`, or another use of a column."""
    text: str
    columns: tuple[FlowColumn, ...]
    output: str = ""
    """The column of the result that comes of it; empty where it only decides which rows count."""


@dataclass(frozen=True)
class Flow:
    """One query as a picture would show it, from left to right."""

    datasets: tuple[FlowDataset, ...]
    steps: tuple[FlowStep, ...]
    outputs: tuple[str, ...]
    """ "total (decimal(38,2)): the exact sum of payments.amount"."""
    required_units: int
    gate: str
    """What every row has to pass, in a few words."""
    passing: str
    """The same in a sentence."""
    receivers: tuple[str, ...]


def flow(agreement: Agreement, query: Query, plan: Plan) -> Flow:
    """The flow of a `query` of `agreement`, which was compiled to `plan`."""
    shown = [*_joins(plan), *_filter(plan), *_hidden_groups(plan), *map(_output, plan.outputs)]
    steps = [*_opt_outs(agreement, plan), *_others(plan, shown), *shown]
    return Flow(
        datasets=tuple(_datasets(agreement, steps)),
        steps=tuple(steps),
        outputs=output_sentences(plan),
        required_units=plan.thresholds[0].required_units,
        gate=_gate(plan),
        passing=_passing(plan),
        receivers=query.receivers,
    )


def _gate(plan: Plan) -> str:
    required = plan.thresholds[0].required_units
    if plan.noise is None:
        return f"only with {required:,} units"
    return f"noise, then from {required:,} units" if plan.noise.row_floors else "noise is added"


def _passing(plan: Plan) -> str:
    required = plan.thresholds[0].required_units
    if plan.noise is None:
        return f"A row leaves only with {required:,} units of every owner behind it."
    floor = f" Figures leave from a noisy number of {required:,} units on." if plan.noise.row_floors else ""
    return f"Every figure gets noise before it leaves.{floor}"


def _datasets(agreement: Agreement, steps: list[FlowStep]) -> Iterator[FlowDataset]:
    used = {column for step in steps for column in step.columns}
    read = {column.dataset for column in used}
    for dataset in (item for item in agreement.datasets if item.id in read):
        names = tuple(item.name for item in dataset.columns if FlowColumn(dataset.id, item.name) in used)
        others = len(dataset.columns) - len(names)
        yield FlowDataset(dataset.owner, dataset.id, dataset.privacy_unit, names, others)


def _opt_outs(agreement: Agreement, plan: Plan) -> Iterator[FlowStep]:
    """An owner's rule and no part of the query, but it decides which rows count as well."""
    for dataset in (agreement.dataset(threshold.dataset) for threshold in plan.thresholds):
        if (rule := dataset.rules.opt_out) is not None:
            columns = (FlowColumn(dataset.id, dataset.privacy_unit), FlowColumn(rule.dataset, rule.column))
            yield FlowStep("opt_out", f"{rule.dataset}.{rule.column}", columns)


def _joins(plan: Plan) -> Iterator[FlowStep]:
    equalities = [
        pair for source in sources_in(plan.sources) if source.join for pair in source.join.equalities
    ]
    for earlier, new in equalities:
        text = f"{expression_text(earlier)} = {expression_text(new)}"
        yield FlowStep("join", text, _columns(earlier, new))


def _filter(plan: Plan) -> Iterator[FlowStep]:
    for alias, selection in inner_conditions(plan):
        if selection.where is not None:
            text = f"{alias}: {expression_text(selection.where)}"
            yield FlowStep("filter", text, _columns(selection.where))
    if plan.where is not None:
        yield FlowStep("filter", expression_text(plan.where), _columns(plan.where))


def _hidden_groups(plan: Plan) -> Iterator[FlowStep]:
    shown = {output.expression for output in plan.outputs if not isinstance(output.expression, Aggregate)}
    for group in plan.groups:
        if group not in shown:
            yield FlowStep("group", expression_text(group), _columns(group))


def _output(output: Output) -> FlowStep:
    expression = output.expression
    if not isinstance(expression, Aggregate):
        return FlowStep(output.kind, expression_text(expression), _columns(expression), output.name)
    if expression.argument is None:
        return FlowStep("aggregate", "number of rows", (), output.name)
    text = (
        f"{_FUNCTIONS.get(expression.function, expression.function)} {expression_text(expression.argument)}"
    )
    return FlowStep("aggregate", text, _columns(expression.argument), output.name)


_FUNCTIONS = {"avg": "average of", "count": "number of", "count_distinct": "different", "sum": "sum of"}


_KINDS = {"filter": "filter", "group": "group", "join": "join", "output": "listed"}


def _others(plan: Plan, steps: list[FlowStep]) -> Iterator[FlowStep]:
    """Uses that no step shows yet; what stands inside an aggregate is shown with it."""
    shown = {(column, step.kind) for step in steps for column in step.columns}
    found: dict[str, dict[FlowColumn, None]] = {}
    for usage in plan.usages:
        column = FlowColumn(usage.dataset, usage.column)
        kind = "aggregate" if usage.use in AGGREGATE_USES else _KINDS.get(usage.use, usage.use)
        is_inside = usage.use in ("combine", "filter") and (column, "aggregate") in shown
        if (column, kind) not in shown and not is_inside:
            found.setdefault(usage.use, {})[column] = None
    for use, columns in found.items():
        names = ", ".join(f"{column.dataset}.{column.column}" for column in columns)
        yield FlowStep(use, f"{names} {DOINGS[use]}", tuple(columns))


def _columns(*expressions: Expression) -> tuple[FlowColumn, ...]:
    found = chain.from_iterable(map(columns_of, expressions))
    return tuple(dict.fromkeys(FlowColumn(item.dataset, item.column) for item in found))
