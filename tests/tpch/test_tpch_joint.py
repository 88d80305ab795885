"""21 of TPC-H's 22 queries over four parties, and a second engine that sees all tables: the same answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from enclave_compute.disclosure import release
from enclave_compute.engine import Engine
from party_client.agreements.grants import smallest_grants, together
from protos.formats.agreement import Agreement
from protos.plan import QueryRefusedError, compile_query
from tests.engine_world import MEMORY_MIB, load, query
from tests.tpch import analyst, tables
from tests.tpch.agreement import agreed_queries, agreement, plain_queries
from tests.tpch.joint import joint_computation

SCALE = 0.05
ROOT_SHA256 = bytes(32)
REFUSED = {"q22"}
BESIDES = {"q13": "q13_customers"}
"""What is asked beside a query of TPC-H's."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tpch")


@pytest.fixture(scope="module")
def answers(folder: Path) -> Iterator[Mapping[str, list[analyst.Row]]]:
    with joint_computation(folder, scale=SCALE) as joint:
        released = {name: joint.ask(name).to_pandas() for name in agreed_queries()}
    yield analyst.answers(released, scale=SCALE)


@pytest.fixture
def agreed(tmp_path: Path) -> Agreement:
    return agreement(tmp_path, root_sha256=ROOT_SHA256)


def test_every_query_of_tpch_is_agreed_or_refused() -> None:
    numbers = {f"q{number:02}" for number in range(1, 23)}
    assert set(plain_queries()) == numbers
    assert set(agreed_queries()) == (numbers - REFUSED) | set(BESIDES.values())


@pytest.mark.parametrize("name", sorted(set(plain_queries()) - REFUSED))
def test_answer_is_that_of_an_engine_that_sees_all_tables(
    name: str, answers: Mapping[str, list[analyst.Row]], folder: Path
) -> None:
    # By the specification, the fraction in Q11 goes with the scale.
    parameters = {"fraction": 0.0001 / SCALE} if name == "q11" else {}
    expected = tables.whole(folder).execute(plain_queries()[name], parameters).fetchall()
    assert len(expected) > 0
    assert same(answers[name], expected)


def test_each_dataset_names_the_queries_that_read_it_and_grants_what_they_need(agreed: Agreement) -> None:
    plans = {asked.id: compile_query(agreed, asked) for asked in agreed.queries}
    needed = together(smallest_grants(agreed.datasets, asked) for asked in agreed.queries)
    for dataset in agreed.datasets:
        readers = tuple(sorted(name for name, plan in plans.items() if dataset in plan.datasets))
        assert dataset.rules.only_queries == readers
        for column in dataset.columns:
            assert column.uses == needed.get(dataset.id, {}).get(column.name, frozenset()), column.name


def test_another_query_is_refused_whatever_it_asks(agreed: Agreement) -> None:
    with pytest.raises(QueryRefusedError, match="carrier lets lineitem be used by the queries of its"):
        compile_query(agreed, query(agreed_queries()["q06"]))


def test_with_thresholds_of_ten_what_is_about_few_does_not_leave(
    answers: Mapping[str, list[analyst.Row]], folder: Path, agreed: Agreement
) -> None:
    strict = replace(
        agreed,
        datasets=tuple(
            replace(dataset, threshold=10, rules=replace(dataset.rules, single_units=False))
            for dataset in agreed.datasets
        ),
    )
    engine = Engine(MEMORY_MIB, 2)
    for dataset in strict.datasets:
        load(engine, dataset, pq.read_table(folder / f"party-{dataset.id}.parquet"))
    rows = {asked.id: release(engine, compile_query(strict, asked), {}).rows for asked in strict.queries}
    whole = {name for name, found in rows.items() if found and found == len(answers.get(name, [()]))}
    assert whole == {"q01", "q04", "q06", "q12", "q13_customers", "q14"}
    assert {name for name, found in rows.items() if found} - whole == {"q13"}


def same(left: list[Any], right: list[Any]) -> bool:
    """Equal but for the last digits of floats, which the second engine adds up in any order."""
    return len(left) == len(right) and all(map(_same_row, left, right))


def _same_row(left: tuple[Any, ...], right: tuple[Any, ...]) -> bool:
    return all(
        abs(one - other) <= 1e-9 * abs(other) if isinstance(other, float) else one == other
        for one, other in zip(left, right, strict=True)
    )
