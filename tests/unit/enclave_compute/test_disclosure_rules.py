"""What owners' rules do to what leaves: lists, bounded contributions, clamps and opt-outs."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from enclave_compute.engine import Engine
from enclave_compute.errors import RefusedError
from protos.formats.calls import Refusal
from protos.formats.rules import Clamp, OptOut
from protos.formats.schema import Dataset
from tests import engine_world as world
from tests.chunk_tables import chunk
from tests.engine_world import MEMORY_MIB, column, rows_of, run, with_column

MEMBERS = Dataset(
    "members",
    "club",
    (
        column("person", "int64", "join", "output", "count_distinct"),
        column("town", "text", "group", "output", "filter", nullable=True),
        column("key", "hex128", "output"),
    ),
    "person",
    3,
    ("person",),
    1000,
    10**6,
)
ORDERS = Dataset(
    "orders",
    "shop",
    (
        column("buyer", "int64", "join", "count_distinct"),
        column("amount", "decimal(9,2)", "sum", "avg", "min", "max", "filter"),
        column("note", "text", "group", nullable=True),
    ),
    "buyer",
    2,
    (),
    1000,
    10**6,
)
FROM = "FROM members m JOIN orders o ON m.person = o.buyer"


def ruled(dataset: Dataset, **rules: Any) -> Dataset:
    return replace(dataset, rules=replace(dataset.rules, **rules))


LIST_MEMBERS, LIST_ORDERS = (ruled(item, analyses=("list",)) for item in (MEMBERS, ORDERS))


def members(*people: int, dataset: Dataset = LIST_MEMBERS) -> Any:
    return world.table(dataset, [(n, f"town {n % 2}", world.slot(n)) for n in people])


def orders(*lines: tuple[int, str], dataset: Dataset = LIST_ORDERS) -> Any:
    return world.table(dataset, [(buyer, Decimal(amount), None) for buyer, amount in lines])


# --- lists --------------------------------------------------------------------------------------------------


def listed(sql: str, people: range, buyers: range) -> Any:
    bought = orders(*((n, "1.00") for n in buyers for _ in range(3)))
    return run(sql, {LIST_MEMBERS: members(*people), LIST_ORDERS: bought})


def test_a_list_has_each_row_once_in_canonical_order() -> None:
    found = listed(f"SELECT DISTINCT m.person, m.key {FROM}", range(9), range(5, 20))
    assert rows_of(found) == [(n, world.slot(n).hex()) for n in range(5, 9)]
    assert [note.groups_at_most for note in found.suppressed] == [0, 0]


def test_the_threshold_is_on_the_whole_list() -> None:
    """Both towns are in it, neither with three people: a list is not grouped."""
    found = listed(f"SELECT DISTINCT m.town {FROM}", range(9), range(5, 8))
    assert rows_of(found) == [("town 0",), ("town 1",)]


@pytest.mark.parametrize("overlap", [0, 1, 2])
def test_a_list_of_too_few_says_nothing_of_how_few(overlap: int) -> None:
    found = listed(f"SELECT DISTINCT m.person {FROM}", range(9), range(9 - overlap, 20))
    assert rows_of(found) == []
    assert [note.groups_at_most for note in found.suppressed] == [10, 10 if overlap < 3 else 0]


def test_rows_of_a_list_are_filtered_before_they_are_counted() -> None:
    sql = f"SELECT DISTINCT m.person {FROM} WHERE m.town = 'town 1'"
    assert rows_of(listed(sql, range(9), range(9))) == [(1,), (3,), (5,), (7,)]
    assert rows_of(listed(sql, range(9), range(5))) == []


# --- contributions ------------------------------------------------------------------------------------------


def bought(dataset: Dataset, sql: str, lines: list[tuple[int, str]]) -> list[Any]:
    return rows_of(run(sql, {dataset: orders(*lines, dataset=dataset)}))


def test_so_many_rows_of_a_unit_enter_a_query() -> None:
    lines = [(1, "5.00"), (1, "1.00"), (1, "3.00"), (2, "7.00"), (3, "2.00"), (3, "2.00")]
    sql = "SELECT COUNT(*) AS n, SUM(amount) AS s, COUNT(DISTINCT buyer) AS b FROM orders"
    for most, expected in ((1, (3, "10.00", 3)), (2, (5, "15.00", 3)), (3, (6, "20.00", 3))):
        bounded = ruled(ORDERS, max_rows_per_unit=most)
        assert bought(bounded, sql, lines) == [(expected[0], Decimal(expected[1]), expected[2])]


def test_which_rows_count_does_not_depend_on_the_order_in_which_they_came() -> None:
    bounded = ruled(ORDERS, max_rows_per_unit=2)
    lines = [(n % 7, f"{n * 37 % 101}.00") for n in range(200)]
    seen = set()
    for seed in range(4):
        random.Random(seed).shuffle(lines)
        seen.add(bought(bounded, "SELECT SUM(amount) AS s, COUNT(*) AS n FROM orders", lines)[0])
    assert len(seen) == 1
    assert seen.pop()[1] == 14


def test_rows_are_bounded_after_where_and_over_all_groups() -> None:
    bounded = ruled(ORDERS, max_rows_per_unit=1)
    lines = [(n, amount) for n in range(3) for amount in ("1.00", "9.00")]
    sql = "SELECT COUNT(*) AS n, MIN(amount) AS low FROM orders WHERE amount > 5"
    assert bought(bounded, sql, lines) == [(3, Decimal("9.00"))]


def test_rows_that_a_left_join_did_not_match_are_nobodys() -> None:
    """They are of no buyer, so no bound on buyers' rows takes any of them away."""
    bounded = ruled(ORDERS, max_rows_per_unit=1)
    people = members(*range(9), dataset=MEMBERS)
    lines = orders(*((n, "1.00") for n in (1, 1, 1, 2, 2, 3)), dataset=bounded)
    sql = f"SELECT COUNT(*) AS n, COUNT(DISTINCT m.person) AS p {FROM.replace('JOIN', 'LEFT JOIN')}"
    assert rows_of(run(sql, {MEMBERS: people, bounded: lines})) == [(9, 9)]


