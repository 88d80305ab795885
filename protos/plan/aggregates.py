"""Aggregates of a query: the closed list, and which rows of a group really stand behind each of them.

A group of a thousand people says much about one when an average skips the 999 whose value is missing.
So every aggregate whose argument can be NULL, or that picks rows with CASE, carries its `supports`: the
conditions under which a row takes part, one for each branch of a CASE, so that nobody is alone in a branch.
The thresholds hold for the rows of each of them as for the whole group.
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
    DerivedRef,
    Expression,
    is_fallible,
    references_of,
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
SUPPORTS_MAX: Final = 64
"""Branches of one CASE inside an aggregate: the units of each are counted by themselves."""
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
    kind = aggregate_type(reader, node, function, argument.type)
    return Aggregate(function, argument, kind, supports_of(argument))


def released_type(kind: ValueType) -> ValueType:
    """The type in which a value of `kind` leaves."""
    return TEXT if kind.kind == "hex128" else kind


def aggregate_type(reader: ScalarReader, node: exp.Expr, function: str, argument: ValueType) -> ValueType:
    """The type of `function` over values of type `argument`. Raises `QueryRefusedError` for no exact one."""
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


def is_plain(value: Expression) -> bool:
    """Whether all of `value` is taken from every row alike: no CASE, no condition, nothing that had one."""
    return not any(
        isinstance(part, Case)
        or (isinstance(part, Apply) and part.type == BOOL)
        or (isinstance(part, DerivedRef) and part.standing != "freely")
        for part in walk(value)
    )


def is_picked(argument: Expression) -> bool:
    """Whether `argument` is one CASE around plain values: then each branch has its support."""
    return isinstance(argument, Case) and all(map(is_plain, _values_of(argument)))


def supports_of(argument: Expression) -> tuple[Expression, ...]:
    """The conditions under which rows take part in an aggregate of `argument`; empty when all rows do.

    NULL and zero are nobody's value: the rows of an ELSE 0 support nothing. What a derived table says about a
    column of its own holds outside of it as well.
    """
    if isinstance(argument, Case):
        return _supports_of_branches(argument)
    if isinstance(argument, DerivedRef) and argument.supports:
        shown = [_not_null(argument)] if argument.nullable else []
        hidden = (DerivedRef(argument.source, name, BOOL, nullable=True) for name in argument.supports)
        return tuple(_all_of([condition, *shown]) for condition in hidden)
    parts: list[Expression] = []
    for column in dict.fromkeys(references_of(argument)):
        if column.nullable:
            parts.append(_not_null(column))
        if isinstance(column, DerivedRef):
            parts += [DerivedRef(column.source, name, BOOL, nullable=True) for name in column.supports]
    if not isinstance(argument, ColumnRef | Constant | DerivedRef) and is_fallible(argument):
        parts.append(_not_null(argument))
    return (_all_of(parts),) if parts else ()


def _require_plain_argument(reader: ScalarReader, node: exp.Expr, argument: Expression) -> None:
    """Rows are picked by one CASE around the values and nowhere deeper, so that `supports_of` sees it."""
    place = place_of(node, reader.sql)
    if not references_of(argument):
        raise QueryRefusedError(
            "an aggregate of constants is not allowed", place=place, hint="COUNT(*) counts rows"
        )
    is_alone = isinstance(argument, DerivedRef) and argument.standing == "alone"
    if not (is_alone or is_plain(argument) or is_picked(argument)):
        raise QueryRefusedError(
            "inside an aggregate, a condition may only stand in one CASE around everything else",
            place=place,
            hint="write SUM(CASE WHEN condition THEN value END); a column of a derived table that was made "
            "with CASE or COUNT stands in an aggregate by itself",
        )
    if len(supports_of(argument)) > SUPPORTS_MAX:
        raise QueryRefusedError(
            f"a CASE inside an aggregate has more than {SUPPORTS_MAX} branches",
            place=place,
            hint="group by the CASE instead, or write several aggregates",
        )


def _supports_of_branches(case: Case) -> tuple[Expression, ...]:
    values = _values_of(case)
    # COUNT(CASE WHEN … THEN 0 END) counts rows: a zero is somebody's when there is nothing else to be.
    is_nobodys = _is_null if all(map(_is_zero, values)) else _is_zero
    found: dict[Expression, None] = {}
    for chosen in range(len(values)):
        if is_nobodys(values[chosen]) or (chosen == len(case.branches) and _is_zero(values[chosen])):
            continue
        for support in supports_of(values[chosen]) or (_TRUE,):
            branches = tuple(
                (condition, support if index == chosen else _FALSE)
                for index, (condition, _) in enumerate(case.branches)
            )
            otherwise = support if chosen == len(case.branches) else _FALSE
            found[Case(branches, otherwise, BOOL)] = None
    return tuple(found) or (_FALSE,)


def _values_of(case: Case) -> list[Expression]:
    values = [value for _, value in case.branches]
    return values if case.otherwise is None else [*values, case.otherwise]


def _not_null(expression: Expression) -> Expression:
    return Apply("({0} IS NOT NULL)", (expression,), BOOL)


def _all_of(conditions: list[Expression]) -> Expression:
    return reduce(lambda first, second: Apply("({0} AND {1})", (first, second), BOOL), conditions)


def _is_null(value: Expression) -> bool:
    return isinstance(value, Constant) and value.value is None


def _is_zero(value: Expression) -> bool:
    return _is_null(value) or (isinstance(value, Constant) and value.type.is_numeric and value.value == 0)
