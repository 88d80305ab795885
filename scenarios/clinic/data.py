"""What a hospital and an insurer know: made up, the same on every machine.

The insurer has `rows` members, a third of them in the care programme; about half of the members were in
hospital once, twice or three times. Members of the programme stay a little shorter. Some stays are very long,
and count as thirty days.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

SEED: Final = 20_26
AGE_BANDS: Final = ("0-39", "40-64", "65-84", "85+")
_AGE_SHARES: Final = (0.4, 0.35, 0.2, 0.05)
_ENROLLED_SHARE: Final = 0.34
STAYS_MOST: Final = 3
"""Of one person, as many as the hospital lets count."""
_STAYS_SHARES: Final = (0.5, 0.3, 0.15, 0.05)
_MEAN_DAYS: Final = 6.0
_SHORTER: Final = 0.75


def tables(rows: int) -> dict[str, pa.Table]:
    """Dataset id to its table: `rows` members, and their stays in no order that says anything."""
    random = np.random.Generator(np.random.PCG64(SEED))
    people = np.arange(rows)
    enrolled = random.random(rows) < _ENROLLED_SHARE
    ages = random.choice(len(AGE_BANDS), size=rows, p=_AGE_SHARES)
    stays = random.choice(STAYS_MOST + 1, size=rows, p=_STAYS_SHARES)
    who = random.permutation(np.repeat(people, stays))
    lengths = random.exponential(_MEAN_DAYS, size=len(who)) * np.where(enrolled[who], _SHORTER, 1.0)
    days = 1 + np.floor(lengths * (1 + ages[who] / len(AGE_BANDS))).astype(np.int64)
    return {
        "stays": pa.table({"person": [_person(int(number)) for number in who], "days": days}),
        "members": pa.table(
            {
                "person": [_person(int(number)) for number in people],
                "enrolled": pa.array(enrolled),
                "age_band": pa.array(AGE_BANDS).take(ages),
            }
        ),
    }


def _person(number: int) -> str:
    """How both write a person: a number that an authority gave out."""
    return f"P{number:08}"
