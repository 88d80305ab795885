"""The exact answer of the scenario clinic, computed in clear by somebody who may see both tables.

Nobody gets it in the scenario: what is released is off by noise, and compared within its bounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pandas as pd

from scenarios.clinic.data import AGE_BANDS, STAYS_MOST

DAYS_MOST: Final = 30
"""The hospital's clamp."""


def answer(files: Mapping[str, Path], parameters: Mapping[str, int | str]) -> pd.DataFrame:
    """A row for each combination of programme and age, also where nobody is. There are no parameters."""
    if parameters:
        raise ValueError(f"got parameters {sorted(parameters)}, expected none")
    stays, members = pd.read_csv(files["stays"]), pd.read_csv(files["members"])
    if stays["person"].value_counts().max() > STAYS_MOST:
        raise ValueError(f"somebody has more than the {STAYS_MOST} stays that count")
    stays["days"] = stays["days"].clip(0, DAYS_MOST)
    table = (
        stays.merge(members, on="person")
        .groupby(["enrolled", "age_band"])
        .agg(
            patients=("person", "nunique"),
            stays=("person", "size"),
            days=("days", "sum"),
            mean_days=("days", "mean"),
        )
    )
    keys = pd.MultiIndex.from_product([[False, True], AGE_BANDS], names=["enrolled", "age_band"])
    counts = table.reindex(keys)
    counts[["patients", "stays", "days"]] = counts[["patients", "stays", "days"]].fillna(0).astype("int64")
    return counts.reset_index()
