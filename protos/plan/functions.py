"""The closed list of other scalar functions: text, calendar, CAST, and choosing between values.

Each gives the same answer on every machine: nothing here reads a clock, a locale, a setting or randomness.
A function that is missing is missing on purpose; adding one means deciding what it could reveal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlglot import exp

from protos.plan.arithmetic import Read, Reader, cast, constant_int, unify, unless_equal
from protos.plan.constants import temporal_constant
from protos.plan.expressions import Apply, Constant, Expression
from protos.plan.syntax import require_only
from protos.plan.values import (
    DATE,
    DECIMAL_MAX_DIGITS,
    FLOAT64,
    INT64,
    TEXT,
    TIMESTAMP,
    ValueType,
    common_type,
    decimal,
)

_TEXT_MAX_CHARACTERS: Final = 65_536
_DATE_PARTS: Final = frozenset(
    {"year", "quarter", "month", "week", "day", "dow", "isodow", "doy", "dayofweek", "dayofyear"}
)
_TIME_PARTS: Final = frozenset({"hour", "minute"})
_DATE_UNITS: Final = frozenset({"year", "quarter", "month", "week", "day"})


def _text_function(template: str, kind: ValueType = TEXT) -> Read:
    def read(reader: Reader, node: exp.Expr) -> Expression:
        require_only(node, "this", sql=reader.sql)
        return Apply(template, (_text(reader, node),), kind)

    return read


def _text_end(function: str) -> Read:
    """left, right: the first or last few characters."""

    def read(reader: Reader, node: exp.Expr) -> Expression:
        require_only(node, "this", "expression", sql=reader.sql)
        count = constant_int(reader, node.args["expression"], what=function, low=0, high=_TEXT_MAX_CHARACTERS)
        return Apply(f"{function}({{0}}, {count})", (_text(reader, node),), TEXT)

    return read


def _substring(reader: Reader, node: exp.Substring) -> Expression:
    require_only(node, "this", "start", "length", sql=reader.sql)
    start = constant_int(reader, node.args.get("start"), what="substring", low=1, high=_TEXT_MAX_CHARACTERS)
    length = constant_int(reader, node.args.get("length"), what="substring", low=0, high=_TEXT_MAX_CHARACTERS)
    return Apply(f"substring({{0}}, {start}, {length})", (_text(reader, node),), TEXT)


def _text(reader: Reader, node: exp.Expr) -> Expression:
    text = reader.read(node.this)
    if text.type != TEXT:
        raise reader.mismatch(node, f"expected text, got {text.type}")
    return text


def _extract(reader: Reader, node: exp.Extract) -> Expression:
    require_only(node, "this", "expression", sql=reader.sql)
    return _part_of(reader, node, str(node.this.name).lower(), node.expression)


def _part(name: str) -> Read:
    def read(reader: Reader, node: exp.Expr) -> Expression:
        require_only(node, "this", sql=reader.sql)
        return _part_of(reader, node, name, node.this)

    return read


def _part_of(reader: Reader, node: exp.Expr, part: str, subject: exp.Expr) -> Expression:
    moment = reader.read(subject)
    allowed = _DATE_PARTS | (_TIME_PARTS if moment.type == TIMESTAMP else frozenset())
    if not moment.type.is_temporal or part not in allowed:
        raise reader.mismatch(
            node,
            f"{part[:20]} of {moment.type} is not allowed",
            hint=f"use one of {', '.join(sorted(allowed))}",
        )
    return Apply(f"date_part('{part}', {{0}})", (moment,), INT64)


def _date_trunc(reader: Reader, node: Any) -> Expression:
    require_only(node, "this", "unit", sql=reader.sql)
    moment, unit = reader.read(node.this), str(node.args["unit"].name).lower()
    allowed = _DATE_UNITS | (_TIME_PARTS if moment.type == TIMESTAMP else frozenset())
    if not moment.type.is_temporal or unit not in allowed:
        raise reader.mismatch(
            node,
            f"date_trunc of {moment.type} to {unit[:20]} is not allowed",
            hint=f"use one of {', '.join(sorted(allowed))}",
        )
    return Apply(f"CAST(date_trunc('{unit}', {{0}}) AS {moment.type.sql()})", (moment,), moment.type)


def _choice(function: str) -> Read:
    """coalesce, greatest, least over values of one type."""

    def read(reader: Reader, node: Any) -> Expression:
        require_only(node, "this", "expressions", "ignore_nulls", sql=reader.sql)
        values = unify(reader, node, [reader.read(part) for part in (node.this, *node.expressions)])
        holes = ", ".join(f"{{{index}}}" for index in range(len(values)))
        return Apply(f"{function}({holes})", tuple(values), values[0].type)

    return read


def _nullif(reader: Reader, node: exp.Nullif) -> Expression:
    require_only(node, "this", "expression", sql=reader.sql)
    values = unify(reader, node, [reader.read(node.this), reader.read(node.expression)])
    return unless_equal(*values)


def _cast(reader: Reader, node: exp.Cast) -> Expression:
    require_only(node, "this", "to", "safe", sql=reader.sql)
    value, target = reader.read(node.this), _target(reader, node)
    if isinstance(value, Constant) and value.type == TEXT and target.is_temporal:
        constant = temporal_constant(value, target)
        if constant is None:
            raise reader.mismatch(node, f"{str(value.value)[:40]!r} is not a {target} such as 2026-01-31")
        return constant
    if common_type(value.type, target) is None:
        raise reader.mismatch(node, f"CAST from {value.type} to {target} is not allowed")
    return cast(value, target)


_TARGETS: Final = {
    "BIGINT": INT64,
    "DATE": DATE,
    "DOUBLE": FLOAT64,
    "INT": INT64,
    "TIMESTAMP": TIMESTAMP,
    "TIMESTAMPNTZ": TIMESTAMP,
}


def _target(reader: Reader, node: exp.Cast) -> ValueType:
    name = node.to.this.value
    sizes = [int(part.name) for part in node.to.expressions if part.name.isdigit()]
    if name == "DECIMAL" and len(sizes) == 2 and 1 <= sizes[0] <= DECIMAL_MAX_DIGITS and sizes[1] <= sizes[0]:
        return decimal(*sizes)
    if name in _TARGETS and not node.to.expressions:
        return _TARGETS[name]
    raise reader.mismatch(
        node,
        f"CAST to {str(name)[:40]} is not allowed",
        hint="bigint, double, date, timestamp and decimal(p,s) are",
    )


READERS: Final[Mapping[type[exp.Expr], Read]] = {
    exp.Cast: _cast,
    exp.Coalesce: _choice("coalesce"),
    exp.DateTrunc: _date_trunc,
    exp.Day: _part("day"),
    exp.DayOfWeek: _part("dow"),
    exp.DayOfYear: _part("doy"),
    exp.Extract: _extract,
    exp.Greatest: _choice("greatest"),
    exp.Hour: _part("hour"),
    exp.Least: _choice("least"),
    exp.Left: _text_end("left"),
    exp.Length: _text_function("length({0})", INT64),
    exp.Lower: _text_function("lower({0})"),
    exp.Minute: _part("minute"),
    exp.Month: _part("month"),
    exp.Nullif: _nullif,
    exp.Quarter: _part("quarter"),
    exp.Right: _text_end("right"),
    exp.Substring: _substring,
    exp.TimestampTrunc: _date_trunc,
    exp.Trim: _text_function("trim({0})"),
    exp.TryCast: _cast,
    exp.Upper: _text_function("upper({0})"),
    exp.Year: _part("year"),
}
