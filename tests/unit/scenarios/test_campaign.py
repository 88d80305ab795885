"""The scenario campaign: how messy the addresses are, and that pandas and the agreed SQL find the same."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from scenarios.campaign.expected import MIN_PEOPLE, normalised
from scenarios.catalogue import CAMPAIGN
from tests.unit.scenarios.clear_sql import all_groups, answer, held_back, written

ROWS = 20_000


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return written(CAMPAIGN, tmp_path_factory.mktemp("campaign"), rows=ROWS)


def test_the_same_rows_give_the_same_bytes(files: dict[str, Path], tmp_path: Path) -> None:
    again = written(CAMPAIGN, tmp_path, rows=ROWS)
    assert {name: path.read_bytes() for name, path in again.items()} == {
        name: path.read_bytes() for name, path in files.items()
    }


def test_without_the_normaliser_most_matches_are_lost(files: dict[str, Path]) -> None:
    audience, orders = pd.read_csv(files["audience"])["email"], pd.read_parquet(files["orders"])["email"]
    as_written = orders.isin(set(audience)).mean()
    as_agreed = normalised(orders).isin(set(normalised(audience))).mean()
    assert as_written < 0.2
    assert 0.4 < as_agreed < 0.6


def test_addresses_are_unique_once_normalised(files: dict[str, Path]) -> None:
    assert normalised(pd.read_csv(files["audience"])["email"]).is_unique


def test_pandas_and_sql_find_the_same_and_rare_devices_are_held_back(files: dict[str, Path]) -> None:
    released = answer(CAMPAIGN, files)
    left = held_back(all_groups(CAMPAIGN, files), released)
    assert set(released["device"]) == {"desktop", "phone", "tablet"}
    assert {row[1] for row in left} <= {"television"}


def test_revenue_is_exact_to_the_cent(files: dict[str, Path]) -> None:
    released = answer(CAMPAIGN, files)
    assert all(
        isinstance(revenue, Decimal) and revenue == round(revenue, 2) for revenue in released["revenue"]
    )


def test_thresholds_in_clear_are_the_agreed_ones() -> None:
    assert {dataset["threshold"] for dataset in CAMPAIGN.agreement["datasets"]} == {MIN_PEOPLE}
