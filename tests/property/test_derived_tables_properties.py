"""For any tables: derived tables, windows and UNION ALL release what a slow count of units allows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from enclave_compute.disclosure import release
from enclave_compute.engine import Engine
from protos.formats.schema import Dataset
from tests import engine_world as world
from tests.engine_world import column, rows_of, with_threshold

ALL_USES = ("avg", "count", "count_distinct", "filter", "group", "max", "min", "order", "sum")
ORDERS = Dataset(
    "orders",
    "shop",
    (
        column("customer", "int64", "join", "count_distinct"),
        column("number", "int64", "order"),
        column("kind", "text", "group", "filter"),
        column("amount", "int64", *ALL_USES, nullable=True),
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
        column("score", "int64", *ALL_USES, nullable=True),
    ),
    "person",
    2,
    ("person",),
    1000,
    1_000_000,
)
PERSONS = st.integers(0, 6)
NUMBERS = st.one_of(st.none(), st.integers(-3, 6))
ORDER_ROWS = st.lists(st.tuples(PERSONS, st.sampled_from("ab"), NUMBERS), max_size=24).map(
    lambda rows: [(person, number, kind, amount) for number, (person, kind, amount) in enumerate(rows)]
)
CLIENT_ROWS = st.dictionaries(PERSONS, st.tuples(st.sampled_from("xy"), NUMBERS)).map(
    lambda found: [(person, *rest) for person, rest in found.items()]
)
EXAMPLES = settings(max_examples=30)
ENGINE = Engine(128, 1)

Row = dict[str, Any]
"""A row that is counted: its values, and under a dataset's id the unit of it, or None."""


def released(sql: str, tables: dict[Dataset, list[Any]]) -> list[tuple[Any, ...]]:
    for dataset, rows in tables.items():
        world.load(ENGINE, dataset, world.table(dataset, rows))
    try:
        return rows_of(release(ENGINE, world.plan_of(sql, datasets=tuple(tables)), {}))
    finally:
        for dataset in tables:
            ENGINE.drop(dataset.id)


def enough(rows: Iterable[Row], datasets: Iterable[str], threshold: int) -> bool:
    kept = list(rows)
    return all(len({row[name] for row in kept if row[name] is not None}) >= threshold for name in datasets)


