"""Agreed datasets for tests about reading: one column of each type, and small variations."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from party_client.datasets import CsvSettings, Reading, RowsError, open_source
from protos.formats.schema import Column, Dataset

EVERY_TYPE = {
    "key": "hex128",
    "name": "text",
    "count": "int64",
    "amount": "decimal(8,2)",
    "share": "float64",
    "active": "bool",
    "day": "date",
    "seen": "timestamp",
}
HEADER = ",".join(EVERY_TYPE)
GOOD_ROW = "00112233445566778899aabbccddeeff,Ann,1,12.50,0.5,true,2013-01-31,2013-01-31T06:00:00"


def dataset(
    columns: dict[str, str] | None = None,
    *,
    nullable: bool = True,
    unique: tuple[str, ...] = (),
    max_rows: int = 1_000_000,
    max_bytes: int = 1_000_000_000,
) -> Dataset:
    """A dataset with these columns; the first is the privacy unit and is never nullable."""
    types = columns or EVERY_TYPE
    made = [
        Column(name, kind, nullable=nullable and position > 0, uses=frozenset())
        for position, (name, kind) in enumerate(types.items())
    ]
    return Dataset("sample", "owner", tuple(made), made[0].name, 2, unique, max_rows, max_bytes)


def read(
    data: object, agreed: Dataset, *, ignore_extra: bool = False, csv: CsvSettings | None = None
) -> pa.Table:
    """All of `data` (a path or a DataFrame) as it would be sealed."""
    reading = Reading(open_source(data, ignore_extra=ignore_extra, csv=csv), agreed)  # type: ignore[arg-type]
    table = pa.Table.from_batches(list(reading))
    assert reading.rows == table.num_rows
    table.validate(full=True)
    return table


def write_csv(folder: Path, *rows: str, header: str = HEADER, name: str = "data.csv") -> Path:
    """A CSV file of these rows."""
    path = folder / name
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8", newline="")
    return path


def cells(error: RowsError) -> list[tuple[int, str]]:
    """(row, column) of every problem."""
    return [(problem.row, problem.column) for problem in error.problems]
