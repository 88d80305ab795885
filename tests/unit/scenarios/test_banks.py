"""The scenario banks: that rare schemes are held back, and that pandas and the agreed SQL find the same."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from scenarios.banks.expected import MIN_ACCOUNTS
from scenarios.catalogue import BANKS
from tests.unit.scenarios.clear_sql import all_groups, answer, held_back, written


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return written(BANKS, tmp_path_factory.mktemp("banks"), rows=BANKS.rows)


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    first = written(BANKS, tmp_path / "first", rows=100)
    second = written(BANKS, tmp_path / "second", rows=100)
    assert all(first[name].read_bytes() == second[name].read_bytes() for name in first)


def test_pandas_and_sql_find_the_same_and_rare_schemes_are_held_back(files: dict[str, Path]) -> None:
    left = held_back(all_groups(BANKS, files), answer(BANKS, files))
    assert {row[0] for row in left} == {"inheritance", "sim swap"}
    assert all(0 < row[1] < MIN_ACCOUNTS for row in left)


def test_a_sum_that_rests_on_too_few_known_losses_is_held_back_alone(tmp_path: Path) -> None:
    released = answer(BANKS, written(BANKS, tmp_path, rows=700))
    assert released["accounts"].min() == 31
    assert released["loss"].isna().sum() == 1


def test_some_losses_are_unknown(files: dict[str, Path]) -> None:
    assert all(pd.read_csv(file)["loss"].isna().any() for file in files.values())


def test_the_strictest_threshold_is_the_one_in_clear() -> None:
    assert max(dataset["threshold"] for dataset in BANKS.agreement["datasets"]) == MIN_ACCOUNTS
