"""The answer of the scenario banks, computed in clear by somebody who may see all three lists."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Final

import pandas as pd

MIN_ACCOUNTS: Final = 30
"""cedar's, the strictest of the three; an account is one row in each list, so one count serves all."""
BANKS: Final = ("alder", "birch", "cedar")


def answer(files: Mapping[str, Path], parameters: Mapping[str, int | str]) -> pd.DataFrame:
    """The released rows as a table with the columns of the query, in any order. There are no parameters."""
    if parameters:
        raise ValueError(f"got parameters {sorted(parameters)}, expected none")
    joined = _report(files, "alder")
    for bank in BANKS[1:]:
        joined = joined.merge(_report(files, bank), on="account")
    joined["victims"] = sum(joined[f"{bank}_victims"] for bank in BANKS)
    losses = joined[[f"{bank}_cents" for bank in BANKS]]
    joined["cents"] = losses.fillna(0).sum(axis="columns")
    joined["known"] = joined["account"].where(losses.notna().all(axis="columns"))
    table = joined.groupby("scheme").agg(
        accounts=("account", "nunique"),
        victims=("victims", "sum"),
        cents=("cents", "sum"),
        known=("known", "nunique"),
    )
    released = table[table["accounts"] >= MIN_ACCOUNTS].reset_index()
    loss = pd.Series([Decimal(int(cents)) / 100 for cents in released["cents"]], dtype="object")
    # A sum of losses needs as many accounts of which every bank knows the loss.
    known = loss.where(released["known"] >= MIN_ACCOUNTS, None)
    return released[["scheme", "accounts", "victims"]].assign(loss=known)


def _report(files: Mapping[str, Path], bank: str) -> pd.DataFrame:
    """One bank's list with its columns named after it; losses as whole cents, so that sums are exact."""
    report = pd.read_csv(files[f"{bank}_reports"], dtype={"loss": "string"})
    report[f"{bank}_cents"] = report["loss"].str.replace(".", "", regex=False).astype("Int64")
    return report.drop(columns="loss").rename(columns={"victims": f"{bank}_victims"})
