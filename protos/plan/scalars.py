"""Reads one scalar expression of a query into a typed one: columns, constants, conditions, CASE.

The allow-list is the table at the end together with those of `arithmetic` and `functions`: a node that has no
reader there is refused. Whether the columns in it may be used is decided in `rules`, not here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlglot import exp

from protos.plan import arithmetic, functions, intervals, patterns
from protos.plan.constants import constant_beside, number_constant
from protos.plan.errors import QueryRefusedError
from protos.plan.expressions import Apply, Case, Constant, Expression, ParameterRef
from protos.plan.sources import Scope
from protos.plan.statement import Statement
from protos.plan.syntax import place_of, refuse, require_only
from protos.plan.values import BOOL, TEXT, are_comparable, parameter_type

_IN_MAX_ITEMS: Final = 1_000


class ScalarReader:
    """Reads expressions over the columns of `scope` and the parameters of `statement`."""

    def __init__(self, scope: Scope, statement: Statement) -> None:
        self.scope = scope
        self.sql = scope.sql
        self._statement = statement

    def read(self, node: exp.Expr) -> Expression:
        """The typed expression that `node` is. Raises `QueryRefusedError`."""
        self._statement.count_expression(place_of(node, self.sql))
        reader = READERS.get(type(node))
        if reader is None:
            raise refuse(node, self.sql)
        return reader(self, node)

    def read_condition(self, node: exp.Expr) -> Expression:
        """As `read`, for something that is true or false."""
        condition = self.read(node)
        if condition.type != BOOL:
            raise self.mismatch(node, f"expected a condition, got {condition.type}")
        return condition

    def parameter(self, node: exp.Placeholder) -> Expression:
        """`$name`: a value of the type that the agreement's range says."""
        name = str(node.this or "")
        parameter = self._statement.parameters.get(name)
        if parameter is None:
            raise self.mismatch(node, f"the agreement has no parameter ${name[:64]} for this query")
        self._statement.unused_parameters.discard(name)
        return ParameterRef(name, parameter_type(parameter))

    def mismatch(self, node: exp.Expr, message: str, *, hint: str | None = None) -> QueryRefusedError:
        """A refusal about types, to be raised by the caller."""
        return QueryRefusedError(message, place=place_of(node, self.sql), hint=hint)


def _column(reader: ScalarReader, node: exp.Column) -> Expression:
    return reader.scope.column(node)


def _paren(reader: ScalarReader, node: exp.Paren) -> Expression:
    return reader.read(node.this)


def _literal(reader: ScalarReader, node: exp.Literal) -> Expression:
    text, place = str(node.this), place_of(node, reader.sql)
    if node.is_string:
        return Constant(text, TEXT, place)
    number = number_constant(text, place)
    if number is not None:
        return number
    raise reader.mismatch(
        node, "expected a number such as 12 or 12.50", hint="at most 19 digits on either side of the point"
    )


def _boolean(_: ScalarReader, node: exp.Boolean) -> Expression:
    return Constant(bool(node.this), BOOL)


def _parameter(reader: ScalarReader, node: exp.Placeholder) -> Expression:
    return reader.parameter(node)


def _logic(template: str) -> Callable[[ScalarReader, Any], Expression]:
    def read(reader: ScalarReader, node: exp.Expr) -> Expression:
        parts = [node.this] if isinstance(node, exp.Not) else [node.this, node.expression]
        conditions = tuple(reader.read_condition(part) for part in parts)
        return Apply(template, conditions, BOOL, place=place_of(node, reader.sql))

    return read


def _comparison(operator: str) -> Callable[[ScalarReader, Any], Expression]:
    def read(reader: ScalarReader, node: exp.Binary) -> Expression:
        require_only(node, "this", "expression", sql=reader.sql)
        first, second = _comparable(reader, node, [reader.read(node.this), reader.read(node.expression)])
        return _compared(f"({{0}} {operator} {{1}})", first, second)

    return read


def _between(reader: ScalarReader, node: exp.Between) -> Expression:
    require_only(node, "this", "low", "high", sql=reader.sql)
    parts = [reader.read(node.this), reader.read(node.args["low"]), reader.read(node.args["high"])]
    return _compared("({0} BETWEEN {1} AND {2})", *_comparable(reader, node, parts))


