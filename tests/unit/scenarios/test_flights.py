"""The scenario flights: what is cleaned, and that pandas and the agreed SQL find the same."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from scenarios.catalogue import FLIGHTS
from scenarios.flights.expected import MIN_UNITS
from tests.unit.scenarios.clear_sql import all_groups, answer, held_back, written


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return written(FLIGHTS, tmp_path_factory.mktemp("flights"), rows=FLIGHTS.rows)


@pytest.fixture(scope="module")
def released(files: dict[str, Path]) -> pd.DataFrame:
    return answer(FLIGHTS, files)


def test_every_flight_has_a_privacy_unit(files: dict[str, Path]) -> None:
    flights = pd.read_parquet(files["flights"])
    assert flights["tailnum"].notna().all()
    assert len(flights) == 334_264


def test_what_is_promised_to_be_unique_is(files: dict[str, Path]) -> None:
    assert not pd.read_csv(files["weather"]).duplicated(["origin", "time_hour"]).any()
    assert not pd.read_csv(files["planes"]).duplicated("tailnum").any()


def test_wind_is_in_whole_knots_without_the_faulty_observation(files: dict[str, Path]) -> None:
    knots = pd.read_csv(files["weather"])["wind_knots"]
    assert knots.isna().sum() == 5
    assert knots.max() == 37
    assert (knots.dropna() % 1 == 0).all()


def test_pandas_and_sql_find_the_same_and_groups_without_wind_are_held_back(
    files: dict[str, Path], released: pd.DataFrame
) -> None:
    left = held_back(all_groups(FLIGHTS, files), released)
    assert len(released) == 12
    assert {row[0] for row in left} == {None}
    assert left


def test_aircraft_of_unknown_age_are_a_group_of_their_own(released: pd.DataFrame) -> None:
    assert released["aircraft"].isna().sum() == 3


def test_cancelled_flights_count_as_flights_and_not_as_departures(released: pd.DataFrame) -> None:
    assert (released["departed"] < released["flights"]).all()


def test_the_strictest_threshold_is_the_one_in_clear() -> None:
    assert max(dataset["threshold"] for dataset in FLIGHTS.agreement["datasets"]) == MIN_UNITS