def grouped(rows: Iterable[Row], key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    found = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return found


def total_or_none(rows: list[Row], name: str, datasets: tuple[str, ...], threshold: int) -> int | None:
    """The sum that may leave: of the rows with a value, if they are of enough units of everybody."""
    known = [row for row in rows if row[name] is not None]
    return sum(row[name] for row in known) if enough(known, datasets, threshold) else None


def order_rows(orders: list[Any]) -> list[Row]:
    return [
        {"orders": person, "number": number, "kind": kind, "amount": amount}
        for person, number, kind, amount in orders
    ]


def spend(orders: list[Any]) -> list[Row]:
    """One row for each customer: how many orders, and the sum of the amounts that are known."""
    rows = []
    for person, own in grouped(order_rows(orders), lambda row: row["orders"]).items():
        known = [row["amount"] for row in own if row["amount"] is not None]
        rows.append(
            {"orders": person, "n": len(own), "known": len(known), "total": sum(known) if known else None}
        )
    return rows


@EXAMPLES
@given(ORDER_ROWS, st.integers(1, 3))
def test_average_and_histogram_over_customers(orders: list[Any], threshold: int) -> None:
    tables = {with_threshold(ORDERS, threshold): orders}
    inner = "SELECT customer, COUNT(*) AS n, SUM(amount) AS total FROM orders GROUP BY customer"
    found = released(f"SELECT n, SUM(total) AS t, COUNT(*) AS c FROM ({inner}) AS s GROUP BY n", tables)
    expected = [
        (n, total_or_none(rows, "total", ("orders",), threshold), len(rows))
        for n, rows in sorted(grouped(spend(orders), lambda row: row["n"]).items())
        if enough(rows, ("orders",), threshold)
    ]
    assert found == expected


@EXAMPLES
@given(ORDER_ROWS, st.integers(1, 3))
def test_counts_and_conditions_inside_support_only_whom_they_are_about(
    orders: list[Any], threshold: int
) -> None:
    tables = {with_threshold(ORDERS, threshold): orders}
    inner = (
        "SELECT customer, COUNT(amount) AS known, "
        "SUM(CASE WHEN kind = 'a' THEN amount ELSE 0 END) AS of_a FROM orders GROUP BY customer"
    )
    found = released(f"SELECT COUNT(*) AS n, SUM(known) AS k, SUM(of_a) AS a FROM ({inner}) AS s", tables)
    rows = spend(orders)
    with_a = {row["orders"] for row in order_rows(orders) if row["kind"] == "a" and row["amount"] is not None}
    of_a = sum(
        row["amount"] for row in order_rows(orders) if row["kind"] == "a" and row["amount"] is not None
    )
    with_any = [row for row in rows if row["known"]]
    expected = (
        len(rows),
        sum(row["known"] for row in rows) if enough(with_any, ("orders",), threshold) else None,
        of_a if len(with_a) >= threshold else None,
    )
    assert found == ([expected] if enough(rows, ("orders",), threshold) else [])


@EXAMPLES
@given(ORDER_ROWS, CLIENT_ROWS, st.integers(1, 3))
def test_customers_of_one_party_beside_clients_of_another(
    orders: list[Any], clients: list[Any], threshold: int
) -> None:
    tables = {with_threshold(ORDERS, threshold): orders, CLIENTS: clients}
    required = max(threshold, CLIENTS.threshold)
    sql = (
        "WITH spend AS (SELECT customer, SUM(amount) AS total FROM orders GROUP BY customer), "
        "both AS (SELECT c.town, s.total, c.score FROM clients c LEFT JOIN spend s ON c.person = s.customer) "
        "SELECT town, COUNT(*) AS n, SUM(total) AS t, SUM(score) AS s FROM both GROUP BY town"
    )
    spent = {row["orders"]: row["total"] for row in spend(orders)}
    joined = [
        {
            "clients": person,
            "orders": person if person in spent else None,
            "town": town,
            "score": score,
            "total": spent.get(person),
        }
        for person, town, score in clients
    ]
    names = ("orders", "clients")
    expected = [
        (
            town,
            len(rows),
            total_or_none(rows, "total", names, required),
            total_or_none(rows, "score", names, required),
        )
        for town, rows in sorted(grouped(joined, lambda row: row["town"]).items())
        if enough(rows, names, required)
    ]
    assert released(sql, tables) == expected


@EXAMPLES
@given(ORDER_ROWS, CLIENT_ROWS, st.integers(1, 3))
def test_left_join_inside_counts_customers_who_ordered_nothing(
    orders: list[Any], clients: list[Any], threshold: int
) -> None:
    tables = {with_threshold(ORDERS, threshold): orders, CLIENTS: clients}
    required = max(threshold, CLIENTS.threshold)
    sql = (
        "SELECT SUM(t) AS t, SUM(k) AS k, COUNT(*) AS n FROM (SELECT c.person, SUM(o.amount) AS t, "
        "COUNT(o.amount) AS k FROM clients c LEFT JOIN orders o ON c.person = o.customer "
        "GROUP BY c.person) AS s"
    )
    spent = {row["orders"]: row for row in spend(orders)}
    nothing = {"total": None, "known": 0}
    rows = [
        {
            "clients": person,
            "orders": person if person in spent else None,
            "t": spent.get(person, nothing)["total"],
            "k": spent.get(person, nothing)["known"],
        }
        for person, _, _ in clients
    ]
    names = ("orders", "clients")
    with_any = [row for row in rows if row["k"]]
    expected = (
        total_or_none(rows, "t", names, required),
        sum(row["k"] for row in rows) if enough(with_any, names, required) else None,
        len(rows),
    )
    assert released(sql, tables) == ([expected] if enough(rows, names, required) else [])


def pooled(orders: list[Any], clients: list[Any]) -> list[Row]:
    mine = [{**row, "clients": None, "who": row["orders"], "v": row["amount"]} for row in order_rows(orders)]
    other = [
        {"orders": None, "clients": person, "who": person, "kind": town, "v": score}
        for person, town, score in clients
    ]
    return mine + other


POOL = (
    "SELECT customer AS who, kind, amount AS v FROM orders UNION ALL SELECT person, town, score FROM clients"
)


@EXAMPLES
@given(ORDER_ROWS, CLIENT_ROWS, st.integers(1, 3))
def test_pooled_rows_count_for_their_own_party_only(
    orders: list[Any], clients: list[Any], threshold: int
) -> None:
    clients = [(person, "a" if town == "x" else "b", score) for person, town, score in clients]
    tables = {with_threshold(ORDERS, threshold): orders, CLIENTS: clients}
    required, names = max(threshold, CLIENTS.threshold), ("orders", "clients")
    found = released(f"SELECT kind, SUM(v) AS s, COUNT(*) AS n FROM ({POOL}) AS p GROUP BY kind", tables)
    expected = [
        (kind, total_or_none(rows, "v", names, required), len(rows))
        for kind, rows in sorted(grouped(pooled(orders, clients), lambda row: row["kind"]).items())
        if enough(rows, names, required)
    ]
    assert found == expected


@EXAMPLES
@given(ORDER_ROWS, CLIENT_ROWS, st.integers(1, 3))
def test_pooled_rows_of_one_person_support_only_where_each_party_has_a_value(
    orders: list[Any], clients: list[Any], threshold: int
) -> None:
    tables = {with_threshold(ORDERS, threshold): orders, CLIENTS: clients}
    required, names = max(threshold, CLIENTS.threshold), ("orders", "clients")
    found = released(
        "SELECT SUM(t) AS s, COUNT(*) AS n FROM "
        f"(SELECT who, SUM(v) AS t FROM ({POOL}) AS p GROUP BY who) AS u",
        tables,
    )
    people = []
    for rows in grouped(pooled(orders, clients), lambda row: row["who"]).values():
        units = {name: next((row[name] for row in rows if row[name] is not None), None) for name in names}
        known = [row for row in rows if row["v"] is not None]
        supports = bool(known) and all(
            unit is None or any(row[name] is not None for row in known) for name, unit in units.items()
        )
        people.append({**units, "t": sum(row["v"] for row in known) if known else None, "supports": supports})
    supporting = [row for row in people if row["supports"]]
    total = sum(row["t"] for row in people if row["t"] is not None)
    expected = (total if enough(supporting, names, required) else None, len(people))
    assert found == ([expected] if enough(people, names, required) else [])


@EXAMPLES
@given(st.data(), ORDER_ROWS, st.integers(1, 3))
def test_windows_look_at_rows_of_one_customer(data: st.DataObject, orders: list[Any], threshold: int) -> None:
    tables = {with_threshold(ORDERS, threshold): data.draw(st.permutations(orders))}
    window = "OVER (PARTITION BY customer ORDER BY number DESC)"
    inner = (
        f"SELECT amount, kind, ROW_NUMBER() {window} AS nth, LAG(amount) {window} AS later, "
        f"SUM(amount) {window} AS running FROM orders"
    )
    found = released(
        "SELECT nth, SUM(amount) AS a, SUM(later) AS l, SUM(running) AS r, COUNT(*) AS n "
        f"FROM ({inner}) AS w WHERE kind = 'a' GROUP BY nth",
        tables,
    )
    rows = []
    for own in grouped(order_rows(orders), lambda row: row["orders"]).values():
        later, running = None, None
        for nth, row in enumerate(sorted(own, key=lambda row: -row["number"]), 1):
            if row["amount"] is not None:
                running = (running or 0) + row["amount"]
            rows.append({**row, "nth": nth, "later": later, "running": running})
            later = row["amount"]
    expected = [
        (
            nth,
            *(total_or_none(kept, name, ("orders",), threshold) for name in ("amount", "later", "running")),
            len(kept),
        )
        for nth, kept in sorted(
            grouped((row for row in rows if row["kind"] == "a"), lambda row: row["nth"]).items()
        )
        if enough(kept, ("orders",), threshold)
    ]
    assert found == expected


@EXAMPLES
@given(ORDER_ROWS, st.integers(1, 3))
def test_nested_selection_is_what_it_is_inline(orders: list[Any], threshold: int) -> None:
    tables = {with_threshold(ORDERS, threshold): orders}
    inline = (
        "SELECT kind, SUM(CASE WHEN amount > 1 THEN amount * 2 ELSE 0 END) AS s, COUNT(*) AS n "
        "FROM orders WHERE amount < 5 GROUP BY kind"
    )
    nested = (
        "WITH small AS (SELECT kind AS k, amount * 2 AS twice, amount AS a FROM orders WHERE amount < 5), "
        "chosen AS (SELECT k AS kind, CASE WHEN a > 1 THEN twice ELSE 0 END AS c FROM small) "
        "SELECT kind, SUM(c) AS s, COUNT(*) AS n FROM chosen GROUP BY kind"
    )
    assert released(nested, tables) == released(inline, tables)


@EXAMPLES
@given(ORDER_ROWS, st.integers(1, 3))
def test_every_branch_of_a_case_has_enough_units_of_its_own(orders: list[Any], threshold: int) -> None:
    tables = {with_threshold(ORDERS, threshold): orders}
    case = "CASE WHEN amount < 0 THEN -amount WHEN amount > 2 THEN 2 ELSE amount END"
    branches: dict[int, list[Row]] = {0: [], 1: [], 2: []}
    for row in order_rows(orders):
        if row["amount"] is not None:
            branches[0 if row["amount"] < 0 else 1 if row["amount"] > 2 else 2].append(row)
    values = [-row["amount"] for row in branches[0]] + [2] * len(branches[1])
    values += [row["amount"] for row in branches[2]]
    is_shown = all(enough(rows, ("orders",), threshold) for rows in branches.values())
    expected = [(len(orders), sum(values) if is_shown else None)]
    if not enough(order_rows(orders), ("orders",), threshold):
        expected = []
    assert released(f"SELECT COUNT(*) AS n, SUM({case}) AS s FROM orders", tables) == expected
    nested = f"SELECT COUNT(*) AS n, SUM(v) AS s FROM (SELECT {case} AS v FROM orders) AS t"
    assert released(nested, tables) == expected
