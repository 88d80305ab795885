"""Clamps: one value adds to a sum, an average, a minimum or a maximum no more than its owner's range allows.

A value outside the range counts as the end of the range; NULL stays NULL. Values are clamped where an
aggregate adds them up and nowhere else: a filter or a group that saw clamped values would hold other units
than before, and a rule must never let more leave. Follows `protos/plan/README.md`, "Contributions".
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from protos.formats.rules import Clamp
from protos.plan.expressions import Apply, Case, ColumnRef, DerivedRef, Expression
from protos.plan.values import ValueType

CLAMPED: Final = frozenset({"avg", "max", "min", "sum"})


def clamped(function: str, argument: Expression) -> Expression:
    """The `argument` of an aggregate with its values clamped; itself when no column in it has a clamp."""
    return values_clamped(argument) if function in CLAMPED else argument


def values_clamped(expression: Expression) -> Expression:
    """`expression` over clamped values. The conditions of a CASE pick rows and see the values as they are.

    Beside a column that a derived table computes of rows, it has the same made of clamped values.
    """
    match expression:
        case ColumnRef():
            return _clamped_column(expression)
        case DerivedRef():
            return replace(expression, is_clamped=expression.has_clamp)
        case Apply():
            arguments = tuple(map(values_clamped, expression.arguments))
            return replace(expression, arguments=arguments)
        case Case():
            branches = tuple((condition, values_clamped(value)) for condition, value in expression.branches)
            rest = None if expression.otherwise is None else values_clamped(expression.otherwise)
            return replace(expression, branches=branches, otherwise=rest)
        case _:
            return expression


def is_clamped(expression: Expression) -> bool:
    """Whether `expression` is a column moved into its range, and nothing more."""
    if not isinstance(expression, Apply) or len(expression.arguments) != 1:
        return False
    (column,) = expression.arguments
    if not isinstance(column, ColumnRef) or column.clamp is None:
        return False
    return expression.template == _template(column.clamp, column.type)


def _clamped_column(column: ColumnRef) -> Expression:
    if column.clamp is None:
        return column
    return Apply(_template(column.clamp, column.type), (column,), column.type, place=column.place)


def _template(clamp: Clamp, kind: ValueType) -> str:
    low, high = (f"CAST('{end}' AS {kind.sql()})" for end in (clamp.low, clamp.high))
    return f"(CASE WHEN {{0}} < {low} THEN {low} WHEN {{0}} > {high} THEN {high} ELSE {{0}} END)"
