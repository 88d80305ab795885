"""Expressions that would have no value, digits that would not fit, and texts that would grow without end."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from enclave_compute.engine import Engine
from protos.formats.schema import Column, Dataset
from protos.plan import QueryRefusedError
from protos.plan.expressions import Apply, Constant
from protos.plan.sql import aggregate_statement, expression_sql
from protos.plan.statement import EXPRESSIONS_MAX
from protos.plan.values import FLOAT64
from tests import engine_world as world
from tests.engine_world import column, plan_of, rows_of, run

USES = ("count", "filter", "group", "max", "min")


def numbers(kind: str = "float64", *, threshold: int = 3) -> Dataset:
    """People with a number each."""
    columns = (column("id", "int64", "count_distinct"), Column("x", kind, False, frozenset(USES)))
    return Dataset("people", "owner", columns, "id", threshold, ("id",), 1_000, 1_000_000)


def released(sql: str, kind: str, values: list[Any]) -> list[Any]:
    dataset = numbers(kind)
    return rows_of(run(sql, {dataset: world.table(dataset, list(enumerate(values)))}))


HUGE = " * 1000000000000000000" * 18
"""Times 10^324: whatever is not tiny overflows."""


@pytest.mark.parametrize("function", ["COUNT", "MAX", "MIN"])
def test_attack_23_floats_that_overflow_for_all_but_one_show_nobody(function: str) -> None:
    """The value of the one person whose product is finite is held back, as it is behind any condition."""
    values = [1.5] * 10 + [1e-20]
    ((count, value),) = released(
        f"SELECT COUNT(*) AS n, {function}(x{HUGE}) AS v FROM people", "float64", values
    )
    assert (count, value) == (11, None)
    values = [1.5] * 10 + [1e-20] * 3
    ((_, value),) = released(f"SELECT COUNT(*) AS n, {function}(x{HUGE}) AS v FROM people", "float64", values)
    assert value is not None


@pytest.mark.parametrize("digits", [9, 10, 17, 18])
def test_every_digit_of_sums_and_products_of_decimals_is_kept(digits: int) -> None:
    most = Decimal(10**digits - 1)
    sql = "SELECT x + x AS s, x * x AS p, x - 0.5 AS d, COUNT(*) AS n FROM people GROUP BY 1, 2, 3"
    assert released(sql, f"decimal({digits},0)", [most] * 3) == [
        (most + most, Decimal((10**digits - 1) ** 2), most - Decimal("0.5"), 3)
    ]


@pytest.mark.parametrize("nested", ["nullif({}, 7.5)", "(1.5 / {})", "(7.5 + {} / 0.1)"])
def test_statement_grows_with_the_text_and_not_with_its_depth(nested: str) -> None:
    lengths = []
    for levels in (8, 16):
        text = "x"
        for _ in range(levels):
            text = nested.format(text)
        plan = plan_of(f"SELECT MAX({text}) AS v FROM people", datasets=[numbers()])
        statement = aggregate_statement(plan)
        lengths.append(len(statement))
        assert "NULLIF" not in statement
        Engine(64, 1)._connection.execute(
            f"EXPLAIN WITH people AS (SELECT 1 AS id, 1.0::DOUBLE AS x) {statement}"
        )
    assert lengths[1] < 3 * lengths[0]


def test_nested_cases_of_a_value_are_bounded() -> None:
    text = "x"
    for _ in range(12):
        text = f"CASE {text} WHEN 1 THEN 2.0 WHEN 2 THEN 3.0 WHEN 3 THEN 4.0 ELSE 0.0 END"
    with pytest.raises(QueryRefusedError, match=f"more than {EXPRESSIONS_MAX} parts"):
        plan_of(f"SELECT {text} AS v, COUNT(*) AS n FROM people GROUP BY 1", datasets=[numbers()])


def test_an_operation_that_may_have_no_value_stands_in_the_statement_once() -> None:
    operation = Apply("({0} * {0})", (Constant(2, FLOAT64),), FLOAT64, fallible=True)
    assert expression_sql(operation).count("*") == 1
