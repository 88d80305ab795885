"""Writes the statement that the engine runs, from the plan alone; the agreed text is never part of it.

The statement computes the outputs and, beside them, hidden columns that no query can name (a name in a query
begins with a letter, these with an underscore): the number of distinct privacy units of every dataset behind
the row, and behind every aggregate that skips rows. What may leave is decided on them, in the enclave's
disclosure module. Every expression is total: what would be an error is NULL.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from protos.plan.contributions import bounded_sql, table_sql
from protos.plan.expressions import (
    Aggregate,
    Apply,
    Case,
    ColumnRef,
    Constant,
    Expression,
    ParameterRef,
)
from protos.plan.plan import Output, Plan
from protos.plan.quoting import quoted
from protos.plan.sources import Source, first_equal
from protos.plan.values import FLOAT64, INT64, ValueType

__all__ = [
    "aggregate_statement",
    "expression_sql",
    "group_column",
    "group_values",
    "quoted",
    "rows_sql",
    "support_column",
    "total_sql",
    "units_column",
]
_ONE_GROUP: Final = "TRUE"


def aggregate_statement(plan: Plan, *, with_groups: bool = False) -> str:
    """SELECT of the outputs, then `units_column`s, then `support_column`s; parameters stand as $name.

    With groups, the hidden `group_column`s say which row is which, whatever the query shows of it.
    """
    if plan.analysis == "list":
        return _list_statement(plan, with_groups=with_groups)
    columns = [f"{_output(output, plan.sources)} AS {quoted(output.name)}" for output in plan.outputs]
    columns += [
        f"COUNT(DISTINCT {expression_sql(unit)}) AS {quoted(units_column(index))}"
        for index, unit in enumerate(plan.counted)
    ]
    for number, support in enumerate(plan.supports):
        columns += [
            f"COUNT(DISTINCT {expression_sql(unit)}) FILTER (WHERE {total_sql(support)}) "
            f"AS {quoted(support_column(number, index))}"
            for index, unit in enumerate(plan.counted)
        ]
    if with_groups:
        columns += [f"{value} AS {quoted(group_column(n))}" for n, value in enumerate(group_values(plan))]
    clauses = [f"SELECT {', '.join(columns)}", rows_sql(plan)]
    if plan.groups:
        clauses.append(f"GROUP BY {', '.join(map(total_sql, plan.groups))}")
    return "\n".join(clauses)


def _list_statement(plan: Plan, *, with_groups: bool) -> str:
    """The distinct rows of a list, each with the number of units behind the whole list."""
    names = [quoted(output.name) for output in plan.outputs]
    units = [quoted(f"_unit_{index}") for index in range(len(plan.counted))]
    values = [f"{_output(output, plan.sources)} AS {quoted(output.name)}" for output in plan.outputs]
    values += [f"{expression_sql(unit)} AS {name}" for unit, name in zip(plan.counted, units, strict=True)]
    counts = [
        f'(SELECT COUNT(DISTINCT {name}) FROM "_overlap") AS {quoted(units_column(index))}'  # noqa: S608
        for index, name in enumerate(units)
    ]
    if with_groups:
        counts.append(f"{_ONE_GROUP} AS {quoted(group_column(0))}")
    overlap = f"SELECT {', '.join(values)}\n{rows_sql(plan)}"
    return (
        f'WITH "_overlap" AS MATERIALIZED ({overlap})\n'
        f'SELECT DISTINCT {", ".join([*names, *counts])} FROM "_overlap"'
    )


def rows_sql(plan: Plan) -> str:
    """FROM and WHERE: the rows that enter the query."""
    joined = f"FROM {''.join(map(_source, plan.sources))}"
    if plan.where is not None:
        joined += f"\nWHERE {total_sql(plan.where)}"
    return bounded_sql(plan, joined)


def group_column(number: int) -> str:
    """The hidden column with the value of one GROUP BY expression."""
    return f"_group_{number}"


def group_values(plan: Plan) -> list[str]:
    """SQL for what tells the rows of a result apart; of a result of one row or a list, one constant."""
    if plan.analysis == "list" or not plan.groups:
        return [_ONE_GROUP]
    return list(map(total_sql, plan.groups))


def units_column(unit: int) -> str:
    """The hidden column that counts distinct values of the unit with this index in `Plan.counted`."""
    return f"_units_{unit}"


def support_column(support: int, unit: int) -> str:
    """As `units_column`, over the rows that support an aggregate; `support` is its index in the plan."""
    return f"_units_{unit}_support_{support}"


def total_sql(expression: Expression) -> str:
    """An expression as it stands on its own in the statement: NULL where it has no finite value."""
    text = expression_sql(expression)
    if expression.type == FLOAT64 and not isinstance(expression, ColumnRef):
        # Adding zero turns -0.0 into 0.0, which compares equal and would be written with other bytes.
        text = f"CASE WHEN isfinite({text}) THEN {text} + 0.0::DOUBLE END"
    return text


def expression_sql(expression: Expression) -> str:
    """An expression as part of another one."""
    match expression:
        case ColumnRef():
            return f"{quoted(expression.source)}.{quoted(expression.column)}"
        case ParameterRef():
            return f"CAST(${expression.name} AS {expression.type.sql()})"
        case Constant():
            return _constant(expression)
        case Case():
            branches = " ".join(
                f"WHEN {expression_sql(condition)} THEN {expression_sql(value)}"
                for condition, value in expression.branches
            )
            rest = "" if expression.otherwise is None else f" ELSE {expression_sql(expression.otherwise)}"
            return f"CASE {branches}{rest} END"
        case Apply():
            text = expression.template.format(*map(expression_sql, expression.arguments))
            # Around the operation itself and not around the whole: inside a TRY the optimizer may take for
            # granted that nothing fails, and turn `x + 1 IS NOT NULL` into `x IS NOT NULL`.
            return f"TRY({text})" if expression.fallible else text


def _constant(constant: Constant) -> str:
    value, kind = constant.value, constant.type.sql()
    if value is None:
        return f"CAST(NULL AS {kind})"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, str):
        text = "'" + value.replace("'", "''") + "'"
        return text if constant.type.kind == "text" else f"CAST({text} AS {kind})"
    return f"CAST({value} AS {kind})"


_AGGREGATES: Final[Mapping[str, str]] = {
    "count": "COUNT({0})",
    "count_distinct": "COUNT(DISTINCT {0})",
    "max": "MAX({0})",
    "min": "MIN({0})",
    # Exact sum and exact count, one division: the same on every machine and in every order.
    "avg": "CAST(SUM({0}) AS DOUBLE) / NULLIF(COUNT({0}), 0)",
}


def _output(output: Output, sources: tuple[Source, ...]) -> str:
    if not isinstance(output.expression, Aggregate):
        return total_sql(output.expression)
    aggregate = output.expression
    if aggregate.argument is None:
        return "COUNT(*)"
    if aggregate.function == "count_distinct" and isinstance(aggregate.argument, ColumnRef):
        # Often a join column, which is counted for the threshold as well: the engine counts the same once.
        return f"COUNT(DISTINCT {expression_sql(first_equal(aggregate.argument, sources))})"
    argument = total_sql(aggregate.argument)
    if aggregate.function == "sum":
        return _sum(argument, aggregate.type)
    return _AGGREGATES[aggregate.function].format(argument)


def _sum(argument: str, kind: ValueType) -> str:
    """An exact sum. A sum of int64 is computed in 128 bits and NULL when it does not fit int64 again."""
    return (
        f"TRY_CAST(SUM({argument}) AS BIGINT)" if kind == INT64 else f"CAST(SUM({argument}) AS {kind.sql()})"
    )


def _source(source: Source) -> str:
    table = f"{table_sql(source)} AS {quoted(source.alias)}"
    if source.join is None:
        return table
    equalities = " AND ".join(
        f"{expression_sql(left)} = {expression_sql(right)}" for left, right in source.join.equalities
    )
    return f"\n{'LEFT' if source.join.is_left else 'INNER'} JOIN {table} ON {equalities}"
