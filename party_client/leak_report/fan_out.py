"""How far one row and one unit of an owner can reach in a query: upper bounds, whatever the data is.

Worked out from the compiled plan and what the agreement says of the datasets: `unique`, `max_rows` and
`max_rows_per_unit`. A query's conditions are left out of it, so a real run can only reach less far.

A join is walked from the source that is asked about. The next source is one whose unique key the sources
walked so far determine, which adds nothing; only when there is none, one that multiplies by all its rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod

from protos.formats.schema import Dataset
from protos.plan import Plan
from protos.plan.expressions import Case, ColumnRef, Constant, Expression, columns_of
from protos.plan.sources import Source

_Sources = tuple[Source, ...]


@dataclass(frozen=True)
class FanOut:
    """Bounds for one dataset in one query."""

    row_reaches_rows: int
    """Rows of the joined data that one row of the dataset can be behind."""
    unit_has_rows: int
    """Rows of the dataset that can be about one unit."""
    unit_reaches_rows: int
    """Rows of the joined data that one unit can be behind."""
    unit_reaches_groups: int
    """Rows of the result in which one unit can count."""
    because: tuple[str, ...]
    """Where the bounds come from, in words."""


def fan_outs(plan: Plan) -> dict[str, FanOut]:
    """The bounds of every dataset of `plan`, by its id."""
    in_all = _all_rows(plan.sources)
    return {source.dataset.id: _fan_out(plan, source, in_all) for source in plan.sources}


def _fan_out(plan: Plan, source: Source, in_all: int) -> FanOut:
    dataset = source.dataset
    per_row, because = _walk(plan.sources, source)
    per_unit, why = _rows_of_one_unit(dataset)
    bounds = [in_all]
    if (bound := dataset.rules.max_rows_per_unit) is not None:
        bounds.append(bound)
        because.append(
            f"{dataset.owner} lets {bound:,} rows of one {dataset.privacy_unit} enter, counted after joins"
        )
    reaches = min([per_unit * per_row, *bounds])
    return FanOut(
        row_reaches_rows=min([per_row, *bounds]),
        unit_has_rows=per_unit,
        unit_reaches_rows=reaches,
        unit_reaches_groups=_groups(plan, dataset, per_unit, reaches),
        because=(why, *because),
    )


def _rows_of_one_unit(dataset: Dataset) -> tuple[int, str]:
    unit = dataset.privacy_unit
    if dataset.unique and set(dataset.unique) <= {unit}:
        return 1, f"{dataset.id} is unique by {unit}: one unit has one row"
    return dataset.max_rows, f"one {unit} may have all of the {dataset.max_rows:,} rows of {dataset.id}"


def _groups(plan: Plan, dataset: Dataset, per_unit: int, reaches: int) -> int:
    if plan.analysis == "list":
        return reaches
    if not plan.groups:
        return 1
    bounds = [reaches]
    if {column.dataset for group in plan.groups for column in columns_of(group)} <= {dataset.id}:
        bounds.append(per_unit)
    values = [_values(group) for group in plan.groups]
    if None not in values:
        bounds.append(prod(number for number in values if number is not None))
    return min(bounds)


def _values(expression: Expression) -> int | None:
    """How many different values an expression can have, NULL included; None when only the data knows."""
    if expression.type.kind == "bool":
        return 3
    if isinstance(expression, Case):
        ends = [value for _, value in expression.branches]
        ends += [] if expression.otherwise is None else [expression.otherwise]
        if all(isinstance(end, Constant) for end in ends):
            return len(ends) + 1
    return None


def _all_rows(sources: _Sources) -> int:
    """At most so many rows have the joined sources: each has a row of every source that no LEFT JOIN adds."""
    return min(
        source.dataset.max_rows * _walk(sources, source)[0]
        for source in sources
        if not _may_be_missing(source)
    )


def _walk(sources: _Sources, start: Source) -> tuple[int, list[str]]:
    """(How many joined rows one row of `start` can be in, why)."""
    reached, rows, because = [start], 1, []
    bounds: list[int] = []
    while waiting := [source for source in sources if source not in reached]:
        single = next((item for item in waiting if _is_determined(sources, start, reached, item)), None)
        # One that is joined to what has been walked comes before one that is reached by way of another.
        linked = [item for item in waiting if any(_links(sources, start, reached, item))] or waiting
        source = single or min(linked, key=lambda item: item.dataset.max_rows)
        dataset = source.dataset
        if rows == 1:
            bounds += _bound_by_unit(sources, start, reached, source)
        reached.append(source)
        if single is not None:
            key = ", ".join(dataset.unique)
            because.append(f"{dataset.id} is unique by {key}: at most one of its rows matches")
        else:
            rows *= dataset.max_rows
            because.append(f"any of the {dataset.max_rows:,} rows of {dataset.id} can match the same row")
    return min([rows, *bounds]), because


def _bound_by_unit(sources: _Sources, start: Source, reached: Iterable[Source], source: Source) -> list[int]:
    """What an owner's bound says of one row, if all that matches it is about one unit of `source`."""
    bound = source.dataset.rules.max_rows_per_unit
    linked = {column.column for column in _links(sources, start, reached, source)}
    if bound is None or source.dataset.privacy_unit not in linked or _may_be_missing(source):
        return []
    return [bound]


def _is_determined(sources: _Sources, start: Source, reached: Iterable[Source], source: Source) -> bool:
    key = set(source.dataset.unique)
    return bool(key) and key <= {column.column for column in _links(sources, start, reached, source)}


def _links(
    sources: _Sources, start: Source, reached: Iterable[Source], source: Source
) -> Iterator[ColumnRef]:
    """The columns of `source` that equal one of the sources `reached` wherever it is not missing.

    A source that a LEFT JOIN may have left out says nothing about the ones before it, unless it is `start`.
    """
    names = {item.alias for item in reached}
    for joined in sources:
        if joined.join is None:
            continue
        for earlier, new in joined.join.equalities:
            if earlier.source in names and joined is source:
                yield new
            is_there = not joined.join.is_left or joined is start
            if earlier.source == source.alias and joined.alias in names and is_there:
                yield earlier


def _may_be_missing(source: Source) -> bool:
    return source.join is not None and source.join.is_left
