"""Between which whole numbers each value under a SUM or AVG lies, by what owners agreed and not by the data.

A value is bounded when it is a clamped column, a constant of the text, or one CASE around such values. NULL,
also of what does not fit a type, adds nothing and needs no bound. Raises `QueryRefusedError` for all else.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from protos.plan.arithmetic import cast
from protos.plan.clamps import is_clamped
from protos.plan.errors import QueryRefusedError
from protos.plan.expressions import Apply, Case, ColumnRef, Constant, Expression, columns_of


def bounds_of(value: Expression, *, what: str) -> tuple[int, int]:
    """(lowest, highest) of `value`, in the smallest unit of its type; `what` names it in errors."""
    low, high = _bounds(value, what)
    unit = 10**value.type.scale
    return int(low * unit), int(high * unit)


def _bounds(value: Expression, what: str) -> tuple[Fraction, Fraction]:
    if isinstance(value, Case):
        values = [branch for _, branch in value.branches]
        values += [] if value.otherwise is None else [value.otherwise]
        ends = [_bounds(one, what) for one in values if not _is_null(one)]
        if ends:
            return min(low for low, _ in ends), max(high for _, high in ends)
    if isinstance(value, Constant) and isinstance(value.value, int | Decimal):
        return Fraction(value.value), Fraction(value.value)
    if is_clamped(value):
        (column,) = columns_of(value)
        if column.clamp is not None:
            return Fraction(column.clamp.low), Fraction(column.clamp.high)
    if isinstance(value, Apply) and _keeps_numbers(value):
        return _bounds(value.arguments[0], what)
    columns = columns_of(value)
    unclamped = [column for column in columns if column.clamp is None]
    if isinstance(value, ColumnRef) and unclamped:
        column = unclamped[0]
        raise QueryRefusedError(
            f"{what} adds up {column.dataset}.{column.column} of {column.owner}, which has no `clamp`: noise "
            "has to be as large as what one value can add",
            place=column.place,
            hint=f"{column.owner} gives the column a range that most values are in: clamp = {{ low, high }}",
        )
    raise QueryRefusedError(
        f"{what} adds up a computed value, whose range is not known: noise has to be as large as what one "
        "value can add",
        place=columns[0].place if columns else None,
        hint="with noise, add up a column that has a `clamp`, or one CASE around such columns and constants",
    )


def _keeps_numbers(value: Apply) -> bool:
    """Whether it is a CAST, as the branches of a CASE get, to a type with at least as many places."""
    if len(value.arguments) != 1 or value.type.kind != "decimal":
        return False
    (inner,) = value.arguments
    is_exact = inner.type.kind in ("int64", "decimal") and inner.type.scale <= value.type.scale
    return is_exact and value == cast(inner, value.type)


def _is_null(value: Expression) -> bool:
    return isinstance(value, Constant) and value.value is None
