"""The published answers of TPC-H at scale factor 1, over data that no one of the four parties sees whole."""

from __future__ import annotations

import resource
from pathlib import Path

import duckdb
import pytest

from tests.tpch import analyst, answers, tables
from tests.tpch.agreement import agreed_queries
from tests.tpch.joint import joint_computation

MEMORY_MIB = 4096
PROCESS_MAX_KIB = 6 * 1024 * 1024


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_published_answers_at_scale_factor_1(tmp_path: Path) -> None:
    with joint_computation(tmp_path, scale=1, memory_mib=MEMORY_MIB) as joint:
        released = {name: joint.ask(name).to_pandas() for name in agreed_queries()}
    generated = {
        table: duckdb.execute(f"SELECT COUNT(*) FROM '{tmp_path / table}.parquet'").fetchall()[0][0]
        for table in tables.TABLES
    }
    assert generated == tables.ROWS_AT_SCALE_1
    found = {
        name: answers.as_published(name, rows) for name, rows in analyst.answers(released, scale=1).items()
    }
    assert found == answers.published()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < PROCESS_MAX_KIB


def test_published_answer_is_of_all_values_and_their_order() -> None:
    rows = [("a", 1), ("b", 2)]
    assert answers.as_published("q01", rows) == answers.as_published("q01", [("a ", 1), ("b", 2)])
    assert answers.as_published("q01", rows) != answers.as_published("q01", rows[::-1])
    assert answers.as_published("q01", rows) != answers.as_published("q01", [("a", 1), ("b", 3)])
    assert answers.as_published("q01", [(1.005,)]) != answers.as_published("q01", [(1.015,)])
