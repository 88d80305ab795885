"""Writes a scenario's tables the way organisations keep them: Parquet or CSV, by the file's suffix."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

ROW_GROUP_ROWS: Final = 100_000
"""Several row groups in a file of a million rows, as a party's own tools write them."""


def write_table(table: pa.Table, path: Path) -> None:
    """`table` as `path`; the same table gives the same bytes. Raises `ValueError` for another suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(table, path, row_group_size=ROW_GROUP_ROWS)
    elif path.suffix == ".csv":
        pyarrow.csv.write_csv(table, path)
    else:
        raise ValueError(f"got {path.name}, expected a name that ends in .parquet or .csv")
