"""Aggregates of a query: the closed list, and which rows of a group really stand behind each of them.

A group of a thousand people says much about one when an average skips the 999 whose value is missing.
So every aggregate whose argument can be NULL, or that picks rows with CASE, carries a `support`: the
condition under which a row takes part. The thresholds hold for the supporting rows as for the whole group.
"""

from __future__ import annotations

from functools import reduce
from typing import Final

from sqlglot import exp

from protos.plan.clamps import clamped
from protos.plan.errors import QueryRefusedError
from protos.plan.expressions import (
    Aggregate,
    Apply,
    Case,
    ColumnRef,
    Constant,
    Expression,
    columns_of,
    is_fallible,
    walk,
)
from protos.plan.scalars import ScalarReader
from protos.plan.syntax import place_of, refuse, require_only
from protos.plan.values import (
    BOOL,
    DECIMAL_MAX_DIGITS,
    FLOAT64,
    INT64,
    SUM_MAX_DIGITS,
    TEXT,
    ValueType,
    decimal,
)

_FUNCTIONS: Final[dict[type[exp.Expr], str]] = {
    exp.Avg: "avg",
    exp.Count: "count",
    exp.Max: "max",
    exp.Min: "min",
    exp.Sum: "sum",
}
_TRUE: Final = Constant(True, BOOL)
_FALSE: Final = Constant(False, BOOL)


def is_aggregate(node: exp.Expr) -> bool:
    """Whether `node` is an aggregate of the closed list."""
    return type(node) in _FUNCTIONS


def read_aggregate(reader: ScalarReader, node: exp.Expr) -> Aggregate:
    """The aggregate that `node` is. Raises `QueryRefusedError`."""
    require_only(node, "this", "big_int", sql=reader.sql)
    function, inner = _FUNCTIONS[type(node)], node.this
    if function == "count" and isinstance(inner, exp.Star):
        return Aggregate("count_rows", None)
    if isinstance(inner, exp.Distinct):
        require_only(inner, "expressions", sql=reader.sql)
        if function != "count" or len(inner.expressions) != 1:
            raise refuse(inner, reader.sql, hint="COUNT(DISTINCT column) is the only use of DISTINCT")
        function, inner = "count_distinct", inner.expressions[0]
    if not isinstance(inner, exp.Expr):
        raise refuse(node, reader.sql, hint="COUNT(*) counts rows")
    argument = reader.read(inner)
    _require_plain_argument(reader, node, argument)
    # Before its support is worked out: what counts is whether the clamped value is one.
    argument = clamped(function, argument)
    kind = _type_of(reader, node, function, argument.type)
    return Aggregate(function, argument, kind, support_of(argument))


def released_type(kind: ValueType) -> ValueType:
    """The type in which a value of `kind` leaves."""
    return TEXT if kind.kind == "hex128" else kind


def _type_of(reader: ScalarReader, node: exp.Expr, function: str, argument: ValueType) -> ValueType:
    if function in ("count", "count_distinct"):
        return INT64
    if function in ("min", "max"):
        return argument
    if argument.kind not in ("int64", "decimal"):
        raise reader.mismatch(
            node,
            f"{function} needs int64 or decimal, got {argument}",
            hint="a float sum depends on the order of addition; declare the column decimal(p,s)",
        )
    if argument.digits > SUM_MAX_DIGITS:
        raise reader.mismatch(
            node,
            f"{function} of {argument} may not be exact, at most {SUM_MAX_DIGITS} digits are",
            hint="CAST the argument to a decimal with fewer digits",
        )
    if function == "avg":
        return FLOAT64
    return INT64 if argument == INT64 else decimal(DECIMAL_MAX_DIGITS, argument.scale)


def _require_plain_argument(reader: ScalarReader, node: exp.Expr, argument: Expression) -> None:
    """Rows are picked by one CASE around the values and nowhere deeper, so that `support_of` sees it."""
    place = place_of(node, reader.sql)
    if not columns_of(argument):
        raise QueryRefusedError(
            "an aggregate of constants is not allowed", place=place, hint="COUNT(*) counts rows"
        )
    values = [argument]
    if isinstance(argument, Case):
        values = [value for _, value in argument.branches]
        if argument.otherwise is not None:
            values.append(argument.otherwise)
    for value in values:
        for part in walk(value):
            if isinstance(part, Case) or (isinstance(part, Apply) and part.type == BOOL):
                raise QueryRefusedError(
                    "inside an aggregate, a condition may only stand in one CASE around everything else",
                    place=place,
                    hint="write SUM(CASE WHEN condition THEN value END)",
                )


def support_of(argument: Expression) -> Expression | None:
    """The condition under which a row's value takes part in an aggregate; None when every row's does.

    A constant ELSE (as in ELSE 0) is no value of anybody: its rows do not support the aggregate.
    """
    if isinstance(argument, Case):
        branches = tuple(
            (condition, _FALSE if _is_null(value) else support_of(value) or _TRUE)
            for condition, value in argument.branches
        )
        rest = argument.otherwise
        otherwise = _FALSE if rest is None or isinstance(rest, Constant) else support_of(rest) or _TRUE
        return Case(branches, otherwise, BOOL)
    parts: list[Expression] = [
        Apply("({0} IS NOT NULL)", (column,), BOOL)
        for column in dict.fromkeys(columns_of(argument))
        if column.nullable
    ]
    if not isinstance(argument, ColumnRef | Constant) and is_fallible(argument):
        parts.append(Apply("({0} IS NOT NULL)", (argument,), BOOL))
    if not parts:
        return None
    return reduce(lambda first, second: Apply("({0} AND {1})", (first, second), BOOL), parts)


def _is_null(value: Expression) -> bool:
    return isinstance(value, Constant) and value.value is None
