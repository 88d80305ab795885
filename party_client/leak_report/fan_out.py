"""How far one row and one unit of an owner can reach in a query: upper bounds, whatever the data is.

Worked out from the compiled plan and what the agreement says of the datasets: `unique`, `max_rows` and
`max_rows_per_unit`. A query's conditions are left out of it, so a real run can only reach less far.

A join is walked from the source that is asked about. The next source is one whose unique key the sources
walked so far determine, which adds nothing; only when there is none, one that multiplies by all its rows. The
rows of a derived table are bounded in the same way, from the inside out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod

from protos.formats.schema import Dataset
from protos.plan import Plan
from protos.plan.expressions import Case, Constant, Expression, Reference, references_of
from protos.plan.relations import AnySource, DerivedSource, Pool, Selection, Source, Window

_Sources = tuple[AnySource, ...]


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


@dataclass(frozen=True)
class _Reach:
    """How many rows of some sources, joined, one row and one unit of a dataset are behind."""

    row: int
    unit: int


def fan_outs(plan: Plan) -> dict[str, FanOut]:
    """The bounds of every dataset of `plan`, by its id."""
    reach = _joined(plan.sources)
    return {
        dataset.id: _fan_out(plan, source, dataset, reach[dataset.id])
        for source in plan.sources
        for dataset in source.datasets
    }


def _fan_out(plan: Plan, source: AnySource, dataset: Dataset, reach: _Reach) -> FanOut:
    _, because = _walk(plan.sources, source)
    per_unit, why = _rows_of_one_unit(dataset)
    if (bound := dataset.rules.max_rows_per_unit) is not None:
        reach = _Reach(min(reach.row, bound), min(reach.unit, bound))
        because.append(
            f"{dataset.owner} lets {bound:,} rows of one {dataset.privacy_unit} enter, counted after joins"
        )
    return FanOut(
        row_reaches_rows=reach.row,
        unit_has_rows=per_unit,
        unit_reaches_rows=reach.unit,
        unit_reaches_groups=_groups(plan, source, _inside(source)[dataset.id].unit, reach.unit),
        because=(why, *_per_unit(source, dataset), *because),
    )


def _rows_of_one_unit(dataset: Dataset) -> tuple[int, str]:
    unit = dataset.privacy_unit
    if dataset.unique and set(dataset.unique) <= {unit}:
        return 1, f"{dataset.id} is unique by {unit}: one unit has one row"
    return dataset.max_rows, f"one {unit} may have all of the {dataset.max_rows:,} rows of {dataset.id}"


def _per_unit(source: AnySource, dataset: Dataset) -> Iterator[str]:
    if isinstance(source, DerivedSource) and _is_per_unit(source, dataset):
        yield f"{source.alias} has one row for each {dataset.privacy_unit} of {dataset.id}"


def _joined(sources: _Sources) -> dict[str, _Reach]:
    """Of every dataset in `sources`, by its id."""
    in_all, found = _all_rows(sources), {}
    for source in sources:
        per_row, _ = _walk(sources, source)
        for dataset, inside in _inside(source).items():
            found[dataset] = _Reach(min(inside.row * per_row, in_all), min(inside.unit * per_row, in_all))
    return found


def _inside(source: AnySource) -> dict[str, _Reach]:
    """Rows of one source, before it is joined."""
    if isinstance(source, Source):
        return {source.dataset.id: _Reach(1, _rows_of_one_unit(source.dataset)[0])}
    found: dict[str, _Reach] = {}
    for branch in _branches(source):
        # A window makes every row of a unit out of all of them.
        is_windowed = any(isinstance(item.expression, Window) for item in branch.items)
        for dataset, reach in _joined(branch.sources).items():
            before = found.get(dataset, _Reach(0, 0))
            row = reach.unit if is_windowed else reach.row
            found[dataset] = _Reach(before.row + row, before.unit + reach.unit)
    return found | {dataset.id: _Reach(1, 1) for dataset in source.datasets if _is_per_unit(source, dataset)}


def _branches(source: DerivedSource) -> tuple[Selection, ...]:
    return source.derived.branches if isinstance(source.derived, Pool) else (source.derived,)


def _is_per_unit(source: AnySource, dataset: Dataset) -> bool:
    """Whether no two rows of `source` are about one unit of `dataset`."""
    units = [unit.column for unit in source.units if unit.dataset.id == dataset.id]
    return any(key <= {column} for key in source.keys for column in units)


def _most_rows(source: AnySource) -> int:
    if isinstance(source, Source):
        return source.dataset.max_rows
    return sum(_all_rows(branch.sources) for branch in _branches(source))


def _groups(plan: Plan, source: AnySource, inside: int, reaches: int) -> int:
    if plan.analysis == "list":
        return reaches
    if not plan.groups:
        return 1
    bounds = [reaches]
    if {column.source for group in plan.groups for column in references_of(group)} <= {source.alias}:
        bounds.append(inside)
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
        _most_rows(source) * _walk(sources, source)[0] for source in sources if not _may_be_missing(source)
    )


def _walk(sources: _Sources, start: AnySource) -> tuple[int, list[str]]:
    """(How many joined rows one row of `start` can be in, why)."""
    reached, rows, because = [start], 1, []
    bounds: list[int] = []
    while waiting := [source for source in sources if source not in reached]:
        single = next((item for item in waiting if _key(sources, start, reached, item) is not None), None)
        # One that is joined to what has been walked comes before one that is reached by way of another.
        linked = [item for item in waiting if any(_links(sources, start, reached, item))] or waiting
        source = single or min(linked, key=_most_rows)
        name = source.dataset.id if isinstance(source, Source) else source.alias
        if rows == 1:
            bounds += _bound_by_unit(sources, start, reached, source)
        if single is not None:
            key = ", ".join(sorted(_key(sources, start, reached, single) or ()))
            because.append(f"{name} is unique by {key}: at most one of its rows matches")
        else:
            rows *= _most_rows(source)
            because.append(f"any of the {_most_rows(source):,} rows of {name} can match the same row")
        reached.append(source)
    return min([rows, *bounds]), because


def _bound_by_unit(
    sources: _Sources, start: AnySource, reached: Iterable[AnySource], source: AnySource
) -> list[int]:
    """What an owner's bound says of one row, if all that matches it is about one unit of `source`."""
    if not isinstance(source, Source) or _may_be_missing(source):
        return []
    bound = source.dataset.rules.max_rows_per_unit
    linked = {column.column for column in _links(sources, start, reached, source)}
    return [bound] if bound is not None and source.dataset.privacy_unit in linked else []


def _key(
    sources: _Sources, start: AnySource, reached: Iterable[AnySource], source: AnySource
) -> frozenset[str] | None:
    """A unique key of `source` that the sources `reached` determine."""
    linked = {column.column for column in _links(sources, start, reached, source)}
    return next((key for key in source.keys if key <= linked), None)


def _links(
    sources: _Sources, start: AnySource, reached: Iterable[AnySource], source: AnySource
) -> Iterator[Reference]:
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


def _may_be_missing(source: AnySource) -> bool:
    return source.join is not None and source.join.is_left
