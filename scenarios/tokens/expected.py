"""The answer of the scenario tokens, in clear, and as the broker finds it from tokens alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd


def answer(files: Mapping[str, Path], parameters: Mapping[str, int | str]) -> pd.DataFrame:
    """How many customers of each segment have which product, from the addresses. There are no parameters."""
    if parameters:
        raise ValueError(f"got parameters {sorted(parameters)}, expected none")
    customers, members = pd.read_csv(files["customers"]), pd.read_parquet(files["members"])
    # The rule `email/v1` in words: blanks around the address and capitals do not count.
    known = customers.dropna(subset="email").assign(person=lambda table: normalised(table["email"]))
    return counted(known.merge(members.assign(person=normalised(members["mail"])), on="person"))


def joined_by_token(customers: Path, members: Path) -> pd.DataFrame:
    """The same from the two lists of tokens, which is all that the broker has."""
    left, right = pd.read_parquet(customers), pd.read_parquet(members)
    return counted(left.dropna(subset="token").merge(right, on="token"))


def normalised(addresses: pd.Series[str]) -> pd.Series[str]:
    """As two people would call them the same address."""
    return addresses.str.strip().str.lower()


def counted(joined: pd.DataFrame) -> pd.DataFrame:
    """Rows by segment and product."""
    return joined.groupby(["segment", "product"]).size().rename("people").reset_index()
