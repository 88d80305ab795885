"""The fuzz targets for query text and chunk bytes run over their seeds, and over seeds with damage."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine_world import FROM, YEAR, plan_of
from tests.fuzz import fuzz_chunk, fuzz_query_text

QUERIES = fuzz_query_text.QUERIES
WORDS = sorted({word for query in QUERIES for word in query.replace("(", " ( ").replace(")", " ) ").split()})
CHUNKS = fuzz_chunk.CHUNKS


@pytest.mark.parametrize("query", QUERIES)
def test_seed_query(query: str) -> None:
    fuzz_query_text.one_input(query.encode())


@pytest.mark.parametrize("query", QUERIES)
def test_seed_query_is_one_that_compiles(query: str) -> None:
    parameters = [parameter for parameter in (YEAR, FROM) if f"${parameter.name}" in query]
    assert plan_of(query, *parameters, datasets=fuzz_query_text.DATASETS).outputs


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
        start = position % len(chunk)
        damaged[start : start + len(data)] = data
    fuzz_chunk.one_input(bytes(damaged))
