"""What may stand in FROM: derived tables, WITH, UNION ALL and windows, and why anything else is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protos.formats.schema import Dataset
from protos.plan import Plan, QueryRefusedError
from protos.plan.sql import aggregate_statement
from tests import engine_world as world
from tests.engine_world import column, with_column

ORDERS = Dataset(
    "orders",
    "shop",
    (
        column("customer", "int64", "join", "count_distinct", "filter"),
        column("number", "int64", "order", "join"),
        column("day", "date", "order", "group", "filter"),
        column("amount", "decimal(12,2)", "sum", "avg", "group", "filter", "order", "max", nullable=True),
        column("qty", "int64", "sum", "avg", "count"),
        column("email", "text", "join"),
    ),
    "customer",
    2,
    ("number",),
    1000,
    1_000_000,
)
CLIENTS = Dataset(
    "clients",
    "bank",
    (
        column("person", "int64", "join", "count_distinct"),
        column("town", "text", "group", "filter"),
        column("score", "int64", "sum", "avg", nullable=True),
    ),
    "person",
    3,
    ("person",),
    1000,
    1_000_000,
)
SPEND = "SELECT customer, SUM(amount) AS total, COUNT(*) AS n FROM orders GROUP BY customer"
POOL = "SELECT customer AS who, qty AS v FROM orders UNION ALL SELECT person, score FROM clients"
WINDOW = "PARTITION BY customer ORDER BY day, number"


def plan_of(sql: str, *, many_to_many: bool = False) -> Plan:
    return world.plan_of(sql, datasets=(ORDERS, CLIENTS), many_to_many=many_to_many)


def uses_of(sql: str) -> set[tuple[str, str]]:
    return {(usage.column, usage.use) for usage in plan_of(sql).usages}


ALLOWED = [
    "SELECT SUM(q) AS q FROM (SELECT c.person, SUM(qty) AS q FROM orders o JOIN clients c "
    "ON o.customer = c.person GROUP BY c.person) AS s",
    f"SELECT AVG(CAST(total AS decimal(20,2))) AS a, COUNT(*) AS n FROM ({SPEND}) AS s",
    f"SELECT n, COUNT(*) AS people FROM ({SPEND}) AS s GROUP BY n",
    f"WITH s AS ({SPEND}) SELECT c.town, SUM(s.total) AS t FROM clients c LEFT JOIN s "
    "ON c.person = s.customer GROUP BY c.town",
    "WITH a AS (SELECT town FROM clients), b AS (SELECT upper(town) AS u FROM a) "
    "SELECT u, COUNT(*) AS n FROM b GROUP BY u",
    "SELECT SUM(t) AS t FROM (SELECT c.person, SUM(o.qty) AS t FROM clients c LEFT JOIN orders o "
    "ON c.person = o.customer GROUP BY c.person) AS s",
    "SELECT AVG(t) AS t FROM (SELECT customer, day, SUM(qty) AS t FROM orders GROUP BY 1, 2) AS s",
    f"SELECT SUM(v) AS s FROM ({POOL}) AS p",
    "SELECT SUM(t) AS a FROM (SELECT customer, SUM(qty) AS t FROM orders GROUP BY customer UNION ALL "
    "(SELECT person, score FROM clients)) AS p",
    f"SELECT AVG(t) AS a FROM (SELECT who, SUM(v) AS t FROM ({POOL}) AS p GROUP BY who) AS u",
    f"SELECT SUM(amount) AS s FROM (SELECT amount, ROW_NUMBER() OVER ({WINDOW}) AS rn FROM orders) AS w "
    "WHERE rn = 1",
    f"SELECT AVG(qty - b) AS g FROM (SELECT qty, LAG(qty, 2) OVER ({WINDOW}) AS b FROM orders) AS w",
    "SELECT r, SUM(s) AS s FROM (SELECT RANK() OVER (PARTITION BY customer ORDER BY day) AS r, "
    "SUM(qty) OVER (PARTITION BY customer ORDER BY day DESC NULLS FIRST) AS s FROM orders) AS w GROUP BY r",
    "SELECT SUM(amount) AS s FROM (SELECT amount, FIRST_VALUE(amount) OVER (PARTITION BY customer "
    "ORDER BY day, amount) AS f FROM orders) AS w",
    "SELECT COUNT(*) AS n FROM (SELECT town = 'x' AS here FROM clients) AS c WHERE here",
]


@pytest.mark.parametrize("sql", ALLOWED)
def test_query_of_the_grammar_compiles(sql: str) -> None:
    assert plan_of(sql).outputs


DEEP = "SELECT qty FROM orders"
for _ in range(9):
    DEEP = f"SELECT qty FROM ({DEEP}) AS t"

# By what stands after SELECT COUNT(*) AS n FROM, or by the whole text.
REFUSED = {
    (
        "(SELECT c.person, SUM(qty) AS q FROM orders o JOIN clients c ON o.number = c.person "
        "GROUP BY c.person) AS s"
    ): "lacks orders.customer",
    "((SELECT qty FROM orders) AS x UNION ALL SELECT score FROM clients) AS u": "with alias is not",
    "(SELECT qty FROM orders UNION ALL VALUES (1)) AS u": "not allowed",
    "SELECT SUM(t) AS t FROM (SELECT SUM(qty) AS t FROM orders) AS s": "GROUP BY lacks orders.customer",
    (
        "SELECT SUM(t) AS t FROM (SELECT day, SUM(qty) AS t FROM orders GROUP BY day) AS s"
    ): "lacks orders.customer",
    (
        "SELECT SUM(t) AS t FROM (SELECT o.customer, SUM(o.qty) AS t FROM orders o LEFT JOIN clients "
        "c ON o.number = c.person GROUP BY o.customer) AS s"
    ): "lacks clients.person, the privacy unit of bank",
    (
        "SELECT SUM(t) AS t FROM (SELECT o.customer, SUM(o.qty) AS t FROM clients c LEFT JOIN orders "
        "o ON c.person = o.customer GROUP BY o.customer) AS s"
    ): "lacks clients.person, the privacy unit of bank",
    (
        "(SELECT customer, floor(SUM(qty) / 10) AS b FROM orders GROUP BY customer) AS s"
    ): "arithmetic on aggregates",
    "(SELECT customer, qty FROM orders GROUP BY customer) AS s": "neither an aggregate",
    "(SELECT customer FROM orders GROUP BY customer HAVING COUNT(*) > 1) AS s": "HAVING",
    "(SELECT DISTINCT qty FROM orders) AS s": "DISTINCT is not allowed",
    "(SELECT qty FROM orders LIMIT 5) AS s": "LIMIT is not allowed",
    "(SELECT qty FROM orders)": "a derived table without a name",
    "(SELECT qty FROM orders) AS s(a)": "with columns is not allowed",
    "(VALUES (1)) AS s": "not allowed",
    "(FROM orders) AS s": "* is not allowed",
    '(SELECT qty AS "_unit_0" FROM orders) AS s': "not a name for an output",
    'SELECT COUNT(DISTINCT "_unit_0") AS n FROM (SELECT qty FROM orders) AS s': "there is no column _unit_0",
    "orders o JOIN (SELECT customer FROM orders) AS s ON o.customer = s.customer": "'orders' stands twice",
    (
        "WITH a AS (SELECT customer, qty FROM orders) SELECT COUNT(*) AS n FROM a JOIN a AS b ON "
        "a.customer = b.customer"
    ): "'orders' stands twice",
    (
        "WITH a AS (SELECT qty FROM orders) SELECT COUNT(*) AS n FROM (SELECT qty FROM a UNION ALL "
        "SELECT qty FROM a) AS u"
    ): "'orders' stands twice",
    (
        "(SELECT customer AS k FROM orders) AS s JOIN (SELECT person AS k FROM clients) AS s ON s.k = s.k"
    ): "'s' stands twice",
    "WITH a AS (SELECT qty FROM a) SELECT COUNT(*) AS n FROM a": "'a' is not a dataset",
    (
        "WITH a AS (SELECT qty FROM b), b AS (SELECT qty FROM orders) SELECT COUNT(*) AS n FROM a"
    ): "'b' is not a",
    (
        "WITH RECURSIVE a AS (SELECT qty FROM orders) SELECT COUNT(*) AS n FROM a"
    ): "with recursive is not allowed",
    "WITH a AS MATERIALIZED (SELECT qty FROM orders) SELECT COUNT(*) AS n FROM a": "with materialized",
    "WITH a(x) AS (SELECT qty FROM orders) SELECT COUNT(*) AS n FROM a": "with columns is not allowed",
    (
        "WITH a AS (SELECT qty FROM orders), a AS (SELECT town FROM clients) SELECT COUNT(*) AS n FROM a"
    ): "'a' twice",
    "WITH a AS (SELECT qty FROM orders) SELECT COUNT(*) AS n FROM clients": "never reads 'a' of WITH",
    "WITH clients AS (SELECT qty FROM orders) SELECT COUNT(*) AS n FROM clients": "which is a dataset",
    "(WITH a AS (SELECT qty FROM orders) SELECT qty FROM a) AS s": "WITH is not allowed",
    "WITH a AS (DELETE FROM orders RETURNING qty) SELECT COUNT(*) AS n FROM a": "DELETE is not allowed",
    f"({DEEP}) AS t": "nested deeper than",
    (
        "(SELECT customer + 1 AS k FROM orders) AS o JOIN clients c ON o.k = c.person"
    ): "o.k is computed, so it cannot be joined on",
    (
        "(SELECT qty FROM orders) AS o JOIN (SELECT person FROM clients) AS c ON o.qty = c.person AND"
        " c.person = c.person"
    ): "of an earlier dataset",
    (
        "(SELECT customer FROM orders) o JOIN (SELECT c.person FROM clients c) c ON o.customer = c.town"
    ): "no column c.town",
    "(SELECT qty FROM orders UNION SELECT score FROM clients) AS u": "UNION without ALL",
    "(SELECT qty FROM orders INTERSECT SELECT score FROM clients) AS u": "not counted behind it; use a JOIN",
    "(SELECT qty FROM orders EXCEPT SELECT score FROM clients) AS u": "not counted behind it; compare",
    (
        "(SELECT qty FROM orders UNION ALL BY NAME SELECT score AS qty FROM clients) AS u"
    ): "with by_name is not allowed",
    "(SELECT qty FROM orders UNION ALL SELECT score FROM clients LIMIT 3) AS u": "limit",
    "(SELECT qty FROM orders UNION ALL SELECT score, town FROM clients) AS u": "2 columns",
    (
        "(SELECT amount FROM orders UNION ALL SELECT score FROM clients) AS u"
    ): "amount is decimal(12,2) in the first SELECT and int64",
    "(SELECT SUM(qty) AS q FROM orders UNION ALL SELECT score FROM clients) AS u": "lacks",
    "SELECT qty AS n FROM orders UNION ALL SELECT score FROM clients": "one plain SELECT outermost",
    (
        "(SELECT ROW_NUMBER() OVER (ORDER BY number) AS r FROM orders) AS w"
    ): "PARTITION BY lacks orders.customer",
    "(SELECT SUM(qty) OVER (PARTITION BY day) AS r FROM orders) AS w": "PARTITION BY lacks",
    "(SELECT ROW_NUMBER() OVER (PARTITION BY customer) AS r FROM orders) AS w": "ORDER BY",
    (
        "(SELECT qty, LAG(qty) OVER (PARTITION BY customer ORDER BY day) AS r FROM orders) AS w"
    ): "lag depends on the order of rows that ORDER BY leaves equal: orders.qty is not in it",
    (
        "(SELECT ROW_NUMBER() OVER (PARTITION BY customer ORDER BY day) AS r, ROW_NUMBER() OVER "
        "(PARTITION BY customer ORDER BY day DESC) AS q FROM orders) AS w"
    ): "different orders",
    f"(SELECT NTILE(4) OVER ({WINDOW}) AS r FROM orders) AS w": "NTILE is not allowed",
    f"(SELECT LAST_VALUE(qty) OVER ({WINDOW}) AS r FROM orders) AS w": "LAST_VALUE is not",
    f"(SELECT MEDIAN(qty) OVER ({WINDOW}) AS r FROM orders) AS w": "MEDIAN is not allowed",
    f"(SELECT LAG(qty, 1, 0) OVER ({WINDOW}) AS r FROM orders) AS w": "with default",
    f"(SELECT LAG(qty, 0) OVER ({WINDOW}) AS r FROM orders) AS w": "lag: expected a whole",
    f"(SELECT LAG(qty IGNORE NULLS) OVER ({WINDOW}) AS r FROM orders) AS w": "not allowed",
    f"(SELECT LAG(1) OVER ({WINDOW}) AS r FROM orders) AS w": "an expression of columns",
    (
        f"(SELECT SUM(CASE WHEN qty > 1 THEN qty END) OVER ({WINDOW}) AS r FROM orders) AS w"
    ): "without conditions",
    f"(SELECT SUM(DISTINCT qty) OVER ({WINDOW}) AS r FROM orders) AS w": "not allowed",
    f"(SELECT qty + SUM(qty) OVER ({WINDOW}) AS r FROM orders) AS w": "stands by itself",
    f"(SELECT SUM(qty) OVER ({WINDOW} ROWS 1 PRECEDING) AS r FROM orders) AS w": "ROWS or",
    (
        "(SELECT SUM(qty) OVER v AS r FROM orders WINDOW v AS (PARTITION BY customer)) AS w"
    ): "WINDOW is not allowed",
    (
        "(SELECT qty FROM orders QUALIFY ROW_NUMBER() OVER (PARTITION BY customer ORDER BY number) = 1) AS w"
    ): "QUALIFY is not allowed",
    (
        "(SELECT SUM(qty) OVER (PARTITION BY customer, qty + 1) AS r FROM orders) AS w"
    ): "partitioned and ordered by columns",
    (
        f"(SELECT SUM(v) OVER (PARTITION BY who) AS r FROM ({POOL}) AS p) AS w"
    ): "some may be of no orders.customer",
    (
        "(SELECT SUM(qty) OVER (PARTITION BY person) AS r FROM clients c LEFT JOIN orders o ON "
        "c.person = o.customer) AS w"
    ): "some may be of no orders.customer",
    (
        "SELECT SUM(v + 1) AS s FROM (SELECT CASE WHEN town = 'x' THEN score END AS v FROM clients) AS c"
    ): "by itself",
    (
        "SELECT SUM(v) AS s FROM (SELECT 1 + CASE WHEN town = 'x' THEN score END AS v FROM clients) AS c"
    ): "by itself",
    (
        "SELECT SUM(k * t) AS s FROM (SELECT customer, COUNT(amount) AS k, SUM(qty) AS t FROM orders "
        "GROUP BY customer) AS c"
    ): "by itself",
    "SELECT COUNT(here) AS s FROM (SELECT town = 'x' AS here FROM clients) AS c": "by itself",
}


@pytest.mark.parametrize("sql", REFUSED)
def test_anything_else_is_refused_by_name(sql: str) -> None:
    wide = with_column(
        ORDERS, replace(ORDERS.column("amount"), uses=ORDERS.column("amount").uses | {"count"})
    )
    whole = sql if sql.startswith(("SELECT", "WITH")) else f"SELECT COUNT(*) AS n FROM {sql}"
    with pytest.raises(QueryRefusedError) as caught:
        world.plan_of(whole, datasets=(wide, CLIENTS), many_to_many=True)
    assert REFUSED[sql] in f"{caught.value.message} {caught.value.hint}"


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
