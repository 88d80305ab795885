"""For any data: how it came (order, chunks, which party first, threads) never changes an output byte."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave_compute.disclosure import Released, release
from enclave_compute.engine import Engine
from protos.formats.schema import AGGREGATE_USES, Column, Dataset
from tests import engine_world as world
from tests.engine_world import SINGLE

USES = AGGREGATE_USES | {"combine", "filter", "group", "order"}
NOT_SUMMED = USES - {"avg", "sum"}
LINES = Dataset(
    "lines",
    "shop",
    (
        Column("person", "int64", False, frozenset({"count_distinct", "join"})),
        Column("i", "int64", True, USES),
        Column("d", "decimal(12,2)", True, USES),
        Column("f", "float64", True, NOT_SUMMED),
        Column("t", "text", True, NOT_SUMMED),
        Column("b", "bool", True, NOT_SUMMED),
        Column("at", "timestamp", True, NOT_SUMMED),
    ),
    "person",
    1,
    (),
    1_000,
    1_000_000,
    SINGLE,
)
PEOPLE = Dataset(
    "people",
    "club",
    (
        Column("person", "int64", False, frozenset({"count_distinct", "join"})),
        Column("f", "float64", True, NOT_SUMMED),
        Column("i", "int64", True, USES),
    ),
    "person",
    1,
    ("person",),
    1_000,
    1_000_000,
    SINGLE,
)
EVERY_AGGREGATE = ", ".join(
    [
        "COUNT(*) AS n",
        *(f"COUNT({c}) AS c_{c}, COUNT(DISTINCT {c}) AS u_{c}" for c in ("i", "d", "f", "t", "b", "at")),
        *(f"MIN({c}) AS l_{c}, MAX({c}) AS h_{c}" for c in ("i", "d", "f", "t", "b", "at")),
        *(f"SUM({c}) AS s_{c}, AVG({c}) AS a_{c}" for c in ("i", "d")),
        "SUM(d * d) AS s2, AVG(i // 3) AS a2, MAX(f * 1000000 / 7) AS h2, MIN(-f) AS l2",
        "SUM(CASE WHEN f > 0.5 THEN d ELSE 0 END) AS s3",
    ]
)
TIES = "PARTITION BY person ORDER BY i, d, f, t, b, at"
WINDOWS = (
    f"SELECT person, i, d, f, t, b, at, row_number() OVER ({TIES}) AS number, "
    f"lag(f) OVER ({TIES}) AS before, "
    f"lead(t, 2) OVER ({TIES}) AS after, first_value(d) OVER ({TIES}) AS first, "
    "rank() OVER (PARTITION BY person ORDER BY f) AS place, "
    "dense_rank() OVER (PARTITION BY person ORDER BY t DESC NULLS FIRST) AS dense, "
    "SUM(d) OVER (PARTITION BY person ORDER BY at) AS running, AVG(i) OVER (PARTITION BY person) AS mean, "
    "COUNT(t) OVER (PARTITION BY person ORDER BY f DESC) AS texts, "
    "MIN(f) OVER (PARTITION BY person ORDER BY i) AS least, "
    "MAX(t) OVER (PARTITION BY person) AS most FROM lines"
)
QUERIES = {
    "every aggregate": f"SELECT {EVERY_AGGREGATE} FROM lines",
    "in groups": f"SELECT b, {EVERY_AGGREGATE} FROM lines GROUP BY b",
    "groups of floats and ties": "SELECT f * -0.5 AS g, t, COUNT(*) AS n FROM lines GROUP BY 1, 2",
    "windows": "SELECT number, before, after, first, place, dense, running, mean, texts, least, most, "
    "COUNT(*) AS n "
    f"FROM ({WINDOWS}) AS w GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11",
    "a row for each person": "SELECT n, l, h, a, COUNT(*) AS people, SUM(s) AS s "
    "FROM (SELECT person, COUNT(*) AS n, SUM(d) AS s, AVG(i) AS a, MIN(f) AS l, MAX(t) AS h "
    "FROM lines GROUP BY person) AS w GROUP BY 1, 2, 3, 4",
    "join": "SELECT p.f, COUNT(*) AS n, SUM(l.d) AS s, MAX(l.f * p.f) AS h, SUM(p.i) AS i "
    "FROM lines l LEFT JOIN people p ON l.person = p.person GROUP BY p.f",
    "union": "SELECT g, COUNT(*) AS n, SUM(v) AS s FROM (SELECT f AS g, i AS v FROM lines "
    "UNION ALL SELECT f AS g, i AS v FROM people) AS u GROUP BY g",
}
PERSONS = st.integers(0, 3)
INTS = st.none() | st.integers(-2, 2) | st.sampled_from([2**63 - 1, -(2**63)])
CENTS = (
    st.none() | st.integers(-30, 30).map(lambda n: Decimal(n).scaleb(-1)) | st.just(Decimal("9999999999.99"))
)
FLOATS = st.none() | st.sampled_from([0.0, -0.0, 0.1, 0.7, -0.3, 1e308, 5e-324])
MOMENTS = st.none() | st.integers(0, 2)
LINE_ROWS = st.lists(
    st.tuples(
        PERSONS,
        INTS,
        CENTS,
        FLOATS,
        st.sampled_from([None, "", "a", "b"]),
        st.none() | st.booleans(),
        MOMENTS,
    ),
    max_size=30,
)
PEOPLE_ROWS = st.dictionaries(PERSONS, st.tuples(FLOATS, INTS)).map(
    lambda found: [(person, *rest) for person, rest in found.items()]
)
ENGINES = {threads: Engine(128, threads) for threads in (1, 2)}


def released(
    sql: str,
    tables: list[tuple[Dataset, list[Any]]],
    *,
    chunk_rows: int = 10_000,
    threads: int = 1,
) -> Released:
    """What leaves when `tables` are uploaded one after the other, in chunks of so many rows."""
    engine = ENGINES[threads]
    plan = world.plan_of(sql, datasets=(LINES, PEOPLE))
    for dataset, rows in tables:
        world.load(engine, dataset, world.table(dataset, rows), chunk_rows=chunk_rows)
    try:
        return release(engine, plan, {})
    finally:
        for dataset, _ in tables:
            engine.drop(dataset.id)


@pytest.mark.parametrize("sql", QUERIES.values(), ids=QUERIES)
@settings(max_examples=10)
@given(st.data(), LINE_ROWS, PEOPLE_ROWS)
def test_attack_27_no_order_chunk_or_upload_shows_in_a_byte(
    sql: str, data: st.DataObject, lines: list[Any], people: list[Any]
) -> None:
    tables = [(LINES, lines), (PEOPLE, people)]
    shuffled = [
        (dataset, data.draw(st.permutations(rows))) for dataset, rows in data.draw(st.permutations(tables))
    ]
    chunk_rows, threads = data.draw(st.integers(1, 7)), data.draw(st.sampled_from([1, 2]))
    assert released(sql, shuffled, chunk_rows=chunk_rows, threads=threads) == released(sql, tables)
