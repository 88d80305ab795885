"""The two datasets, and the answer to the analyst's question in clear.

The visits fill several chunks, so that there is something to drop, swap and cut. The same on every machine.
"""

from __future__ import annotations

from typing import Final

import pandas as pd

VISITS_ROWS: Final = 100_000
PURCHASES_ROWS: Final = 20_000
THRESHOLD: Final = 10
_SEGMENTS: Final = ("arts", "news", "sport", "travel")
_CHESS_READERS: Final = 5
"""Fewer than the threshold: their row is held back."""


def visits() -> pd.DataFrame:
    """Who reads which segment: the publisher's."""
    rows = range(VISITS_ROWS)
    segments = ["chess" if row < _CHESS_READERS else _SEGMENTS[row % len(_SEGMENTS)] for row in rows]
    return pd.DataFrame({"email": [f"reader{row}@example.org" for row in rows], "segment": segments})


def purchases() -> pd.DataFrame:
    """Who bought for how much: the advertiser's, which writes addresses in its own way."""
    rows = range(PURCHASES_ROWS)
    return pd.DataFrame(
        {
            "email": [f" Reader{row * 3}@Example.org" for row in rows],
            "amount": [(row * 7 + 60) % 101 for row in rows],
        }
    )


def answer(least: int) -> pd.DataFrame:
    """What the analyst may learn, computed by somebody who has both datasets."""
    bought = purchases()
    bought["email"] = bought["email"].str.strip().str.lower()
    joined = bought[bought["amount"] >= least].merge(visits(), on="email")
    groups = joined.groupby("segment").agg(
        purchases=("amount", "size"), total=("amount", "sum"), readers=("email", "nunique")
    )
    return groups[groups["readers"] >= THRESHOLD].drop(columns="readers").reset_index()
