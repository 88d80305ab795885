"""What may stand in FROM: derived tables, WITH, UNION ALL and windows, and why anything else is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protos.formats.schema import Dataset
from protos.plan import Plan, QueryRefusedError
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
