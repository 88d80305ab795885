"""Whether a released table is exactly the one computed in clear: every cell, in any order of rows.

Nothing is rounded: counts and sums are equal as numbers, a mean is the same double. Raises `MismatchError`,
which names rows and columns but no value.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import pandas as pd

from scenarios.errors import MismatchError

Row: TypeAlias = tuple[Any, ...]


def require_same(released: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Returns if both tables have the same columns, in order, and the same rows, as often, in any order."""
    if list(released.columns) != list(expected.columns):
        raise MismatchError(f"columns: got {list(released.columns)}, expected {list(expected.columns)}")
    got, wanted = rows_of(released), rows_of(expected)
    if len(got) != len(wanted):
        raise MismatchError(f"rows: got {len(got)}, expected {len(wanted)}")
    for number, (have, want) in enumerate(zip(got, wanted, strict=True), 1):
        names = zip(released.columns, have, want, strict=True)
        if differing := [str(name) for name, left, right in names if left != right]:
            raise MismatchError(f"row {number} of the sorted tables differs in {differing}")


def rows_of(table: pd.DataFrame) -> list[Row]:
    """The rows as plain Python values, None for a missing one, sorted by their texts."""
    rows = zip(*(map(_plain, table[name].tolist()) for name in table.columns), strict=True)
    return sorted(rows, key=lambda row: [(cell is None, str(cell)) for cell in row])


def _plain(cell: Any) -> Any:
    return None if pd.isna(cell) else cell
