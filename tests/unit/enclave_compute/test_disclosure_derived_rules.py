"""Clamps, opt-outs and differences through derived tables give what they give without them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from enclave_compute.differencing import Asked, Differencing
from enclave_compute.disclosure import release
from enclave_compute.engine import Engine
from protos.formats.rules import Clamp, OptOut
from protos.formats.schema import Dataset
from tests import engine_world as world
from tests.engine_world import MEMORY_MIB, column, plan_of, rows_of, run, with_column

ORDERS = Dataset(
    "orders",
    "shop",
    (
        column("customer", "int64", "join", "count_distinct"),
        column("number", "int64", "order"),
        column("amount", "int64", "sum", "avg", "max", "count", "filter", "group", nullable=True),
    ),
    "customer",
    2,
    ("number",),
    1000,
    10**6,
)
CLAMPED = with_column(ORDERS, replace(ORDERS.column("amount"), clamp=Clamp("0", "10")))
GONE = Dataset("gone", "shop", (column("who", "int64", "opt_out"),), "who", 2, (), 10, 100)
AMOUNTS = [(n, 10 * n + m, value) for n in range(6) for m, value in enumerate((-7, 3, 500, None, n))]
NESTED = {
    "SELECT amount AS v FROM orders": "amount",
    "SELECT v FROM (SELECT amount AS v FROM orders) AS u": "amount",
    "SELECT amount * 2 AS v FROM orders": "amount * 2",
    "SELECT u * 2 AS v FROM (SELECT amount AS u FROM orders) AS u": "amount * 2",
    "SELECT CASE WHEN amount > 0 THEN amount ELSE 0 END AS v FROM orders": (
        "CASE WHEN amount > 0 THEN amount ELSE 0 END"
    ),
}


def orders() -> Any:
    return world.table(ORDERS, AMOUNTS)


@pytest.mark.parametrize("inner", NESTED)
@pytest.mark.parametrize("function", ["SUM", "AVG", "MAX", "COUNT"])
def test_clamped_values_are_the_same_inline_and_nested(inner: str, function: str) -> None:
    inline = run(f"SELECT {function}({NESTED[inner]}) AS s FROM orders", {CLAMPED: orders()})
    nested = run(f"SELECT {function}(v) AS s FROM ({inner}) AS t", {CLAMPED: orders()})
    assert rows_of(nested) == rows_of(inline) != [(None,)]


def test_clamps_hold_for_rows_inside_and_not_for_the_sum_of_a_unit() -> None:
    inner = "SELECT customer, SUM(amount) AS total FROM orders GROUP BY customer"
    found = run(f"SELECT MAX(total) AS m, SUM(total) AS s FROM ({inner}) AS t", {CLAMPED: orders()})
    totals = [0 + 3 + 10 + n for n in range(6)]
    assert rows_of(found) == [(max(totals), sum(totals))]


def test_windows_add_up_clamped_values_and_hand_on_both() -> None:
    window = "OVER (PARTITION BY customer ORDER BY number)"
    running = f"SELECT SUM(amount) {window} AS v FROM orders"
    expected = sum(sum(values) for n in range(6) for values in ([0], [0, 3], [0, 3, 10], [0, 3, 10]))
    expected += sum(13 + n for n in range(6))
    assert rows_of(run(f"SELECT SUM(v) AS s FROM ({running}) AS t", {CLAMPED: orders()})) == [(expected,)]
    before = f"SELECT LAG(amount) {window} AS v FROM orders"
    found = run(f"SELECT SUM(v) AS s FROM ({before}) AS t", {CLAMPED: orders()})
    assert rows_of(found) == [(6 * 13,)]
    # A condition sees the value as it is.
    found = run(f"SELECT SUM(v) AS s, COUNT(*) AS n FROM ({before}) AS t WHERE v > 10", {CLAMPED: orders()})
    assert rows_of(found) == [(60, 6)]


def test_groups_and_pools_hand_clamped_values_on() -> None:
    inner = "SELECT customer, amount AS v FROM orders GROUP BY customer, amount"
    found = run(f"SELECT SUM(v) AS s FROM ({inner}) AS t", {CLAMPED: orders()})
    assert rows_of(found) == [(sum(0 + 10 + sum({3, n}) for n in range(6)),)]
    other = Dataset("other", "bank", (column("k", "int64", "count_distinct", "sum"),), "k", 2, (), 100, 1000)
    rows = world.table(other, [(100,), (200,)])
    pool = "SELECT amount AS v FROM orders UNION ALL SELECT k FROM other"
    found = run(f"SELECT SUM(v) AS s FROM ({pool}) AS p", {CLAMPED: orders(), other: rows})
    assert rows_of(found) == [(300 + sum(13 + n for n in range(6)),)]


def test_units_that_opted_out_are_in_no_derived_table() -> None:
    opted = replace(ORDERS, rules=replace(ORDERS.rules, opt_out=OptOut("gone", "who")))
    gone = world.table(GONE, [(0,), (1,)])
    inner = "SELECT customer, COUNT(*) AS n FROM orders GROUP BY customer"
    found = run(f"SELECT COUNT(*) AS c, SUM(n) AS n FROM ({inner}) AS t", {opted: orders(), GONE: gone})
    assert rows_of(found) == [(4, 20)]


def test_differences_are_seen_through_derived_tables() -> None:
    """All customers, then all but one by a condition inside: what differs is one customer."""
    engine = Engine(MEMORY_MIB, 1)
    world.load(engine, ORDERS, orders())
    inner = "SELECT customer, SUM(amount) AS total FROM orders GROUP BY customer"
    whole = plan_of(f"SELECT SUM(total) AS s FROM ({inner}) AS t", datasets=(ORDERS,))
    least = plan_of(f"SELECT SUM(total) AS s FROM ({inner}) AS t WHERE total > 496", datasets=(ORDERS,))
    whole = replace(whole, query="other")
    guard = Differencing([whole, least])
    assert rows_of(release(engine, least, {}, guard=guard)) == [(sum(496 + n for n in range(1, 6)),)]
    release(engine, whole, {}, guard=guard)
    guard.remember(Asked(whole, {}))
    assert rows_of(release(engine, least, {}, guard=guard)) == []
