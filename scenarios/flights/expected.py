"""The answer of the scenario flights, computed in clear by somebody who may see all three tables.

Written with pandas from the words of the agreement, not from its SQL: joins, bands and thresholds are done
by other means than in the enclave, so that agreement between the two is worth something.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pandas as pd

MIN_UNITS: Final = 24
"""The weather service's, the strictest of the three: so many hours and so many aircraft, behind every row and
behind every value that skips flights."""
_WIND: Final = {"1 light": (0, 7), "2 moderate": (7, 17), "3 strong": (17, 1000)}
_AIRCRAFT: Final = {
    "1 built 2008-13": (2008, 10_000),
    "2 built 1998-07": (1998, 2008),
    "3 built before 1998": (0, 1998),
}


def answer(files: Mapping[str, Path], parameters: Mapping[str, int | str]) -> pd.DataFrame:
    """The released rows as a table with the columns of the query, in any order.

    `files` are those that the parties send. A missing wind speed or building year is a group of its own.
    """
    flights = pd.read_parquet(files["flights"])
    weather = pd.read_csv(files["weather"], parse_dates=["time_hour"])
    planes = pd.read_csv(files["planes"])
    far = flights[flights["distance_miles"] >= int(parameters["min_distance_miles"])]
    joined = far.merge(weather, on=["origin", "time_hour"]).merge(planes, on="tailnum")
    joined["wind"] = _band(joined["wind_knots"], _WIND)
    joined["aircraft"] = _band(joined["built"], _AIRCRAFT)
    did_depart = joined["dep_delay_min"].notna()
    for unit in ("tailnum", "time_hour"):
        joined[f"departed_{unit}"] = joined[unit].where(did_depart)
    table = joined.groupby(["wind", "aircraft"], dropna=False).agg(
        flights=("tailnum", "size"),
        departed=("dep_delay_min", "count"),
        delay_min=("dep_delay_min", "sum"),
        aircraft_behind=("tailnum", "nunique"),
        hours_behind=("time_hour", "nunique"),
        aircraft_departed=("departed_tailnum", "nunique"),
        hours_departed=("departed_time_hour", "nunique"),
    )
    released = table[(table["aircraft_behind"] >= MIN_UNITS) & (table["hours_behind"] >= MIN_UNITS)]
    enough = (released["aircraft_departed"] >= MIN_UNITS) & (released["hours_departed"] >= MIN_UNITS)
    # Sum and count are whole numbers below 2**53, so this is the double next to the exact mean.
    mean = (released["delay_min"] / released["departed"]).where(enough)
    departed = released["departed"].astype("Int64").where(enough)
    answer = released[["flights"]].assign(departed=departed, mean_delay_min=mean)
    return answer.reset_index()


def _band(values: pd.Series, bands: Mapping[str, tuple[int, int]]) -> pd.Series:
    """The name of the band low <= value < high, missing where the value is missing."""
    names = pd.Series(None, index=values.index, dtype="object")
    for name, (low, high) in bands.items():
        names[values.ge(low) & values.lt(high)] = name
    return names
