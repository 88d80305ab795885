"""Writes the statement that the engine runs, from the plan alone; the agreed text is never part of it.

The statement computes the outputs and, beside them, hidden columns that no query can name (a name in a query
begins with a letter, these with an underscore): the number of distinct privacy units of every dataset behind
the row, and behind every aggregate that skips rows. What may leave is decided on them, in the enclave's
disclosure module. Every expression is total: what would be an error, or a float that is not finite, is NULL.
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
    DerivedRef,
    Expression,
    ParameterRef,
)
from protos.plan.hidden import group_column, print_column, support_column, units_column
from protos.plan.plan import Output, Plan
from protos.plan.quoting import quoted
from protos.plan.relations import (
    TIE_BREAKERS,
    AnySource,
    Derived,
    Item,
    Pool,
    Selection,
    Source,
    Window,
    first_equal,
    unit_type,
)
from protos.plan.values import DECIMAL_MAX_DIGITS, FLOAT64, ValueType

__all__ = [
    "PRINT_KEY",
    "aggregate_statement",
    "expression_sql",
    "group_values",
    "print_sql",
    "rows_sql",
    "total_sql",
]
PRINT_KEY: Final = "_print_key"
"""The parameter with the secret that prints are made with."""
_ONE_GROUP: Final = "TRUE"


def aggregate_statement(plan: Plan, *, with_sets: bool = False) -> str:
    """SELECT of the outputs, then `units_column`s, then `support_column`s; parameters stand as $name.

    With sets, the hidden `group_column`s say which row is which, whatever the query shows of it, and the
    `print_column`s tell the sets of units behind them apart; `PRINT_KEY` is one more parameter.
    """
    if plan.analysis == "list":
        return _list_statement(plan, with_sets=with_sets)
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
    if with_sets:
        columns += [f"{value} AS {quoted(group_column(n))}" for n, value in enumerate(group_values(plan))]
        columns += [
            f"bit_xor(DISTINCT {print_sql(expression_sql(unit))}) AS {quoted(print_column(index))}"
            for index, unit in enumerate(plan.counted)
        ]
    return _clauses(columns, rows_sql(plan), plan.groups)


def _clauses(columns: list[str], rows: str, groups: tuple[Expression, ...]) -> str:
    clauses = [f"SELECT {', '.join(columns)}", rows]
    if groups:
        clauses.append(f"GROUP BY {', '.join(map(total_sql, groups))}")
    return "\n".join(clauses)


def _list_statement(plan: Plan, *, with_sets: bool) -> str:
    """The distinct rows of a list, each with the number of units behind the whole list."""
    names = [quoted(output.name) for output in plan.outputs]
    units = [quoted(f"_unit_{index}") for index in range(len(plan.counted))]
    values = [f"{_output(output, plan.sources)} AS {quoted(output.name)}" for output in plan.outputs]
    values += [f"{expression_sql(unit)} AS {name}" for unit, name in zip(plan.counted, units, strict=True)]
    counts = [
        f'(SELECT COUNT(DISTINCT {name}) FROM "_overlap") AS {quoted(units_column(index))}'  # noqa: S608
        for index, name in enumerate(units)
    ]
    if with_sets:
        counts.append(f"{_ONE_GROUP} AS {quoted(group_column(0))}")
        counts += [
            f'(SELECT bit_xor(DISTINCT {print_sql(name)}) FROM "_overlap") '  # noqa: S608
            f"AS {quoted(print_column(index))}"
            for index, name in enumerate(units)
        ]
    overlap = f"SELECT {', '.join(values)}\n{rows_sql(plan)}"
    return (
        f'WITH "_overlap" AS MATERIALIZED ({overlap})\n'
        f'SELECT DISTINCT {", ".join([*names, *counts])} FROM "_overlap"'
    )


def rows_sql(plan: Plan) -> str:
    """FROM and WHERE: the rows that enter the query."""
    return bounded_sql(plan, _joined(plan.sources, plan.where))


def _joined(sources: tuple[AnySource, ...], where: Expression | None) -> str:
    joined = f"FROM {''.join(map(_source, sources))}"
    return joined if where is None else f"{joined}\nWHERE {total_sql(where)}"


def group_values(plan: Plan) -> list[str]:
    """SQL for what tells the rows of a result apart; of a result of one row or a list, one constant."""
    if plan.analysis == "list" or not plan.groups:
        return [_ONE_GROUP]
    return list(map(total_sql, plan.groups))


def print_sql(unit: str) -> str:
    """The secret number of one unit, uniform in 128 bits to whoever has no `PRINT_KEY`; NULL of NULL.

    MD5 of the key before the text: nobody sees these numbers, so what is asked of it is a pseudo-random
    function, which it still is, and one block of it is cheap.
    """
    return f"md5_number(CAST(${PRINT_KEY} AS VARCHAR) || CAST({unit} AS VARCHAR))"


def total_sql(expression: Expression) -> str:
    """An expression as it stands on its own in the statement."""
    text = expression_sql(expression)
    if expression.type == FLOAT64 and not isinstance(expression, ColumnRef):
        # Adding zero turns -0.0 into 0.0, which compares equal and would be written with other bytes.
        text = f"({text} + 0.0::DOUBLE)"
    return text


def expression_sql(expression: Expression) -> str:
    """An expression as part of another one."""
    match expression:
        case DerivedRef() if expression.is_clamped:
            return f"{quoted(expression.source)}.{quoted(_clamped(expression.column))}"
        case ColumnRef() | DerivedRef():
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
            return _applied(expression)


def _applied(apply: Apply) -> str:
    text = apply.template.format(*map(expression_sql, apply.arguments))
    if not apply.fallible:
        return text
    if apply.type == FLOAT64:
        # Written so that `text` stands there once: operations are nested.
        return f"list_transform([{text}], lambda _x: CASE WHEN isfinite(_x) THEN _x END)[1]"
    # Around the operation itself and not around the whole: inside a TRY the optimizer may take for
    # granted that nothing fails, and turn `x + 1 IS NOT NULL` into `x IS NOT NULL`.
    return f"TRY({text})"


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


def _output(output: Output, sources: tuple[AnySource, ...]) -> str:
    if not isinstance(output.expression, Aggregate):
        return total_sql(output.expression)
    return _aggregate(output.expression, sources)


def _aggregate(aggregate: Aggregate, sources: tuple[AnySource, ...]) -> str:
    if aggregate.argument is None:
        return "COUNT(*)"
    if aggregate.function == "count_distinct" and isinstance(aggregate.argument, ColumnRef | DerivedRef):
        # Often a join column, which is counted for the threshold as well: the engine counts the same once.
        return f"COUNT(DISTINCT {expression_sql(first_equal(aggregate.argument, sources))})"
    argument = total_sql(aggregate.argument)
    if aggregate.function == "sum":
        return _sum(argument, aggregate.type)
    return _AGGREGATES[aggregate.function].format(argument)


def _sum(argument: str, kind: ValueType) -> str:
    """An exact sum. A sum of int64 is computed in 128 bits and NULL when it does not fit int64 again.

    So is a sum of decimals that a derived table keeps, in 38 digits.
    """
    if kind.kind == "decimal" and kind.digits == DECIMAL_MAX_DIGITS:
        return f"CAST(SUM({argument}) AS {kind.sql()})"
    return f"TRY_CAST(SUM({argument}) AS {kind.sql()})"


def _source(source: AnySource) -> str:
    if isinstance(source, Source):
        table = f"{table_sql(source)} AS {quoted(source.alias)}"
    else:
        table = f"({derived_sql(source.derived)}) AS {quoted(source.alias)}"
    if source.join is None:
        return table
    equalities = " AND ".join(
        f"{expression_sql(left)} = {expression_sql(right)}" for left, right in source.join.equalities
    )
    return f"\n{'LEFT' if source.join.is_left else 'INNER'} JOIN {table} ON {equalities}"


def derived_sql(derived: Derived) -> str:
    """A derived table: its visible columns, then hidden ones for supports and units."""
    if isinstance(derived, Pool):
        return "\nUNION ALL\n".join(_branch(derived, branch) for branch in derived.branches)
    columns = [f"{_item(item, derived)} AS {quoted(item.column.name)}" for item in derived.items]
    for item in derived.items:
        columns += [
            f"{_support(item, support, derived)} AS {quoted(name)}"
            for name, support in zip(item.column.supports, item.supports, strict=True)
        ]
    columns += [
        f"{_clamped_item(item, derived)} AS {quoted(_clamped(item.column.name))}"
        for item in derived.items
        if item.clamped is not None
    ]
    shown = {column.name for column in derived.columns}
    for unit, reference in zip(derived.units, derived.unit_references, strict=True):
        if unit.column not in shown:
            text = expression_sql(reference)
            # All rows of a group are of one unit or of none.
            columns.append(f"{f'MAX({text})' if derived.groups else text} AS {quoted(unit.column)}")
    return _clauses(columns, _joined(derived.sources, derived.where), derived.groups)


def _branch(pool: Pool, branch: Selection) -> str:
    """One SELECT of a UNION ALL, with the columns of all: it has no unit of a dataset in another one."""
    columns = [
        f"{quoted(mine.name)} AS {quoted(column.name)}"
        for mine, column in zip(branch.columns, pool.columns, strict=True)
    ]
    for mine, column in zip(branch.columns, pool.columns, strict=True):
        if column.supports:
            somebodys = " OR ".join(f"COALESCE({quoted(name)}, FALSE)" for name in mine.supports) or "TRUE"
            columns.append(f"({somebodys}) AS {quoted(column.supports[0])}")
        if column.has_clamp:
            name = _clamped(mine.name) if mine.has_clamp else mine.name
            columns.append(f"{quoted(name)} AS {quoted(_clamped(column.name))}")
    own = {unit.dataset.id: quoted(unit.column) for unit in branch.units}
    for unit in pool.units:
        missing = f"CAST(NULL AS {unit_type(unit.dataset).sql()})"
        columns.append(f"{own.get(unit.dataset.id, missing)} AS {quoted(unit.column)}")
    return f"SELECT {', '.join(columns)} FROM ({derived_sql(branch)}) AS _branch"  # noqa: S608


def _clamped(name: str) -> str:
    """The hidden column beside `name` that is made of clamped values."""
    return f"_clamped_{name}"


def _clamped_item(item: Item, selection: Selection) -> str:
    if isinstance(item.clamped, Window):
        return _window(item.clamped, selection)
    text = total_sql(item.clamped) if item.clamped is not None else "NULL"
    # What a group is by is one value; made of clamped ones, any of those in the group will do.
    return f"MAX({text})" if selection.groups else text


def _item(item: Item, selection: Selection) -> str:
    if isinstance(item.expression, Window):
        return _window(item.expression, selection)
    if isinstance(item.expression, Aggregate):
        return _aggregate(item.expression, selection.sources)
    return total_sql(item.expression)


def _support(item: Item, support: Expression, selection: Selection) -> str:
    """Whether a value is somebody's: the row's own, one of the group's, or those that a window looks at."""
    text = total_sql(support)
    if selection.groups:
        return _group_support(text, selection)
    if isinstance(item.expression, Window):
        window = item.expression
        call = _WINDOWS.get(window.function, "BOOL_OR({0})").format(text, window.offset)
        return f"COALESCE({call} OVER ({_over(window, selection)}), FALSE)"
    return text


