"""Holds a query against the owners' rules: every mention of a column needs the use it is put to.

Rules combine by the strictest and the default is no. A column on which any join of the query depends never
leaves in any form but COUNT(DISTINCT …): its values, or their order, would say who is in both datasets. Only
a list query, which is meant to say so, may output it, if its owner granted `output`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TypeAlias

from protos.formats.schema import AGGREGATE_USES
from protos.plan.errors import QueryRefusedError
from protos.plan.expressions import (
    Aggregate,
    ColumnRef,
    DerivedRef,
    Expression,
    columns_of,
    provenance_of,
)
from protos.plan.plan import Output, Threshold, Usage
from protos.plan.relations import AnySource, Derived, DerivedSource, Pool, Source, Window
from protos.plan.units import name_of, units_in

_DOINGS = {
    "avg": "averaged",
    "combine": "computed with a value of another owner",
    "count": "counted",
    "count_distinct": "counted by distinct values",
    "filter": "filtered on",
    "group": "output or grouped by",
    "join": "joined on",
    "max": "output as a maximum",
    "min": "output as a minimum",
    "opt_out": "an opt-out list",
    "order": "put in order",
    "output": "output row by row",
    "sum": "summed",
}
_SAFE_FOR_JOINED = frozenset({"count_distinct", "filter", "join", "order", "output"})
"""`output` is of list queries, which say who is in both: only where the column's owner granted just that."""


Mention: TypeAlias = tuple[ColumnRef, str]
"""A column where it stands, and what is done with it there: of `schema.USES`."""


def allowed_mentions(
    sources: tuple[AnySource, ...],
    where: Expression | None,
    groups: Iterable[Expression],
    outputs: Iterable[Output],
) -> tuple[Mention, ...]:
    """Every mention of an owner's column. Raises `QueryRefusedError` for what no grant could allow."""
    mentions = tuple(_mentions(sources, where, groups, outputs))
    joined = {_name(column) for column, use in mentions if use == "join"}
    for column, use in mentions:
        if _name(column) in joined and use not in _SAFE_FOR_JOINED:
            raise QueryRefusedError(
                f"{column.dataset}.{column.column} is joined on here, so it cannot be {_DOINGS[use]}",
                place=column.place,
                hint="a join column shows who is in both datasets; COUNT(DISTINCT …) of it does not",
            )
    return mentions


def require_granted(mentions: Iterable[Mention]) -> None:
    """Every mention has the use that it needs. Raises `QueryRefusedError` for the first that has not."""
    for column, use in mentions:
        _require_use(column, use)


def usages_in(mentions: Iterable[Mention]) -> tuple[Usage, ...]:
    """The mentions as they are told to people, none twice."""
    usages = (
        Usage(column.owner, column.dataset, column.column, use, column.place) for column, use in mentions
    )
    return tuple(dict.fromkeys(usages))


def thresholds_of(sources: tuple[AnySource, ...]) -> tuple[Threshold, ...]:
    """What is counted behind every row. The strictest owner's number holds for everybody's units."""
    units = units_in(sources)
    required = max(unit.dataset.threshold for unit in units)
    return tuple(
        Threshold(
            owner=unit.dataset.owner,
            dataset=unit.dataset.id,
            unit=Source(unit.dataset.id, unit.dataset).reference(unit.dataset.privacy_unit),
            counted=unit.reference,
            own_units=unit.dataset.threshold,
            required_units=required,
        )
        for unit in units
    )


def _mentions(
    sources: tuple[AnySource, ...],
    where: Expression | None,
    groups: Iterable[Expression],
    outputs: Iterable[Output],
) -> Iterator[Mention]:
    yield from _in_sources(sources, where)
    for group in groups:
        yield from ((column, "group") for column in columns_of(group))
    for output in outputs:
        if isinstance(output.expression, Aggregate):
            yield from _inside_aggregate(output.expression.function, output.expression.argument)
        elif output.kind == "listed":
            yield from ((column, "output") for column in columns_of(output.expression))


def _in_sources(sources: tuple[AnySource, ...], where: Expression | None) -> Iterator[Mention]:
    """FROM, with all derived tables in it, and WHERE."""
    for source in sources:
        if isinstance(source, DerivedSource):
            yield from _in_derived(source.derived)
        if source.join is not None:
            for pair in source.join.equalities:
                yield from ((column, "join") for side in pair for column in columns_of(side))
    if where is not None:
        yield from ((column, "filter") for column in columns_of(where))


def _in_derived(derived: Derived) -> Iterator[Mention]:
    """What a derived table does itself; what is done with its columns counts where they are mentioned."""
    if isinstance(derived, Pool):
        for branch in derived.branches:
            yield from _in_derived(branch)
        return
    yield from _in_sources(derived.sources, derived.where)
    fixing = [name for unit in units_in(derived.sources) for name in unit.fixed_by]
    yield from _by_group(derived.groups, fixing)
    for item in derived.items:
        if isinstance(item.expression, Aggregate):
            yield from _inside_aggregate(item.expression.function, item.expression.argument)
        elif isinstance(item.expression, Window):
            yield from _by_group(item.expression.partition, fixing)
            for ordering in item.expression.order:
                yield from ((column, "order") for column in columns_of(ordering.key))
            if item.expression.function in AGGREGATE_USES:
                yield from _inside_aggregate(item.expression.function, item.expression.argument)


def _by_group(groups: Iterable[Expression], fixing: Collection[tuple[str, str]]) -> Iterator[Mention]:
    """Rows put together by their unit are counted by it, one row each; anything else splits them."""
    for group in groups:
        is_unit = isinstance(group, ColumnRef | DerivedRef) and name_of(group) in fixing
        yield from ((column, "count_distinct" if is_unit else "group") for column in columns_of(group))


def _inside_aggregate(function: str, argument: Expression | None) -> Iterator[Mention]:
    """Values need the aggregate's own use; conditions pick rows, as WHERE does, and need `filter`.

    How often a unit stands in a derived table is nobody's column; but the largest such number is one unit's.
    """
    if argument is None:
        return
    made_of = provenance_of(argument)
    yield from ((column, "filter") for column in made_of.conditions)
    yield from ((column, function) for column in made_of.values)
    # Who fills the other column can weigh, cap or blank the values of single people with it.
    if function != "count":
        yield from ((column, "combine") for column in made_of.combined)
    if function in ("max", "min"):
        yield from ((column, function) for column in made_of.tallies)


def _require_use(column: ColumnRef, use: str) -> None:
    if use in column.uses:
        return
    allowed = " or ".join(_DOINGS[item] for item in sorted(column.uses))
    granted = f"may be {allowed}, not {_DOINGS[use]}" if allowed else f"may not be {_DOINGS[use]}"
    others = "" if allowed else " (it may not be used at all)"
    raise QueryRefusedError(
        f"`{column.column}` of {column.owner} {granted}",
        place=column.place,
        hint=f'add use "{use}" to column {column.column} in dataset {column.dataset}{others}, '
        f"which only {column.owner} can grant, or remove it from the query",
    )


def _name(column: ColumnRef) -> tuple[str, str]:
    return column.dataset, column.column
