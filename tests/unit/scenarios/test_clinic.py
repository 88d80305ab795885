"""The scenario clinic: its data is within the owners' bounds, and its exact answer follows from the rows."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from scenarios.catalogue import CLINIC
from scenarios.clinic.data import AGE_BANDS, STAYS_MOST
from scenarios.clinic.expected import DAYS_MOST
from tests.unit.scenarios.clear_sql import answer, written


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return written(CLINIC, tmp_path_factory.mktemp("clinic"), rows=5_000)


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    first = written(CLINIC, tmp_path / "first", rows=100)
    second = written(CLINIC, tmp_path / "second", rows=100)
    assert all(first[name].read_bytes() == second[name].read_bytes() for name in first)


def test_nobody_has_more_stays_than_count_and_some_stays_are_longer(files: dict[str, Path]) -> None:
    stays = pd.read_csv(files["stays"])
    assert stays["person"].value_counts().max() == STAYS_MOST
    assert stays["days"].max() > DAYS_MOST


def test_the_answer_has_every_declared_group_even_those_that_nobody_is_in(tmp_path: Path) -> None:
    rows = answer(CLINIC, written(CLINIC, tmp_path, rows=12))
    assert list(zip(rows["enrolled"], rows["age_band"], strict=True)) == [
        (enrolled, band) for enrolled in (False, True) for band in AGE_BANDS
    ]
    assert (rows["patients"] == 0).any()
    assert rows.loc[rows["patients"] == 0, "mean_days"].isna().all()


def test_the_answer_counts_and_clamps(files: dict[str, Path]) -> None:
    stays, members = pd.read_csv(files["stays"]), pd.read_csv(files["members"])
    days = {True: 0, False: 0}
    enrolled = dict(zip(members["person"], members["enrolled"], strict=True))
    for person, length in zip(stays["person"], stays["days"], strict=True):
        days[enrolled[person]] += min(length, DAYS_MOST)
    rows = answer(CLINIC, files)
    assert {key: int(part["days"].sum()) for key, part in rows.groupby("enrolled")} == days
    assert int(rows["stays"].sum()) == len(stays)
    assert int(rows["patients"].sum()) == stays["person"].nunique()


def test_the_agreement_says_the_same_bounds() -> None:
    stays, _ = CLINIC.agreement["datasets"]
    assert stays["max_rows_per_unit"] == STAYS_MOST
    assert stays["columns"]["days"]["clamp"] == {"low": 0, "high": DAYS_MOST}
    assert CLINIC.agreement["queries"][0]["noise"]["domains"] == [[False, True], list(AGE_BANDS)]