def test_every_owners_bound_holds_at_once() -> None:
    people = Dataset(
        "people", "club", (column("id", "int64"), column("house", "int64", "join")), "id", 2, (), 100, 10**6
    )
    homes = Dataset(
        "homes",
        "town",
        (column("house", "int64", "join"), column("owner", "int64")),
        "owner",
        2,
        (),
        100,
        10**6,
    )
    inside = [(n, n // 5) for n in range(10)]  # two houses of five
    owned = [(n % 2, n) for n in range(6)]  # each with three owners
    sql = "SELECT COUNT(*) AS n FROM people p JOIN homes h ON p.house = h.house"
    for by_person, by_owner, expected in ((None, None, 30), (2, None, 20), (None, 4, 24), (2, 4, 16)):
        first, second = ruled(people, max_rows_per_unit=by_person), ruled(homes, max_rows_per_unit=by_owner)
        tables = {first: world.table(first, inside), second: world.table(second, owned)}
        ((count,),) = rows_of(run(sql, tables, many_to_many=True))
        assert count <= expected
        if None in (by_person, by_owner):
            assert count == expected


# --- clamps -------------------------------------------------------------------------------------------------


def test_values_outside_a_clamp_count_as_its_ends() -> None:
    clamped = with_column(ORDERS, replace(ORDERS.column("amount"), clamp=Clamp("0.00", "10.50")))
    lines = [(1, "-999.00"), (2, "10.51"), (3, "4.00"), (4, "999.99")]
    sql = "SELECT SUM(amount) AS s, AVG(amount) AS a, MIN(amount) AS l, MAX(amount) AS h FROM orders"
    low, high = Decimal("0.00"), Decimal("10.50")
    assert bought(clamped, sql, lines) == [(Decimal("25.00"), 6.25, low, high)]
    shown = "SELECT COUNT(*) AS n FROM orders WHERE amount > 10.50"
    assert bought(clamped, shown, lines) == [(2,)], "a filter picks rows by what they are"


def test_nothing_is_not_clamped_to_something() -> None:
    income = column("income", "int64", "sum", "min", "count", nullable=True)
    clamped = Dataset(
        "people",
        "club",
        (column("id", "int64"), replace(income, clamp=Clamp("5", "9"))),
        *("id", 2, (), 100, 10**6),
    )
    rows = world.table(clamped, [(1, None), (2, 1), (3, 7), (4, None)])
    sql = "SELECT SUM(income) AS s, MIN(income) AS l, COUNT(income) AS n FROM people"
    assert rows_of(run(sql, {clamped: rows})) == [(12, 5, 2)]


# --- opt-out and least size ---------------------------------------------------------------------------------

GONE = Dataset("gone", "shop", (column("buyer", "int64", "opt_out"),), "buyer", 2, (), 100, 10**6)


def test_a_result_is_as_if_those_who_opted_out_had_never_been_there() -> None:
    without = ruled(ORDERS, opt_out=OptOut("gone", "buyer"))
    lines = [(n % 6, f"{n}.00") for n in range(30)]
    people = members(*range(9), dataset=MEMBERS)
    for sql in (
        "SELECT COUNT(*) AS n, SUM(amount) AS s, MIN(amount) AS l FROM orders",
        f"SELECT m.town, COUNT(*) AS n, SUM(o.amount) AS s {FROM} GROUP BY 1",
        f"SELECT m.town, COUNT(*) AS n, SUM(o.amount) AS s {FROM.replace('JOIN', 'LEFT JOIN')} GROUP BY 1",
    ):
        with_rule = run(
            sql,
            {
                MEMBERS: people,
                without: orders(*lines, dataset=without),
                GONE: world.table(GONE, [(1,), (4,), (77,)]),
            },
        )
        never = orders(*(line for line in lines if line[0] not in (1, 4)), dataset=ORDERS)
        assert with_rule.table_ipc == run(sql, {MEMBERS: people, ORDERS: never}).table_ipc


@pytest.mark.parametrize(
    ("rules", "people", "accepted"),
    [
        ({"min_rows": 4}, [1, 1, 1], False),
        ({"min_rows": 4}, [1, 1, 1, 1], True),
        ({"min_units": 3}, [1, 1, 1, 2], False),
        ({"min_units": 3}, [1, 1, 2, 3], True),
        ({"min_rows": 5, "min_units": 3}, [1, 2, 3], False),
    ],
)
def test_a_dataset_that_is_too_small_is_not_accepted(
    rules: dict[str, int], people: list[int], accepted: bool
) -> None:
    dataset = ruled(ORDERS, **rules)
    engine = Engine(MEMORY_MIB, 1)
    engine.create(dataset)
    engine.append_untrusted("orders", chunk(orders(*((n, "1.00") for n in people), dataset=dataset)))
    if accepted:
        assert engine.finish("orders") == len(people)
        return
    with pytest.raises(RefusedError) as caught:
        engine.finish("orders")
    assert caught.value.refusal is Refusal.TOO_SMALL
