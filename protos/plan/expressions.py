"""The expressions a plan is made of: our own small typed tree, which is all that the engine ever gets.

A node that is not one of these cannot reach the engine, because `protos.plan.sql` can write nothing else.
Two expressions are equal when they compute the same; where they stand in the text does not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import reduce
from itertools import chain
from typing import Literal, TypeAlias

from protos.formats.rules import Clamp
from protos.plan.errors import Place
from protos.plan.values import INT64, ValueType


@dataclass(frozen=True)
class ColumnRef:
    """A column of one source of the query."""

    source: str
    """The source's alias in the query."""
    owner: str
    dataset: str
    column: str
    type: ValueType
    nullable: bool
    """By its schema, or because its source is on the right of a LEFT JOIN."""
    uses: frozenset[str]
    """What the owner lets a query do with it."""
    place: Place | None = field(default=None, compare=False)
    clamp: Clamp | None = None
    """The owner's range for what one value can add to an aggregate."""


Standing: TypeAlias = Literal["freely", "alone", "never"]


@dataclass(frozen=True)
class Provenance:
    """What a value is made of, down to the owners' columns."""

    values: tuple[ColumnRef, ...] = ()
    """The columns whose values are in it."""
    conditions: tuple[ColumnRef, ...] = ()
    """The columns that decide which value it is."""
    tallies: tuple[ColumnRef, ...] = ()
    """The privacy units whose rows it counts or numbers: one more thing that is known about each of them."""
    combined: tuple[ColumnRef, ...] = ()
    """Those of `values` that something was computed with together with values of another owner."""


@dataclass(frozen=True)
class DerivedRef:
    """A column of a derived table, mentioned outside of it."""

    source: str
    """The derived table's alias."""
    column: str
    type: ValueType
    nullable: bool
    made_of: Provenance = Provenance()
    passes: tuple[ColumnRef, ...] = ()
    """The owners' columns that it hands on as they are, one of each branch; empty for what is computed."""
    supports: tuple[str, ...] = ()
    """Hidden columns, each true for rows whose value is somebody's; none when every row's is. Only a column
    that was made with CASE has several."""
    standing: Standing = "freely"
    """How it may stand in the argument of an aggregate."""
    has_clamp: bool = False
    """Whether a hidden column has the same value made of clamped columns, see `clamps`."""
    is_clamped: bool = False
    """Whether that hidden column is meant."""
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Constant:
    """A value that stands in the agreed text. Dates and timestamps are ISO 8601 text; None is NULL."""

    value: bool | int | str | Decimal | None
    type: ValueType
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True)
class ParameterRef:
    """A value that the run chooses inside its agreed range."""

    name: str
    type: ValueType
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Apply:
    """An operator or function of the closed list, applied."""

    template: str
    """The engine's SQL with {0}, {1}, … for the arguments, from `protos.plan.functions` and nowhere else."""
    arguments: tuple[Expression, ...]
    type: ValueType
    fallible: bool = False
    """Whether some values have no result: the engine would raise an error, or the float would not be finite.
    The expression is NULL for those values."""
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Case:
    """CASE WHEN condition THEN value … ELSE value END."""

    branches: tuple[tuple[Expression, Expression], ...]
    otherwise: Expression | None
    type: ValueType
    place: Place | None = field(default=None, compare=False)


Reference: TypeAlias = ColumnRef | DerivedRef
Expression: TypeAlias = Reference | Constant | ParameterRef | Apply | Case


@dataclass(frozen=True)
class Aggregate:
    """One aggregate function over the rows of a group."""

    function: str
    """`count_rows` for COUNT(*), or one of `schema.AGGREGATE_USES`."""
    argument: Expression | None
    type: ValueType = INT64
    supports: tuple[Expression, ...] = ()
    """Each true for rows whose values take part: one for every branch of a CASE; none when all rows do."""


def children(expression: Expression) -> tuple[Expression, ...]:
    """The direct parts of an expression, conditions included."""
    if isinstance(expression, Apply):
        return expression.arguments
    if isinstance(expression, Case):
        parts = tuple(part for branch in expression.branches for part in branch)
        return parts if expression.otherwise is None else (*parts, expression.otherwise)
    return ()


def walk(expression: Expression) -> Iterator[Expression]:
    """The expression and all its parts, outermost first."""
    yield expression
    for child in children(expression):
        yield from walk(child)


def references_of(expression: Expression) -> list[Reference]:
    """Every mention of a column of the sources at hand, in the order of the text."""
    return [part for part in walk(expression) if isinstance(part, ColumnRef | DerivedRef)]


def columns_of(expression: Expression) -> list[ColumnRef]:
    """Every owner's column that is mentioned, also by way of derived tables, where it is mentioned here."""
    return [
        column
        for reference in references_of(expression)
        for column in ([reference] if isinstance(reference, ColumnRef) else _behind(reference))
    ]


def provenance_of(expression: Expression) -> Provenance:
    """What the value of `expression` is made of. Columns in the conditions of a CASE only decide on it."""
    if isinstance(expression, ColumnRef):
        return Provenance(values=(expression,))
    if isinstance(expression, DerivedRef):
        return _placed(expression)
    if isinstance(expression, Case):
        rest = () if expression.otherwise is None else (expression.otherwise,)
        found = _computed_with([*(value for _, value in expression.branches), *rest])
        conditions = chain.from_iterable(columns_of(condition) for condition, _ in expression.branches)
        return merged(found, Provenance(conditions=tuple(conditions)))
    return _computed_with(children(expression))


def merged(first: Provenance, second: Provenance) -> Provenance:
    """What values of which each is made like `first` or like `second` are made of."""
    return Provenance(
        tuple(dict.fromkeys(first.values + second.values)),
        tuple(dict.fromkeys(first.conditions + second.conditions)),
        tuple(dict.fromkeys(first.tallies + second.tallies)),
        tuple(dict.fromkeys(first.combined + second.combined)),
    )


def _computed_with(parts: Iterable[Expression]) -> Provenance:
    """What one value that is computed of all `parts` is made of."""
    made_of = list(map(provenance_of, parts))
    together = reduce(merged, made_of, Provenance())
    meet = sum(bool(part.values) for part in made_of) > 1
    if meet and len({column.owner for column in together.values}) > 1:
        return replace(together, combined=together.values)
    return together


def is_fallible(expression: Expression) -> bool:
    """Whether it can be NULL although nothing in it is."""
    return any(isinstance(part, Apply) and part.fallible for part in walk(expression))


def _placed(reference: DerivedRef) -> Provenance:
    made_of = reference.made_of
    placed = (
        tuple(replace(column, place=reference.place) for column in columns)
        for columns in (made_of.values, made_of.conditions, made_of.tallies, made_of.combined)
    )
    return Provenance(*placed)


def _behind(reference: DerivedRef) -> tuple[ColumnRef, ...]:
    placed = _placed(reference)
    return placed.values + placed.conditions