def _in(reader: ScalarReader, node: exp.In) -> Expression:
    require_only(node, "this", "expressions", sql=reader.sql)
    items = node.expressions
    if not 1 <= len(items) <= _IN_MAX_ITEMS:
        raise reader.mismatch(node, f"IN: expected a list of 1 to {_IN_MAX_ITEMS} values")
    parts = _comparable(reader, node, [reader.read(part) for part in (node.this, *items)])
    if not all(isinstance(part, Constant | ParameterRef) for part in parts[1:]):
        raise reader.mismatch(node, "IN: expected constants and parameters in the list")
    holes = ", ".join(f"{{{index}}}" for index in range(1, len(parts)))
    return _compared(f"({{0}} IN ({holes}))", *parts)


def _is(reader: ScalarReader, node: exp.Is) -> Expression:
    require_only(node, "this", "expression", sql=reader.sql)
    if isinstance(node.expression, exp.Null):
        return Apply("({0} IS NULL)", (reader.read(node.this),), BOOL)
    if isinstance(node.expression, exp.Boolean):
        answer = "TRUE" if node.expression.this else "FALSE"
        return Apply(f"({{0}} IS {answer})", (reader.read_condition(node.this),), BOOL)
    raise refuse(node, reader.sql)


def _comparable(reader: ScalarReader, node: exp.Expr, parts: list[Expression]) -> list[Expression]:
    """`parts` with text constants read as what the first part is, all comparable with it."""
    subject = parts[0]
    if isinstance(subject, Constant) and len(parts) > 1:
        subject = parts[1]
    parts = [constant_beside(part, subject.type) for part in parts]
    for part in parts:
        if not are_comparable(subject.type, part.type):
            raise reader.mismatch(node, f"{subject.type} and {part.type} cannot be compared")
    return arithmetic.beside_each_other(parts)


def _compared(template: str, *parts: Expression) -> Expression:
    return Apply(template, parts, BOOL)


def _case(reader: ScalarReader, node: exp.Case) -> Expression:
    require_only(node, "this", "ifs", "default", sql=reader.sql)
    conditions: list[Expression] = []
    values: list[exp.Expr] = []
    for branch in node.args["ifs"]:
        require_only(branch, "this", "true", sql=reader.sql)
        if node.this is None:
            conditions.append(reader.read_condition(branch.this))
        else:
            conditions.append(reader.read(exp.EQ(this=node.this.copy(), expression=branch.this.copy())))
        values.append(branch.args["true"])
    return _case_of(reader, node, conditions, [*values, node.args.get("default")])


def _if(reader: ScalarReader, node: exp.If) -> Expression:
    require_only(node, "this", "true", "false", sql=reader.sql)
    conditions = [reader.read_condition(node.this)]
    return _case_of(reader, node, conditions, [node.args["true"], node.args.get("false")])


def _case_of(
    reader: ScalarReader, node: exp.Expr, conditions: list[Expression], values: list[exp.Expr | None]
) -> Expression:
    """A CASE whose last value is its ELSE; NULL stands for a value that is not there."""
    read = [None if value is None or isinstance(value, exp.Null) else reader.read(value) for value in values]
    unified = arithmetic.unify(reader, node, [value for value in read if value is not None])
    kind = unified[0].type
    typed = iter(unified)
    results = [Constant(None, kind) if value is None else next(typed) for value in read]
    branches = tuple(zip(conditions, results[:-1], strict=True))
    otherwise = None if read[-1] is None else results[-1]
    return Case(branches, otherwise, kind, place_of(node, reader.sql))


def _moved_or_added(sign: int) -> Callable[[ScalarReader, Any], Expression]:
    """+ and -: of numbers, or of a date and an interval."""

    def read(reader: ScalarReader, node: exp.Add | exp.Sub) -> Expression:
        if intervals.is_interval(node.expression):
            return intervals.moved_date(reader, node, sign=sign)
        return arithmetic.READERS[type(node)](reader, node)

    return read


READERS: Final[Mapping[type[exp.Expr], Callable[[ScalarReader, Any], Expression]]] = {
    exp.And: _logic("({0} AND {1})"),
    exp.Between: _between,
    exp.Boolean: _boolean,
    exp.Case: _case,
    exp.Column: _column,
    exp.EQ: _comparison("="),
    exp.GT: _comparison(">"),
    exp.GTE: _comparison(">="),
    exp.If: _if,
    exp.In: _in,
    exp.Is: _is,
    exp.LT: _comparison("<"),
    exp.LTE: _comparison("<="),
    exp.Literal: _literal,
    exp.NEQ: _comparison("<>"),
    exp.Not: _logic("(NOT {0})"),
    exp.Or: _logic("({0} OR {1})"),
    exp.Paren: _paren,
    exp.Placeholder: _parameter,
    **arithmetic.READERS,
    **functions.READERS,
    **patterns.READERS,
    exp.Add: _moved_or_added(1),
    exp.Sub: _moved_or_added(-1),
}
