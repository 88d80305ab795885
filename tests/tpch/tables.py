"""The tables of TPC-H as its generator makes them, and the file that each of four parties sends of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import duckdb

from protos.formats.schema import Dataset

TABLES: Final = ("customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier")
ROWS_AT_SCALE_1: Final = {
    "customer": 150_000,
    "lineitem": 6_001_215,
    "nation": 25,
    "orders": 1_500_000,
    "part": 200_000,
    "partsupp": 800_000,
    "region": 5,
    "supplier": 10_000,
}
"""By the specification of TPC-H, 4.2.5."""
_TABLE_OF: Final = {
    "customer_nation": "nation",
    "customer_region": "region",
    "supplier_nation": "nation",
    "supplier_region": "region",
}
_SHOWN_AGAIN: Final = {"o_number": "o_orderkey", "p_number": "p_partkey"}
"""Columns that an owner sends under a second name, so that they may be output."""
_SQL_TYPES: Final = {"int64": "BIGINT", "text": "VARCHAR"}


def generate(folder: Path, *, scale: float) -> None:
    """`TABLE.parquet` for each table; the same scale gives the same rows."""
    command = Path(sys.executable).parent / "tpchgen-cli"
    subprocess.run(
        [command, "parquet", "--quiet", "--scale-factor", str(scale), "--output-dir", folder], check=True
    )


def whole(folder: Path) -> duckdb.DuckDBPyConnection:
    """An engine that sees all tables, as nobody may among the four parties."""
    engine = duckdb.connect()
    for table in TABLES:
        engine.execute(f"CREATE VIEW {table} AS FROM '{folder / table}.parquet'")
    return engine


def party_file(folder: Path, dataset: Dataset) -> Path:
    """What the owner of `dataset` sends: the agreed columns in the agreed types and nothing else."""
    columns = ", ".join(
        f"CAST({_SHOWN_AGAIN.get(column.name, column.name)} AS {_SQL_TYPES.get(column.type, column.type)}) "
        f"AS {column.name}"
        for column in dataset.columns
    )
    path = folder / f"party-{dataset.id}.parquet"
    source = folder / f"{_TABLE_OF.get(dataset.id, dataset.id)}.parquet"
    duckdb.connect().execute(f"COPY (SELECT {columns} FROM '{source}') TO '{path}' (FORMAT parquet)")
    return path
