"""Derived tables in the engine: the same bytes in every order, and units of every type."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from protos.formats.schema import Dataset
from tests import engine_world as world
from tests.engine_world import FLIGHTS, rows_of, run, slot, with_threshold
from tests.unit.enclave_compute.test_disclosure import flights


def test_windows_whose_order_has_equals_give_the_same_bytes_with_any_threads_and_order() -> None:
    uses = FLIGHTS.column("delay").uses | {"order"}
    dataset = world.with_column(FLIGHTS, replace(FLIGHTS.column("delay"), uses=uses))
    dataset = world.with_column(
        dataset, replace(dataset.column("origin"), uses=frozenset({"group", "order"}))
    )
    window = "OVER (PARTITION BY tailnum ORDER BY delay, origin)"
    inner = f"SELECT origin, delay, ROW_NUMBER() {window} AS n, LAG(delay) {window} AS l FROM flights"
    sql = f"SELECT origin, n, SUM(delay) AS d, SUM(l) AS l FROM ({inner}) AS w GROUP BY origin, n"
    rows = flights()
    found = [run(sql, {dataset: rows}, threads=threads) for threads in (1, 2, 4)]
    found.append(run(sql, {dataset: rows.take(list(reversed(range(rows.num_rows))))}))
    assert found[0].rows > 10
    assert len({released.table_ipc for released in found}) == 1


@pytest.mark.parametrize("kind", ["bool", "date", "decimal(9,2)", "hex128", "int64", "text", "timestamp"])
def test_units_of_every_type_travel_through_groups_and_pools(kind: str) -> None:
    """The unit is hidden in the group, which is by a column that a LEFT JOIN compares with it."""
    uses = ("join", "count_distinct", "group")
    columns = (world.column("k", kind, *uses),)
    one = with_threshold(Dataset("one", "a", columns, "k", 2, ("k",), 100, 10_000), 1)
    two = with_threshold(Dataset("two", "b", columns, "k", 2, (), 100, 10_000), 1)
    values: dict[str, list[Any]] = {
        "bool": [False, True],
        "date": [dt.date(2013, 1, 1), dt.date(2014, 1, 1)],
        "decimal(9,2)": [Decimal("0.50"), Decimal("1.25")],
        "hex128": [slot(1), slot(2)],
        "int64": [1, 2],
        "text": ["x", "y"],
        "timestamp": [dt.datetime(2013, 1, 1), dt.datetime(2014, 1, 1)],
    }
    first, second = values[kind]
    tables = {one: world.table(one, [(first,), (second,)]), two: world.table(two, [(second,), (second,)])}
    joined = "SELECT x.k AS k, COUNT(*) AS n FROM one x LEFT JOIN two y ON x.k = y.k GROUP BY x.k"
    assert rows_of(run(f"SELECT COUNT(*) AS c, SUM(n) AS n FROM ({joined}) AS t", tables)) == [(2, 3)]
    pool = "SELECT k FROM one UNION ALL SELECT k FROM two"
    pooled = f"SELECT k, COUNT(*) AS n FROM ({pool}) AS p GROUP BY k"
    assert rows_of(run(f"SELECT COUNT(*) AS c, SUM(n) AS n FROM ({pooled}) AS t", tables)) == [(2, 4)]
