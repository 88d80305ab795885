"""The fuzz targets for query text and chunk bytes run over their seeds, and over seeds with damage."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import engine_world as world
from tests.fuzz import fuzz_chunk, fuzz_query_text

QUERIES = [
    "SELECT origin, COUNT(*) AS n FROM flights GROUP BY origin",
    f"SELECT floor(temp / 10) * 10 AS b, AVG(delay) AS d {world.JOINED} GROUP BY b",
    "SELECT SUM(CASE WHEN delay > $least THEN fare * 2 ELSE 0 END) AS s FROM flights WHERE origin = $origin",
    "SELECT date_trunc('month', leaves) AS m, round(delay / 3, 1) AS r, MIN(fare) AS l "
    "FROM flights GROUP BY m, r",
    "SELECT coalesce(left(origin, 2), '?') AS o, MAX(delay) AS x FROM flights "
    "WHERE delay IN (1, -2.5) GROUP BY 1",
    "SELECT COUNT(DISTINCT station) AS s FROM weather WHERE wet AND NOT wind BETWEEN 1.5 AND 2",
]
WORDS = sorted({word for query in QUERIES for word in query.replace("(", " ( ").replace(")", " ) ").split()})
ROWS = [(world.slot(n), n / 3, n, dt.date(2013, 1, 1 + n), n % 2 == 0, f"station {n}") for n in range(9)]
CHUNKS = [
    world.chunk(world.table(world.WEATHER, ROWS), compression=compression)
    for compression in (None, "zstd", "lz4")
]


@pytest.mark.parametrize("query", QUERIES)
def test_seed_query(query: str) -> None:
    fuzz_query_text.one_input(query.encode())


@settings(max_examples=150)
@given(st.sampled_from(QUERIES), st.lists(st.tuples(st.integers(0, 60), st.sampled_from(WORDS)), max_size=4))
def test_damaged_query(query: str, changes: list[tuple[int, str]]) -> None:
    words = query.replace("(", " ( ").replace(")", " ) ").split()
    for position, word in changes:
        words[position % len(words)] = word
    fuzz_query_text.one_input(" ".join(words).encode())


@pytest.mark.parametrize("chunk", CHUNKS)
def test_seed_chunk(chunk: bytes) -> None:
    fuzz_chunk.one_input(chunk)


@settings(max_examples=200)
@given(
    st.sampled_from(CHUNKS),
    st.lists(st.tuples(st.integers(0, 2**16), st.binary(min_size=1, max_size=8)), max_size=4),
)
def test_damaged_chunk(chunk: bytes, changes: list[tuple[int, bytes]]) -> None:
    damaged = bytearray(chunk)
    for position, data in changes:
        start = position % len(damaged)
        damaged[start : start + len(data)] = data
    fuzz_chunk.one_input(bytes(damaged))
