"""The expressions a plan is made of: our own small typed tree, which is all that the engine ever gets.

A node that is not one of these cannot reach the engine, because `protos.plan.sql` can write nothing else.
Two expressions are equal when they compute the same; where they stand in the text does not count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeAlias

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
    """Whether some values make the engine raise an error; such an expression is NULL for those values."""
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Case:
    """CASE WHEN condition THEN value … ELSE value END."""

    branches: tuple[tuple[Expression, Expression], ...]
    otherwise: Expression | None
    type: ValueType
    place: Place | None = field(default=None, compare=False)


Expression: TypeAlias = ColumnRef | Constant | ParameterRef | Apply | Case


@dataclass(frozen=True)
class Aggregate:
    """One aggregate function over the rows of a group."""

    function: str
    """`count_rows` for COUNT(*), or one of `schema.AGGREGATE_USES`."""
    argument: Expression | None
    type: ValueType = INT64
    support: Expression | None = None
    """True for the rows whose values take part; None when all rows of the group do."""


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


def columns_of(expression: Expression) -> list[ColumnRef]:
    """Every mention of a column, in the order of the text."""
    return [part for part in walk(expression) if isinstance(part, ColumnRef)]


def is_fallible(expression: Expression) -> bool:
    """Whether evaluating it can raise an error for some values."""
    return any(isinstance(part, Apply) and part.fallible for part in walk(expression))
