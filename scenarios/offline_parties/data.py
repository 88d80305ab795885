"""What the utility read from its meters and the association knows of its homes: made up, the same anywhere.

The utility has a meter for every home and as many that belong to others. Two ways to renovate are so rare
that they are held back.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa

SEED: Final = 5_1944
RENOVATIONS: Final = ("none", "windows", "roof", "facade", "heat pump", "passive house", "straw")
_SHARES: Final = (0.35, 0.25, 0.2, 0.1, 0.0992, 0.0005, 0.0003)
_MEAN_KWH: Final = (4_200, 3_900, 3_800, 3_300, 5_100, 1_900, 2_600)
_UNREAD_SHARE: Final = 0.02


def tables(rows: int) -> dict[str, pa.Table]:
    """Dataset id to its table: `rows` homes, twice as many meters."""
    random = np.random.Generator(np.random.PCG64(SEED))
    renovated = random.choice(len(RENOVATIONS), size=rows, p=_SHARES)
    of_homes = random.choice(2 * rows, size=rows, replace=False)
    homes: dict[str, Any] = {
        "meter": [_meter(int(number)) for number in of_homes],
        "renovation": pa.array(RENOVATIONS).take(renovated),
        "area_m2": random.integers(28, 140, size=rows),
    }
    kwh = random.gamma(shape=9, scale=4_000 / 9, size=2 * rows)
    kwh[of_homes] *= np.array(_MEAN_KWH)[renovated] / 4_000
    unread = random.random(2 * rows) < _UNREAD_SHARE
    consumption: dict[str, Any] = {
        "meter": [_meter(number) for number in range(2 * rows)],
        "kwh": pa.array(kwh.astype(np.int64), mask=unread),
    }
    return {"consumption": pa.table(consumption), "homes": pa.table(homes)}


def _meter(number: int) -> str:
    """As it stands on the meter."""
    return f"1EMH00{number:08}"
