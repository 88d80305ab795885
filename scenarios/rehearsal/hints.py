"""Which values of a column make a difference to some query, and which columns have to meet each other.

From the compiled plans alone: what a column is compared with in the text of a query, or may be compared with
by a run that chooses, and which columns are joined on. So made-up data can fall on both sides of a condition.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import TypeAlias

from protos.formats.agreement import Agreement
from protos.formats.query import Parameter
from protos.plan import Plan
from protos.plan.expressions import (
    Aggregate,
    Apply,
    ColumnRef,
    Constant,
    Expression,
    ParameterRef,
    columns_of,
    walk,
)
from protos.plan.relations import Window, selections_in, sources_in

ColumnName: TypeAlias = tuple[str, str]
"""(Dataset, column)."""
Hint: TypeAlias = bool | int | str | Decimal


def compared_values(plans: Iterable[Plan]) -> dict[ColumnName, tuple[Hint, ...]]:
    """What each column is compared with, and the values declared of it, in the order of the queries."""
    found: dict[ColumnName, dict[Hint, None]] = {}
    for plan in plans:
        parameters = {parameter.name: parameter for parameter in plan.parameters}
        for expression in _expressions(plan):
            for comparison in _comparisons(expression):
                values = dict.fromkeys(_values(comparison, parameters))
                for column in columns_of(comparison):
                    found.setdefault((column.dataset, column.column), {}).update(values)
        for name, declared in _declared(plan):
            found.setdefault(name, {}).update(dict.fromkeys(declared))
    return {name: tuple(values) for name, values in found.items()}


def joined_columns(agreement: Agreement, plans: Iterable[Plan]) -> list[frozenset[ColumnName]]:
    """Sets of columns that a query compares when it joins, or an owner's opt-out, however indirectly."""
    classes: list[set[ColumnName]] = []
    for met in (*_joined(plans), *_opted_out(agreement)):
        touched = [known for known in classes if known & met]
        classes = [known for known in classes if not known & met]
        classes.append(met.union(*touched))
    return [frozenset(known) for known in classes]


def _joined(plans: Iterable[Plan]) -> Iterator[set[ColumnName]]:
    for plan in plans:
        for source in sources_in(plan.sources):
            for pair in source.join.equalities if source.join else ():
                yield {(item.dataset, item.column) for side in pair for item in columns_of(side)}


def _opted_out(agreement: Agreement) -> Iterator[set[ColumnName]]:
    for dataset in agreement.datasets:
        if (rule := dataset.rules.opt_out) is not None:
            yield {(dataset.id, dataset.privacy_unit), (rule.dataset, rule.column)}


def grouped_columns(plans: Iterable[Plan]) -> frozenset[ColumnName]:
    """Columns by whose values some query makes groups."""
    return frozenset(
        (usage.dataset, usage.column) for plan in plans for usage in plan.usages if usage.use == "group"
    )


def _expressions(plan: Plan) -> Iterator[Expression]:
    if plan.where is not None:
        yield plan.where
    yield from plan.groups
    for _, selection in selections_in(plan.sources):
        yield from (selection.groups if selection.where is None else (selection.where, *selection.groups))
        for item in selection.items:
            if isinstance(item.expression, Aggregate | Window):
                yield from () if item.expression.argument is None else (item.expression.argument,)
            else:
                yield item.expression
    for output in plan.outputs:
        if not isinstance(output.expression, Aggregate):
            yield output.expression
        elif output.expression.argument is not None:
            yield output.expression.argument


def _declared(plan: Plan) -> Iterator[tuple[ColumnName, tuple[Hint, ...]]]:
    """Of a query with noise, the agreed values of the columns by which it makes groups."""
    domains = None if plan.noise is None else plan.noise.domains
    if domains is not None:
        for group, domain in zip(plan.groups, domains, strict=True):
            if isinstance(group, ColumnRef):
                yield (group.dataset, group.column), domain


def _comparisons(expression: Expression) -> Iterator[Expression]:
    """The smallest conditions in an expression: those that hold no other."""
    for part in walk(expression):
        if isinstance(part, Apply) and part.type.kind == "bool":
            inner = [item for item in walk(part) if item is not part and isinstance(item, Apply)]
            if not any(item.type.kind == "bool" for item in inner):
                yield part


def _values(comparison: Expression, parameters: dict[str, Parameter]) -> Iterator[Hint]:
    for part in walk(comparison):
        if isinstance(part, Constant) and part.value is not None:
            yield part.value
        elif isinstance(part, ParameterRef):
            chosen = parameters[part.name]
            yield from chosen.choices
            yield from (end for end in (chosen.low, chosen.high) if end is not None)
