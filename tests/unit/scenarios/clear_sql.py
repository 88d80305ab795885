"""Runs the SQL of a scenario's agreement in clear, as plain DuckDB does: no thresholds, nothing held back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from scenarios.catalogue import Scenario
from scenarios.comparison import Row, rows_of

_SQL_TYPES = {"text": "VARCHAR", "int64": "BIGINT", "hex128": "VARCHAR"}


def written(scenario: Scenario, folder: Path, *, rows: int) -> dict[str, Path]:
    return scenario.write(dict.fromkeys(scenario.people, folder), rows=rows)


def all_groups(scenario: Scenario, files: Mapping[str, Path]) -> list[Row]:
    """Every group that the query has in these files."""
    engine = duckdb.connect(config={"threads": 1})
    for dataset in scenario.agreement["datasets"]:
        _make_view(engine, dataset, files[dataset["id"]])
    query = scenario.agreement["queries"][0]
    chosen = dict(scenario.parameters) or None
    return engine.execute(query["sql"], chosen).fetchall()


def answer(scenario: Scenario, files: Mapping[str, Path]) -> pd.DataFrame:
    return scenario.answer(files, scenario.parameters)


def held_back(groups: list[Row], released: pd.DataFrame) -> list[Row]:
    """The groups that `released` does not have. Every row of `released` must be one of `groups`."""
    left = list(groups)
    for row in rows_of(released):
        match = next((group for group in left if _same(group, row)), None)
        assert match is not None, f"the SQL gives no such row: {row}"
        left.remove(match)
    return left


def _make_view(engine: duckdb.DuckDBPyConnection, dataset: dict[str, Any], file: Path) -> None:
    columns = []
    for name, column in dataset["columns"].items():
        typed = f"CAST({name} AS {_SQL_TYPES.get(column['type'], column['type'])})"
        if column.get("normalise") == "email/v1":
            typed = f"nfc_normalize(lower(trim({typed})))"
        columns.append(f"{typed} AS {name}")
    source = f"read_csv('{file}', all_varchar = true)" if file.suffix == ".csv" else f"'{file}'"
    engine.execute(f"CREATE VIEW {dataset['id']} AS SELECT {', '.join(columns)} FROM {source}")


def _same(left: Row, right: Row) -> bool:
    # DuckDB adds floats to make a mean of decimals; the enclave and the answer in clear do not.
    return all(
        abs(one - other) <= 1e-9 * abs(other) if isinstance(other, float) else one == other
        for one, other in zip(left, right, strict=True)
    )
