"""The answer of the scenario campaign, computed in clear by somebody who may see both tables.

The addresses are normalised here in pandas, from the words of the rule `email/v1`: blanks around the address
go, capitals become small, accents are composed.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Final

import pandas as pd

MIN_PEOPLE: Final = 50
FIRST_DAY: Final = pd.Timestamp("2026-03-01")


def answer(files: Mapping[str, Path], parameters: Mapping[str, int | str]) -> pd.DataFrame:
    """The released rows as a table with the columns of the query, in any order. There are no parameters."""
    if parameters:
        raise ValueError(f"got parameters {sorted(parameters)}, expected none")
    audience = pd.read_csv(files["audience"], keep_default_na=False)
    orders = pd.read_parquet(files["orders"])
    orders = orders[pd.to_datetime(orders["ordered_on"]) >= FIRST_DAY]
    # Whole cents as integers: exact, and quicker than a column of Decimal objects.
    orders["cents"] = (orders["amount"] * 100).astype("Int64")
    audience["email"] = normalised(audience["email"])
    orders["email"] = normalised(orders["email"])
    joined = orders.merge(audience, on="email")
    joined["paying"] = joined["email"].where(joined["cents"].notna())
    table = joined.groupby(["shown", "device"]).agg(
        buyers=("email", "nunique"),
        orders=("email", "size"),
        cents=("cents", "sum"),
        paid=("cents", "count"),
        paying=("paying", "nunique"),
    )
    # A buyer is a person of both sides, so one count serves both thresholds.
    released = table[table["buyers"] >= MIN_PEOPLE].reset_index()
    enough = released["paying"] >= MIN_PEOPLE
    revenue = [Decimal(int(cents)) / 100 for cents in released["cents"]]
    mean = [float(amount) / int(paid) for amount, paid in zip(revenue, released["paid"], strict=True)]
    return released[["shown", "device", "buyers", "orders"]].assign(
        revenue=pd.Series(revenue, dtype="object").where(enough, None),
        mean_order=pd.Series(mean, dtype="float64").where(enough),
    )


def normalised(addresses: pd.Series) -> pd.Series:
    """`addresses` after the rule `email/v1`."""
    return addresses.str.strip(" ").str.lower().str.normalize("NFC")
