"""Writes the statements of a query with noise: exact numbers for each cell, and the rows that are shown.

From the plan alone, like `protos.plan.sql`. The exact numbers are whole numbers in which nothing overflows: a
sum that does not fit 64 bits would else be NULL, and that would say something about single rows. With
declared keys every cell of the domains is there, whoever is in it, and no other.
"""

from __future__ import annotations

from typing import Final

from protos.plan.expressions import Constant, Expression
from protos.plan.hidden import group_column
from protos.plan.plan import Measured, Noise, Output, Plan
from protos.plan.quoting import quoted
from protos.plan.sql import expression_sql, group_values, rows_sql, total_sql

CELL: Final = "_cell"
"""Tells the cells of one run apart; numbered from 0 in no order."""
NOISY: Final = "_noisy"
"""The table of values with noise: `CELL` and a column for each aggregate of the query, by its name."""
_EXACT: Final = "_exact"


def cells_statement(plan: Plan, noise: Noise) -> str:
    """SELECT of `CELL`, the group columns, and the exact numbers, for every cell; parameters as $name."""
    groups = [quoted(group_column(number)) for number in range(len(plan.groups))]
    columns = [
        f"{value} AS {name}" for value, name in zip(group_values(plan)[: len(groups)], groups, strict=True)
    ]
    columns += [f"{_exact(item)} AS {quoted(item.name)}" for item in noise.measured]
    clauses = [f"SELECT {', '.join(columns)}", rows_sql(plan)]
    if groups:
        clauses.append(f"GROUP BY {', '.join(map(total_sql, plan.groups))}")
    exact = "\n".join(clauses)
    number = f"row_number() OVER () - 1 AS {quoted(CELL)}"
    if noise.domains is None or not groups:
        return f"SELECT {number}, * FROM ({exact}) AS {quoted(_EXACT)}"  # noqa: S608
    return f"SELECT {number}, {_declared(plan, noise, groups, exact)}"


def numbers_select(noise: Noise) -> str:
    """The exact numbers of all cells, in the order of their numbers; reads FROM {rows}."""
    names = ", ".join(quoted(item.name) for item in noise.measured)
    return f"SELECT {names} FROM {{rows}} ORDER BY {quoted(CELL)}"  # noqa: S608


def shown_select(plan: Plan) -> str:
    """The outputs of the rows that are in `NOISY`, by name; reads FROM {rows}."""
    values = ", ".join(f"{_shown(plan, output)} AS {quoted(output.name)}" for output in plan.outputs)
    cell = quoted(CELL)
    return (
        f"SELECT {values} FROM {NOISY} AS noisy JOIN {{rows}} AS cells "  # noqa: S608
        f"ON noisy.{cell} = cells.{cell}"
    )


def _declared(plan: Plan, noise: Noise, groups: list[str], exact: str) -> str:
    """All combinations of the domains, with 0 where nobody is in them."""
    domains = [
        f"(VALUES {', '.join(f'({_constant(value, group)})' for value in domain)}) AS {name}({name})"
        for name, domain, group in zip(groups, noise.domains or (), plan.groups, strict=True)
    ]
    same = " AND ".join(f"{quoted(_EXACT)}.{name} = {name}.{name}" for name in groups)
    columns = [f"{name}.{name} AS {name}" for name in groups]
    columns += [f"COALESCE({quoted(_EXACT)}.{name}, '0') AS {name}" for name in _names(noise)]
    keys = " CROSS JOIN ".join(domains)
    return f"{', '.join(columns)} FROM {keys} LEFT JOIN ({exact}) AS {quoted(_EXACT)} ON {same}"


def _names(noise: Noise) -> list[str]:
    return [quoted(item.name) for item in noise.measured]


def _constant(value: bool | int | str, group: Expression) -> str:
    return expression_sql(Constant(value, group.type))


def _exact(item: Measured) -> str:
    """A whole number as text, which holds any; 0 where nothing is added up."""
    match item.function:
        case "sum" if item.argument is not None:
            # Of int64 in 128 bits, of decimals in 38 digits. Without the point, in smallest units.
            total = f"COALESCE(SUM({total_sql(item.argument)}), 0)"
            return f"replace(CAST({total} AS VARCHAR), '.', '')"
        case "units" if item.argument is not None:
            only = "" if item.support is None else f" FILTER (WHERE {total_sql(item.support)})"
            return f"CAST(COUNT(DISTINCT {expression_sql(item.argument)}){only} AS VARCHAR)"
        case _:
            counted = "*" if item.argument is None else total_sql(item.argument)
            return f"CAST(COUNT({counted}) AS VARCHAR)"


def _shown(plan: Plan, output: Output) -> str:
    if output.kind == "aggregate":
        return f"CAST(noisy.{quoted(output.name)} AS {output.type.sql()})"
    expressions = [output.expression == group for group in plan.groups]
    name = f"cells.{quoted(group_column(expressions.index(True)))}"
    if output.expression.type.kind == "hex128":
        return f"replace(CAST({name} AS VARCHAR), '-', '')"
    return name
