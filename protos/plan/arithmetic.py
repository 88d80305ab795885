"""Numbers in a query: + - * / // %, rounding and CAST, each total or NULL.

Nothing here can fail for one person's value and not for another's: what overflows or divides by zero is NULL
in that row (`Apply.fallible`), because an error would tell the operator that such a row exists. int64 stays
int64, decimals keep every digit, and only `/` and float64 columns lead to float64.
Follows `docs/semantics.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import reduce
from typing import Any, Final, Protocol

from sqlglot import exp

from protos.plan.errors import QueryRefusedError
from protos.plan.expressions import Apply, Constant, Expression
from protos.plan.syntax import require_only
from protos.plan.values import (
    DATE,
    DECIMAL_MAX_DIGITS,
    FLOAT64,
    INT64,
    TIMESTAMP,
    ValueType,
    as_decimal,
    common_type,
    decimal,
)

_FLOAT_MAX_PLACES: Final = 15
_NARROW_DIGITS: Final = 18
"""Of a decimal that the engine keeps in 64 bits."""


class Reader(Protocol):
    """What this module needs of `scalars.ScalarReader`."""

    sql: str

    def read(self, node: exp.Expr) -> Expression:
        """The typed expression that `node` is."""
        ...

    def mismatch(self, node: exp.Expr, message: str, *, hint: str | None = None) -> QueryRefusedError:
        """A refusal about types."""
        ...


Read = Callable[[Any, Any], Expression]


def cast(expression: Expression, target: ValueType) -> Expression:
    """`expression` as `target`; values that do not fit become NULL."""
    if expression.type == target:
        return expression
    if isinstance(expression, Constant) and _holds(target, _digits(expression)):
        return Constant(expression.value, target, expression.place)
    widening = (
        target == FLOAT64
        or (target == TIMESTAMP and expression.type == DATE)
        or (expression.type.is_exact and _holds(target, as_decimal(expression.type)))
    )
    return Apply(f"CAST({{0}} AS {target.sql()})", (expression,), target, fallible=not widening)


def unify(reader: Reader, node: exp.Expr, values: list[Expression]) -> list[Expression]:
    """`values` cast to the one type that holds them all. Raises `QueryRefusedError` when there is none."""
    if not values:
        raise reader.mismatch(node, "expected a value that is not NULL")
    kind = values[0].type
    for value in values[1:]:
        wider = common_type(kind, value.type)
        if wider is None:
            raise reader.mismatch(node, f"{kind} and {value.type} cannot stand for the same value")
        kind = wider
    return [cast(value, kind) for value in values]


def beside_each_other(values: list[Expression]) -> list[Expression]:
    """`values`, which are comparable, as they are compared: in one type, constants no wider than written.

    Said here and not left to the engine, whose own conversions may fail, or be optimised into other answers.
    """
    kinds = {value.type for value in values}
    if len(kinds) == 1:
        return values
    if all(kind.is_exact for kind in kinds):
        kinds = {_digits(value) for value in values}
    kind = reduce(_wider, sorted(kinds, key=str))
    return [cast(value, kind) for value in values]


def constant_int(reader: Reader, node: exp.Expr | None, *, what: str, low: int, high: int) -> int:
    """A whole number that stands in the text, in low..high (both inclusive)."""
    constant = reader.read(node) if isinstance(node, exp.Literal) else None
    value = constant.value if isinstance(constant, Constant) else None
    if type(value) is not int or not low <= value <= high:
        raise reader.mismatch(node or exp.Null(), f"{what}: expected a whole number, {low} to {high}")
    return value


def _numbers(reader: Reader, node: exp.Binary) -> tuple[Expression, Expression]:
    require_only(node, "this", "expression", "typed", "safe", sql=reader.sql)
    first, second = reader.read(node.this), reader.read(node.expression)
    if not (first.type.is_numeric and second.type.is_numeric):
        raise reader.mismatch(node, f"arithmetic needs numbers, got {first.type} and {second.type}")
    return first, second


def _wider(first: ValueType, second: ValueType) -> ValueType:
    """The type in which values of two comparable types are compared."""
    return common_type(first, second) or first


def _digits(number: Expression) -> ValueType:
    """The decimal type of an exact number; of a constant, no wider than it is written."""
    if isinstance(number, Constant) and number.type == INT64:
        return decimal(len(str(number.value).lstrip("-")), 0)
    return as_decimal(number.type)


def _holds(target: ValueType, number: ValueType) -> bool:
    """Whether every value of `number` is a value of the decimal type `target` as it is."""
    return (
        target.kind == number.kind == "decimal"
        and target.scale >= number.scale
        and target.digits - target.scale >= number.digits - number.scale
    )


def _arithmetic(operator: str) -> Read:
    def read(reader: Reader, node: exp.Binary) -> Expression:
        first, second = _numbers(reader, node)
        kinds = {first.type.kind, second.type.kind}
        if "float64" in kinds:
            parts = (cast(first, FLOAT64), cast(second, FLOAT64))
            return Apply(f"({{0}} {operator} {{1}})", parts, FLOAT64, fallible=True)
        if kinds == {"int64"}:
            return Apply(f"({{0}} {operator} {{1}})", (first, second), INT64, fallible=True)
        one, other = _digits(first), _digits(second)
        if operator == "*":
            kind = decimal(one.digits + other.digits, one.scale + other.scale)
        else:
            scale = max(one.scale, other.scale)
            kind = decimal(max(one.digits - one.scale, other.digits - other.scale) + 1 + scale, scale)
        if kind.digits > DECIMAL_MAX_DIGITS:
            raise reader.mismatch(
                node,
                f"{first.type} {operator} {second.type} has {kind.digits} digits, "
                f"at most {DECIMAL_MAX_DIGITS} are exact",
                hint="CAST one of them to a decimal with fewer digits",
            )
        if max(one.digits, other.digits) <= _NARROW_DIGITS < kind.digits:
            # The engine computes with as many digits as the wider of the two has room for, not the result.
            one = decimal(_NARROW_DIGITS + 1, one.scale)
        parts = (cast(first, one), cast(second, other))
        return Apply(f"CAST({{0}} {operator} {{1}} AS {kind.sql()})", parts, kind, fallible=True)

    return read


def _divide(reader: Reader, node: exp.Div) -> Expression:
    first, second = _numbers(reader, node)
    parts = (cast(first, FLOAT64), cast(_not_zero(second), FLOAT64))
    return Apply("({0} / {1})", parts, FLOAT64, fallible=True)


def _whole_divide(operator: str) -> Read:
    def read(reader: Reader, node: exp.Binary) -> Expression:
        first, second = _numbers(reader, node)
        if {first.type, second.type} != {INT64}:
            raise reader.mismatch(
                node, f"{operator} is for int64, got {first.type} and {second.type}", hint="use floor(x / y)"
            )
        return Apply(f"({{0}} {operator} {{1}})", (first, _not_zero(second)), INT64, fallible=True)

    return read


def _not_zero(divisor: Expression) -> Expression:
    """NULL for zero: an error would be caught as well, but at a thousand times the time of a division."""
    if isinstance(divisor, Constant) and divisor.value:
        return divisor
    return unless_equal(divisor, Constant(0, divisor.type))


def unless_equal(value: Expression, other: Expression) -> Expression:
    """`value`, or NULL where it equals `other`, which is of the same type.

    Each stands once in the engine's SQL, where NULLIF would write `value` twice: one in another, and a short
    text is a statement without end.
    """
    template = (
        "list_transform([struct_pack(a := {0}, b := {1})], "
        "lambda _pair: CASE WHEN _pair.a = _pair.b THEN NULL ELSE _pair.a END)[1]"
    )
    return Apply(template, (value, other), value.type, fallible=True)


def _negate(reader: Reader, node: exp.Neg) -> Expression:
    number = reader.read(node.this)
    if not number.type.is_numeric:
        raise reader.mismatch(node, f"- needs a number, got {number.type}")
    if isinstance(number, Constant) and isinstance(number.value, int | Decimal):
        return Constant(-number.value, number.type, number.place)
    return Apply("(-{0})", (number,), number.type, fallible=number.type == INT64)


def _abs(reader: Reader, node: exp.Abs) -> Expression:
    number = _number(reader, node)
    return Apply("abs({0})", (number,), number.type, fallible=number.type == INT64)


def _to_whole(function: str) -> Read:
    """floor, ceil: to int64, so that a band is a whole number and not a float that looks like one."""

    def read(reader: Reader, node: exp.Expr) -> Expression:
        number = _number(reader, node)
        if number.type == INT64:
            return number
        return Apply(f"TRY_CAST({function}({{0}}) AS BIGINT)", (number,), INT64, fallible=True)

    return read


def _round(reader: Reader, node: exp.Round) -> Expression:
    require_only(node, "this", "decimals", sql=reader.sql)
    places_node = node.args.get("decimals")
    if places_node is None:
        return _to_whole("round")(reader, node)
    number = reader.read(node.this)
    if number.type.kind == "decimal":
        places = constant_int(reader, places_node, what="round", low=0, high=number.type.scale)
        whole = number.type.digits - number.type.scale
        kind = decimal(min(DECIMAL_MAX_DIGITS, max(1, whole + 1 + places)), places)
        return Apply(f"CAST(round({{0}}, {places}) AS {kind.sql()})", (number,), kind, fallible=True)
    if number.type == FLOAT64:
        places = constant_int(reader, places_node, what="round", low=0, high=_FLOAT_MAX_PLACES)
        return Apply(f"round({{0}}, {places})", (number,), FLOAT64)
    raise reader.mismatch(node, f"round with places is for decimal and float64, got {number.type}")


def _number(reader: Reader, node: exp.Expr) -> Expression:
    allowed = ("this", "decimals") if isinstance(node, exp.Round) else ("this",)
    require_only(node, *allowed, sql=reader.sql)
    number = reader.read(node.this)
    if not number.type.is_numeric:
        raise reader.mismatch(node, f"expected a number, got {number.type}")
    return number


READERS: Final[Mapping[type[exp.Expr], Read]] = {
    exp.Abs: _abs,
    exp.Add: _arithmetic("+"),
    exp.Ceil: _to_whole("ceil"),
    exp.Div: _divide,
    exp.Floor: _to_whole("floor"),
    exp.IntDiv: _whole_divide("//"),
    exp.Mod: _whole_divide("%"),
    exp.Mul: _arithmetic("*"),
    exp.Neg: _negate,
    exp.Round: _round,
    exp.Sub: _arithmetic("-"),
}
