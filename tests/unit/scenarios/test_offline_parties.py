"""The scenario offline-parties: that rare renovations are held back, and pandas and the agreed SQL agree."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from scenarios.catalogue import OFFLINE_PARTIES
from scenarios.offline_parties.expected import MIN_HOMES
from tests.unit.scenarios.clear_sql import all_groups, answer, held_back, written


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return written(OFFLINE_PARTIES, tmp_path_factory.mktemp("offline"), rows=20_000)


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    first = written(OFFLINE_PARTIES, tmp_path / "first", rows=100)
    second = written(OFFLINE_PARTIES, tmp_path / "second", rows=100)
    assert all(first[name].read_bytes() == second[name].read_bytes() for name in first)


def test_pandas_and_sql_find_the_same_and_rare_renovations_are_held_back(files: dict[str, Path]) -> None:
    left = held_back(all_groups(OFFLINE_PARTIES, files), answer(OFFLINE_PARTIES, files))
    assert {row[0] for row in left} == {"passive house", "straw"}
    assert all(0 < row[1] < MIN_HOMES for row in left)


def test_some_meters_were_not_read(files: dict[str, Path]) -> None:
    assert pd.read_parquet(files["consumption"])["kwh"].isna().any()


def test_power_that_was_read_in_too_few_homes_is_held_back_alone(tmp_path: Path) -> None:
    few = written(OFFLINE_PARTIES, tmp_path, rows=300)
    consumption = pd.read_parquet(few["consumption"])
    windows = pd.read_csv(few["homes"]).query("renovation == 'windows'")["meter"]
    consumption.loc[consumption["meter"].isin(windows[MIN_HOMES - 1 :]), "kwh"] = None
    consumption.to_parquet(few["consumption"])
    row = answer(OFFLINE_PARTIES, few).set_index("renovation").loc["windows"]
    assert row["homes"] == len(windows) > MIN_HOMES
    assert row[["kwh", "mean_kwh"]].isna().all()


def test_the_strictest_threshold_is_the_one_in_clear() -> None:
    assert max(dataset["threshold"] for dataset in OFFLINE_PARTIES.agreement["datasets"]) == MIN_HOMES


def test_two_owners_have_two_key_services() -> None:
    services = OFFLINE_PARTIES.key_services
    assert list(services) == OFFLINE_PARTIES.parties
    assert len({service["account"] for service in services.values()}) == 2
