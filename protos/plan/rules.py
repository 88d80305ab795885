"""Holds a query against the owners' rules: every mention of a column needs the use it is put to.

Rules combine by the strictest and the default is no. A column on which any join of the query depends never
leaves in any form but COUNT(DISTINCT …): its values, or their order, would say who is in both datasets. Only
a list query, which is meant to say so, may output it, if its owner granted `output`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from protos.plan.errors import QueryRefusedError
from protos.plan.expressions import Aggregate, Case, ColumnRef, Expression, columns_of
from protos.plan.plan import Output, Threshold, Usage
from protos.plan.sources import Source, first_equal, unit_of

_DOINGS = {
    "avg": "averaged",
    "count": "counted",
    "count_distinct": "counted by distinct values",
    "filter": "filtered on",
    "group": "output or grouped by",
    "join": "joined on",
    "max": "output as a maximum",
    "min": "output as a minimum",
    "opt_out": "an opt-out list",
    "output": "output row by row",
    "sum": "summed",
}
_SAFE_FOR_JOINED = frozenset({"count_distinct", "filter", "join", "output"})
"""`output` is of list queries, which say who is in both: only where the column's owner granted just that."""


def allow_usages(
    sources: Iterable[Source],
    where: Expression | None,
    groups: Iterable[Expression],
    outputs: Iterable[Output],
) -> tuple[Usage, ...]:
    """Every use of every column, all allowed. Raises `QueryRefusedError` for the first that is not."""
    mentions = list(_mentions(sources, where, groups, outputs))
    joined = {_name(column) for column, use in mentions if use == "join"}
    usages: dict[Usage, None] = {}
    for column, use in mentions:
        _require_use(column, use)
        if _name(column) in joined and use not in _SAFE_FOR_JOINED:
            raise QueryRefusedError(
                f"{column.dataset}.{column.column} is joined on here, so it cannot be {_DOINGS[use]}",
                place=column.place,
                hint="a join column shows who is in both datasets; COUNT(DISTINCT …) of it does not",
            )
        usages[Usage(column.owner, column.dataset, column.column, use, column.place)] = None
    return tuple(usages)


def thresholds_of(sources: tuple[Source, ...]) -> tuple[Threshold, ...]:
    """What is counted behind every row. The strictest owner's number holds for everybody's units."""
    required = max(source.dataset.threshold for source in sources)
    return tuple(
        Threshold(
            owner=source.dataset.owner,
            dataset=source.dataset.id,
            unit=unit_of(source),
            counted=first_equal(unit_of(source), sources),
            own_units=source.dataset.threshold,
            required_units=required,
        )
        for source in sources
    )


def _mentions(
    sources: Iterable[Source],
    where: Expression | None,
    groups: Iterable[Expression],
    outputs: Iterable[Output],
) -> Iterator[tuple[ColumnRef, str]]:
    for source in sources:
        if source.join is not None:
            for pair in source.join.equalities:
                yield from ((column, "join") for column in pair)
    if where is not None:
        yield from ((column, "filter") for column in columns_of(where))
    for group in groups:
        yield from ((column, "group") for column in columns_of(group))
    for output in outputs:
        if isinstance(output.expression, Aggregate):
            yield from _inside_aggregate(output.expression)
        elif output.kind == "listed":
            yield from ((column, "output") for column in columns_of(output.expression))


def _inside_aggregate(aggregate: Aggregate) -> Iterator[tuple[ColumnRef, str]]:
    """Values need the aggregate's own use; conditions pick rows, as WHERE does, and need `filter`."""
    argument = aggregate.argument
    if not isinstance(argument, Case):
        columns = columns_of(argument) if argument is not None else []
        yield from ((column, aggregate.function) for column in columns)
        return
    values = [value for _, value in argument.branches]
    if argument.otherwise is not None:
        values.append(argument.otherwise)
    for condition, _ in argument.branches:
        yield from ((column, "filter") for column in columns_of(condition))
    for value in values:
        yield from ((column, aggregate.function) for column in columns_of(value))


def _require_use(column: ColumnRef, use: str) -> None:
    if use in column.uses:
        return
    allowed = " or ".join(_DOINGS[item] for item in sorted(column.uses))
    granted = f"may be {allowed}, not {_DOINGS[use]}" if allowed else "may not be used at all"
    raise QueryRefusedError(
        f"{column.dataset}.{column.column} may not be {_DOINGS[use]}",
        place=column.place,
        hint=f"`{column.column}` of {column.owner} {granted}; only {column.owner} can grant `{use}`",
    )


def _name(column: ColumnRef) -> tuple[str, str]:
    return column.dataset, column.column
