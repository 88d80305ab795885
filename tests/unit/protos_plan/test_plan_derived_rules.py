"""Owners' rules of a dataset hold for it inside derived tables as they do in FROM."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from protos.formats.rules import Clamp, OptOut
from protos.formats.schema import Dataset
from protos.plan import QueryRefusedError
from protos.plan.sql import aggregate_statement
from tests.engine_world import column, plan_of, with_column
from tests.unit.protos_plan.test_plan_derived import CLIENTS, ORDERS

INSIDE = "SELECT COUNT(*) AS n FROM (SELECT customer, qty FROM orders) AS o"
JOINED = f"{INSIDE} JOIN clients c ON o.customer = c.person"


def ruled(dataset: Dataset, **rules: Any) -> Dataset:
    return replace(dataset, rules=replace(dataset.rules, **rules))


def refused(message: str, sql: str, *datasets: Dataset) -> None:
    with pytest.raises(QueryRefusedError, match=message):
        plan_of(sql, datasets=datasets)


def test_analyses_and_receivers_of_a_dataset_inside() -> None:
    refused("shop allows for orders: list", INSIDE, ruled(ORDERS, analyses=("list",)))
    refused("shop lets results over orders go to shop", INSIDE, ruled(ORDERS, receivers=("shop",)))


def test_opt_out_list_inside_is_read_by_no_query() -> None:
    gone = Dataset("gone", "bank", (column("who", "int64", "opt_out"),), "who", 2, (), 10, 10)
    orders = ruled(ORDERS, opt_out=OptOut("gone", "who"))
    refused("gone is the opt-out list", "SELECT COUNT(*) AS n FROM (SELECT who FROM gone) AS g", orders, gone)
    assert 'FROM "gone" AS "_opted_out"' in aggregate_statement(plan_of(INSIDE, datasets=(orders, gone)))


def test_join_that_is_required_is_seen_inside_and_outside() -> None:
    required = ruled(ORDERS, joined_with=("clients",))
    refused("inner-joined with clients", INSIDE, required, CLIENTS)
    refused("inner-joined with clients", JOINED.replace("JOIN", "LEFT JOIN"), required, CLIENTS)
    assert plan_of(JOINED, datasets=(required, CLIENTS)).outputs
    inner = "SELECT qty FROM clients c JOIN orders o ON c.person = o.customer"
    assert plan_of(f"SELECT COUNT(*) AS n FROM ({inner}) AS t", datasets=(required, CLIENTS)).outputs


def test_pool_in_which_the_required_dataset_is_one_of_two_is_not_that_join() -> None:
    more = Dataset("more", "bank", (column("id", "int64", "join"),), "id", 2, ("id",), 10, 10)
    pool = "SELECT person AS k FROM clients UNION ALL SELECT id FROM more"
    sql = f"SELECT COUNT(*) AS n FROM orders o JOIN ({pool}) AS p ON o.number = p.k"
    refused("inner-joined with clients", sql, ruled(ORDERS, joined_with=("clients",)), CLIENTS, more)
    both = ruled(ORDERS, joined_with=("clients", "more"))
    assert plan_of(sql, datasets=(both, CLIENTS, more)).outputs
    pooled = ruled(CLIENTS, joined_with=("orders",))
    assert plan_of(sql, datasets=(ORDERS, pooled, more)).outputs


def test_forbidden_column_stands_in_no_derived_table() -> None:
    forbidden = ruled(ORDERS, forbidden=("qty",))
    refused("shop has forbidden orders.qty", INSIDE, forbidden)
    refused("shop has forbidden orders.qty", INSIDE.replace("qty", "qty + 1 AS more"), forbidden)
    refused(
        "shop has forbidden orders.qty",
        INSIDE.replace("qty", "CASE WHEN qty > 1 THEN customer END AS c"),
        forbidden,
    )
    window = "LAG(qty) OVER (PARTITION BY customer ORDER BY number) AS l"
    refused("shop has forbidden orders.qty", INSIDE.replace("qty", window), forbidden)
    assert plan_of(INSIDE.replace(", qty", ""), datasets=(forbidden,)).outputs


def test_bound_of_rows_goes_with_no_derived_table() -> None:
    bounded = ruled(ORDERS, max_rows_per_unit=3)
    refused("shop bounds the rows of a unit in orders", INSIDE, bounded)
    beside = (
        "SELECT COUNT(*) AS n FROM orders o JOIN (SELECT person FROM clients) AS c ON o.customer = c.person"
    )
    refused("derived tables such as c", beside, bounded, CLIENTS)
    assert plan_of("SELECT COUNT(*) AS n FROM orders", datasets=(bounded,)).outputs


def test_list_is_of_datasets_and_not_of_derived_tables() -> None:
    listed = tuple(ruled(item, analyses=("aggregation", "list")) for item in (ORDERS, CLIENTS))
    shown = with_column(listed[1], replace(CLIENTS.column("town"), uses=frozenset({"output"})))
    sql = "SELECT DISTINCT c.town FROM clients c JOIN orders o ON c.person = o.customer"
    assert plan_of(sql, datasets=(listed[0], shown)).analysis == "list"
    derived = sql.replace("orders o", "(SELECT customer FROM orders) AS o")
    refused("a list of derived tables is not allowed", derived, listed[0], shown)
    inside = "SELECT COUNT(*) AS n FROM (SELECT DISTINCT qty FROM orders) AS o"
    refused("SELECT DISTINCT is not allowed", inside, *listed)


def test_sums_outside_take_the_clamped_column() -> None:
    clamp = with_column(ORDERS, replace(ORDERS.column("qty"), clamp=Clamp("0", "5")))
    inner = "SELECT qty * 2 AS twice, qty, customer FROM orders"
    statement = aggregate_statement(
        plan_of(f"SELECT SUM(twice) AS s, COUNT(qty) AS n FROM ({inner}) AS t", datasets=(clamp,))
    )
    assert 'SUM("t"."_clamped_twice")' in statement
    assert 'COUNT("t"."qty")' in statement
    plain = aggregate_statement(plan_of(f"SELECT SUM(twice) AS s FROM ({inner}) AS t", datasets=(ORDERS,)))
    assert "_clamped" not in plain
