"""Which uses derived tables need, what they hand on, and whose units are counted through them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protos.formats.schema import Dataset
from protos.plan import QueryRefusedError
from protos.plan.sql import aggregate_statement
from tests import engine_world as world
from tests.engine_world import column, with_column
from tests.unit.protos_plan.test_plan_derived import CLIENTS, ORDERS, POOL, SPEND, WINDOW, plan_of


def uses_of(sql: str) -> set[tuple[str, str]]:
    return {(usage.column, usage.use) for usage in plan_of(sql).usages}


CASES = {
    "CASE WHEN qty > 1 THEN qty WHEN qty < 0 THEN 1 END": False,
    "coalesce(CASE WHEN qty > 1 THEN qty END, 0)": False,
    "CASE WHEN qty > 1 THEN qty END": True,
    "qty + 1": True,
}


@pytest.mark.parametrize("value", CASES)
@pytest.mark.parametrize("first", [False, True])
def test_pool_carries_one_support_a_column(value: str, first: bool) -> None:
    """Which of several branches of a CASE a row was in, one hidden column cannot say."""
    branches = [f"SELECT {value} AS v FROM orders", "SELECT score AS v FROM clients"]
    pool = " UNION ALL ".join(branches if first else branches[::-1])
    wide = with_column(ORDERS, replace(ORDERS.column("qty"), uses=frozenset({"filter", "sum"})))
    sql = f"SELECT SUM(v) AS s FROM ({pool}) AS p"
    if CASES[value]:
        plan = world.plan_of(sql, datasets=(wide, CLIENTS))
        assert plan.supports
        return
    with pytest.raises(QueryRefusedError, match="one CASE around everything else"):
        world.plan_of(sql, datasets=(wide, CLIENTS))


@pytest.mark.parametrize("first", [False, True])
def test_pool_is_joined_on_only_where_every_branch_hands_the_column_on(first: bool) -> None:
    more = Dataset("more", "bank", (column("id", "int64", "join"),), "id", 2, ("id",), 10, 10)
    for other, allowed in (("number", True), ("number + 0 AS k", False)):
        branches = ["SELECT person AS k FROM clients", f"SELECT {other} FROM orders"]
        if first:
            branches = [
                f"SELECT {other.replace('number', 'number AS k', 1) if allowed else other} FROM orders"
            ]
            branches.append("SELECT person FROM clients")
        sql = f"SELECT COUNT(*) AS n FROM ({' UNION ALL '.join(branches)}) AS p JOIN more m ON p.k = m.id"
        if allowed:
            assert world.plan_of(sql, datasets=(ORDERS, CLIENTS, more)).outputs
            continue
        with pytest.raises(QueryRefusedError, match=r"p\.k is computed"):
            world.plan_of(sql, datasets=(ORDERS, CLIENTS, more))


def test_what_is_done_outside_needs_the_use_of_the_column_inside() -> None:
    inner = "SELECT customer, amount * 2 AS twice, town FROM orders o JOIN clients c ON o.customer = c.person"
    joins = {("customer", "join"), ("person", "join")}
    assert uses_of(f"SELECT SUM(twice) AS s FROM ({inner}) AS t") == {*joins, ("amount", "sum")}
    assert uses_of(f"SELECT COUNT(*) AS n FROM ({inner}) AS t WHERE twice > 1") == {
        *joins,
        ("amount", "filter"),
    }
    assert uses_of(f"SELECT twice, COUNT(*) AS n FROM ({inner}) AS t GROUP BY twice") == {
        *joins,
        ("amount", "group"),
    }
    with pytest.raises(QueryRefusedError, match=r"not output as a minimum \(line 1:12\)"):
        plan_of(f"SELECT MIN(twice) AS s FROM ({inner}) AS t")
    with pytest.raises(QueryRefusedError, match="is joined on here"):
        plan_of(f"SELECT customer, COUNT(*) AS n FROM ({inner}) AS t GROUP BY customer")


def test_per_unit_sum_needs_the_use_inside_and_outside() -> None:
    unit = ("customer", "count_distinct")
    assert uses_of(f"SELECT COUNT(*) AS n FROM ({SPEND}) AS s") == {unit, ("amount", "sum")}
    assert uses_of(f"SELECT MAX(total) AS m FROM ({SPEND}) AS s") == {
        unit,
        ("amount", "sum"),
        ("amount", "max"),
    }
    assert uses_of(f"SELECT COUNT(*) AS n FROM ({SPEND}) AS s WHERE total > 1") == {
        unit,
        ("amount", "sum"),
        ("amount", "filter"),
    }


def test_conditions_inside_a_derived_column_pick_rows_as_they_do_inline() -> None:
    inner = "SELECT CASE WHEN town = 'x' THEN score END AS v FROM clients"
    assert uses_of(f"SELECT SUM(v) AS s FROM ({inner}) AS t") == {("town", "filter"), ("score", "sum")}


def test_number_of_rows_of_a_unit_is_counted_freely_and_its_maximum_is_the_units() -> None:
    unit, total = ("customer", "count_distinct"), ("amount", "sum")
    assert uses_of(f"SELECT n, COUNT(*) AS c FROM ({SPEND}) AS s GROUP BY n") == {unit, total}
    with pytest.raises(QueryRefusedError, match=r"`customer` of shop .* not output as a maximum"):
        plan_of(f"SELECT MAX(n) AS m FROM ({SPEND}) AS s")


COUNTED = {
    "COUNT(*)": "orders",
    "SUM(one)": "(SELECT customer, 1 AS one FROM orders) AS o",
    "COUNT(one)": "(SELECT customer, 1 AS one FROM orders) AS o",
    "SUM(CASE WHEN day > '2026-01-01' THEN 1 ELSE 0 END)": "orders",
}


@pytest.mark.parametrize("count", COUNTED)
def test_whatever_counts_rows_of_a_unit_is_the_units_in_max_and_in_arithmetic(count: str) -> None:
    inner = f"SELECT customer, {count} AS n FROM {COUNTED[count]} GROUP BY customer"
    assert plan_of(f"SELECT n, COUNT(*) AS c, AVG(n) AS a FROM ({inner}) AS s GROUP BY n").outputs
    with pytest.raises(QueryRefusedError, match=r"`customer` of shop .* not output as a minimum"):
        plan_of(f"SELECT MIN(n) AS m FROM ({inner}) AS s")
    with pytest.raises(QueryRefusedError, match="one CASE around everything else"):
        plan_of(f"SELECT SUM(n * 2) AS m FROM ({inner}) AS s")


def test_row_number_is_the_units_in_max_and_in_arithmetic() -> None:
    inner = f"SELECT qty, ROW_NUMBER() OVER ({WINDOW}) AS r FROM orders"
    with pytest.raises(QueryRefusedError, match=r"`customer` of shop .* not output as a maximum"):
        plan_of(f"SELECT MAX(r) AS m FROM ({inner}) AS w")
    with pytest.raises(QueryRefusedError, match="one CASE around everything else"):
        plan_of(f"SELECT SUM(qty * r) AS m FROM ({inner}) AS w")


def test_key_of_a_left_joined_dataset_is_no_key_of_the_derived_table() -> None:
    inner = "SELECT o.number AS number FROM clients c LEFT JOIN orders o ON c.person = o.number"
    more = Dataset("more", "bank", (column("id", "int64", "join"),), "id", 2, (), 10, 10)
    sql = f"SELECT COUNT(*) AS n FROM ({inner}) AS t JOIN more m ON t.number = m.id"
    with pytest.raises(QueryRefusedError, match="several rows with several rows"):
        world.plan_of(sql, datasets=(ORDERS, CLIENTS, more))
    assert world.plan_of(sql.replace("LEFT JOIN", "JOIN"), datasets=(ORDERS, CLIENTS, more)).outputs


def test_windows_need_order_and_count_distinct_of_the_unit() -> None:
    sql = f"SELECT COUNT(*) AS n FROM (SELECT ROW_NUMBER() OVER ({WINDOW}) AS r FROM orders) AS w WHERE r = 1"
    assert uses_of(sql) == {("day", "order"), ("number", "order"), ("customer", "count_distinct")}
    sql = (
        "SELECT COUNT(*) AS n FROM (SELECT SUM(qty) OVER (PARTITION BY customer, day) AS r FROM orders) AS w"
    )
    assert uses_of(sql) == {("day", "group"), ("customer", "count_distinct"), ("qty", "sum")}
    closed = with_column(ORDERS, replace(ORDERS.column("day"), uses=frozenset({"group"})))
    with pytest.raises(
        QueryRefusedError, match=r"`day` of shop may be output or grouped by, not put in order"
    ):
        world.plan_of(
            f"SELECT COUNT(*) AS n FROM (SELECT RANK() OVER ({WINDOW}) AS r FROM orders) AS w",
            datasets=(closed,),
        )


def test_join_column_may_be_ordered_by_but_does_not_leave() -> None:
    sql = (
        "SELECT c.town, SUM(o.qty) AS s FROM clients c JOIN (SELECT customer, number, qty, RANK() OVER "
        "(PARTITION BY customer ORDER BY number) AS r FROM orders) AS o ON c.person = o.number "
        "WHERE r = 1 GROUP BY c.town"
    )
    assert ("number", "order") in uses_of(sql)


@pytest.mark.parametrize(
    ("sql", "place"),
    [
        ("WITH a AS (SELECT qty FROM orders)\nSELECT COUNT(*) AS n\nFROM clients", "(line 1:19)"),
        (
            "SELECT COUNT(*) AS n\nFROM (SELECT qty FROM orders\n  UNION SELECT score FROM clients) AS u",
            "(line 2:14)",
        ),
        ("SELECT COUNT(*) AS n FROM\n(SELECT SUM(qty) AS q FROM orders) AS s", "(line 2:9)"),
        ("SELECT COUNT(*) AS n FROM\n(SELECT qty FROM orders\nHAVING qty > 1) AS s", "(line 3:8)"),
        (
            "SELECT COUNT(*) AS n FROM\n(SELECT RANK() OVER (PARTITION BY day) AS r FROM orders) AS s",
            "(line 2:9)",
        ),
        ("SELECT COUNT(x) AS s\nFROM (SELECT email AS x FROM orders) AS s", "(line 1:14)"),
    ],
)
def test_refusal_says_where_in_the_text(sql: str, place: str) -> None:
    with pytest.raises(QueryRefusedError) as caught:
        plan_of(sql)
    assert caught.value.message.endswith(place)


def test_every_dataset_inside_has_its_threshold() -> None:
    plan = plan_of(f"SELECT SUM(v) AS s FROM ({POOL}) AS p")
    assert [(item.dataset, item.own_units, item.required_units) for item in plan.thresholds] == [
        ("orders", 2, 3),
        ("clients", 3, 3),
    ]
    assert len(plan.counted) == 2


def test_people_whom_a_join_makes_equal_are_counted_once_through_derived_tables() -> None:
    sql = f"SELECT COUNT(*) AS n FROM ({SPEND}) AS s JOIN clients c ON s.customer = c.person"
    assert 'COUNT(DISTINCT "s"."customer") AS "_units_0"' in aggregate_statement(plan_of(sql))
    assert len(plan_of(sql).counted) == 1


def test_groups_of_a_derived_table_are_a_unique_key_outside() -> None:
    loose = replace(CLIENTS, unique=())
    join = "JOIN clients c ON s.customer = c.person"
    world.plan_of(f"SELECT COUNT(*) AS n FROM ({SPEND}) AS s {join}", datasets=(ORDERS, loose))
    with pytest.raises(QueryRefusedError, match="several rows with several rows"):
        world.plan_of(
            f"SELECT COUNT(*) AS n FROM (SELECT customer FROM orders) AS s {join}", datasets=(ORDERS, loose)
        )
    hidden = "SELECT customer, SUM(qty) AS total FROM orders GROUP BY customer, day"
    with pytest.raises(QueryRefusedError, match="several rows with several rows"):
        world.plan_of(f"SELECT COUNT(*) AS n FROM ({hidden}) AS s {join}", datasets=(ORDERS, loose))


def test_key_settles_the_order_only_where_it_is_in_it() -> None:
    inner = (
        "SELECT c.town, o.number, o.customer, c.person FROM clients c JOIN orders o ON c.person = o.customer"
    )
    window = "ROW_NUMBER() OVER (PARTITION BY person ORDER BY number)"
    sql = f"SELECT COUNT(*) AS n FROM (SELECT town, {window} AS r FROM ({inner}) AS t) AS w"
    with pytest.raises(QueryRefusedError, match="leaves equal"):
        plan_of(sql.replace("ORDER BY number", "ORDER BY person"))
    assert plan_of(sql).outputs


def test_order_that_no_key_settles_is_settled_by_hidden_columns_at_last() -> None:
    inner = "SELECT day, ROW_NUMBER() OVER (PARTITION BY customer ORDER BY day) AS r FROM orders"
    statement = aggregate_statement(plan_of(f"SELECT COUNT(*) AS n FROM ({inner}) AS w"))
    assert '"orders"."day" ASC NULLS LAST, "orders"."customer" ASC NULLS LAST)' in statement