def _group_support(text: str, selection: Selection) -> str:
    """Whether some row of the group supports, and of every unit in the group some row of that unit."""
    conditions = [f"COALESCE(BOOL_OR({text}), FALSE)"]
    for unit, reference in zip(selection.units, selection.unit_references, strict=True):
        if unit.may_miss:
            name = expression_sql(reference)
            own = f"COALESCE(BOOL_OR({text} AND {name} IS NOT NULL), FALSE)"
            conditions.append(f"(MAX({name}) IS NULL OR {own})")
    return " AND ".join(conditions)


_WINDOWS: Final[Mapping[str, str]] = {
    "dense_rank": "dense_rank()",
    "first_value": "first_value({0})",
    "lag": "lag({0}, {1})",
    "lead": "lead({0}, {1})",
    "rank": "rank()",
    "row_number": "row_number()",
}


def _window(window: Window, selection: Selection) -> str:
    over = f" OVER ({_over(window, selection)})"
    if window.argument is None:
        return _WINDOWS.get(window.function, "COUNT(*)") + over
    argument = total_sql(window.argument)
    if window.function in _WINDOWS:
        return _WINDOWS[window.function].format(argument, window.offset) + over
    if window.function == "sum":
        return f"TRY_CAST(SUM({argument}){over} AS {window.type.sql()})"
    if window.function == "avg":
        return f"CAST(SUM({argument}){over} AS DOUBLE) / NULLIF(COUNT({argument}){over}, 0)"
    return _AGGREGATES[window.function].format(argument) + over


def _over(window: Window, selection: Selection) -> str:
    clauses = []
    if window.partition:
        clauses.append(f"PARTITION BY {', '.join(map(expression_sql, window.partition))}")
    keys = [
        f"{expression_sql(ordering.key)} {'DESC' if ordering.is_descending else 'ASC'} "
        f"NULLS {'FIRST' if ordering.nulls_first else 'LAST'}"
        for ordering in window.order
    ]
    if keys and window.function in TIE_BREAKERS:
        keys += [f"{expression_sql(column)} ASC NULLS LAST" for column in selection.tiebreak]
    if keys:
        clauses.append(f"ORDER BY {', '.join(keys)}")
    return " ".join(clauses)
