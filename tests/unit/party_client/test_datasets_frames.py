"""DataFrames and Parquet files: which types carry over exactly, and which are refused."""

from __future__ import annotations

import datetime
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from party_client.datasets import ColumnsError, RowsError, SourceFileError
from tests.unit.party_client.sample_datasets import EVERY_TYPE, GOOD_ROW, cells, dataset, read, write_csv

DIGITS = "00112233445566778899aabbccddeeff"


def column(kind: str, values: Any) -> pa.Table:
    """A DataFrame with `values` as a column of this agreed kind, read."""
    frame = pd.DataFrame({"key": range(len(values)), "value": values})
    return read(frame, dataset({"key": "int64", "value": kind}))


def written(tmp_path: Path, table: pa.Table) -> Path:
    path = tmp_path / "data.parquet"
    parquet.write_table(table, path)
    return path


def test_csv_frame_and_parquet_give_the_same(tmp_path: Path) -> None:
    from_csv = read(write_csv(tmp_path, GOOD_ROW, GOOD_ROW.replace("Ann", "")), dataset())
    frame = from_csv.to_pandas()
    assert read(frame, dataset()).equals(from_csv)
    assert read(written(tmp_path, from_csv), dataset()).equals(from_csv)
    assert from_csv.column_names == list(EVERY_TYPE)


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("int64", [1, None, 3], [1, None, 3]),  # pandas makes floats of these
        ("int64", pd.array([1, None], dtype="Int64"), [1, None]),
        ("int64", np.array([1, 2], dtype=np.uint8), [1, 2]),
        ("float64", np.array([1, 2], dtype=np.int32), [1.0, 2.0]),
        ("float64", [0.5, float("nan")], [0.5, None]),
        ("text", ["a", None], ["a", None]),
        ("text", pd.Categorical(["b", "a", None]), ["b", "a", None]),
        ("text", np.array(["a", "b"], dtype=object), ["a", "b"]),
        ("bool", [True, None], [True, None]),
        ("decimal(8,2)", [Decimal("1.5"), None], [Decimal("1.50"), None]),
        ("decimal(8,2)", [1, 2], [Decimal("1.00"), Decimal("2.00")]),
        ("decimal(8,2)", [Decimal("1.230"), 2], [Decimal("1.23"), Decimal("2.00")]),
        ("date", [datetime.date(2013, 1, 31), None], [datetime.date(2013, 1, 31), None]),
        ("date", pd.to_datetime(["2013-01-31"]), [datetime.date(2013, 1, 31)]),
        ("timestamp", pd.to_datetime(["2013-01-31T06:00"]), [datetime.datetime(2013, 1, 31, 6)]),
        ("timestamp", pd.to_datetime(["2013-01-31T06:00+02:00"]), [datetime.datetime(2013, 1, 31, 4)]),
        ("hex128", [bytes(16), None], [bytes(16), None]),
        ("hex128", [DIGITS, None], [bytes.fromhex(DIGITS), None]),
        ("hex128", pd.Series([DIGITS], dtype=object), [bytes.fromhex(DIGITS)]),
    ],
)
def test_what_carries_over_exactly_is_taken(kind: str, values: Any, expected: list[Any]) -> None:
    assert column(kind, values)["value"].to_pylist() == expected


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("int64", [1.5, 2.0]),
        ("int64", [2, 2**63]),
        ("int64", np.array([1, "many"], dtype=object)),
        ("float64", [float("inf"), 1.0]),
        ("decimal(8,2)", [Decimal("1.005")]),
        ("decimal(8,2)", [Decimal("1234567.00")]),
        ("decimal(3,2)", [10]),
        ("date", pd.to_datetime(["2013-01-31T06:00"])),
        ("timestamp", pd.to_datetime(["2013-01-31T06:00:00.000000001"])),
        ("hex128", ["00"]),
        ("hex128", [bytes(8)]),
        ("hex128", ["x" * 32]),
        ("text", np.array(["a", 1], dtype=object)),
        ("bool", np.array([True, "yes"], dtype=object)),
    ],
)
def test_what_would_have_to_be_rounded_or_guessed_is_named(kind: str, values: Any) -> None:
    with pytest.raises(RowsError) as caught:
        column(kind, values)
    assert {name for _, name in cells(caught.value)} == {"value"}


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("decimal(8,2)", [1.25]),
        ("text", [1, 2]),
        ("int64", ["1"]),
        ("bool", [0, 1]),
        ("timestamp", ["2013-01-31"]),
        ("hex128", [1, 2]),
    ],
)
def test_a_column_of_another_type_is_refused_as_a_whole(kind: str, values: Any) -> None:
    with pytest.raises(ColumnsError, match="column value: got") as caught:
        column(kind, values)
    assert caught.value.hint


def test_an_amount_as_float_is_refused_with_a_way_out() -> None:
    with pytest.raises(ColumnsError) as caught:
        column("decimal(8,2)", [1.25])
    assert "not an exact decimal" in (caught.value.hint or "")


def test_rows_of_later_slices_are_numbered_on() -> None:
    values = [1] * 70_000 + [None]
    frame = pd.DataFrame({"key": pd.array(values, dtype="Int64")})
    with pytest.raises(RowsError) as caught:
        read(frame, dataset({"key": "int64"}))
    assert cells(caught.value) == [(70_001, "key")]


def test_the_index_is_no_data() -> None:
    frame = pd.DataFrame({"key": [1, 2]}, index=["a", "b"])
    assert read(frame, dataset({"key": "int64"})).column_names == ["key"]


def test_slices_of_arrow_columns_are_read_from_where_they_begin(tmp_path: Path) -> None:
    """Bitmaps and offsets of a batch that does not begin at zero."""
    table = pa.table(
        {
            "key": pa.array(range(100)),
            "value": pa.array([None if row % 3 else f"{row:032x}" for row in range(100)]),
        }
    )
    got = read(written(tmp_path, table.slice(7, 50)), dataset({"key": "int64", "value": "hex128"}))
    expected = [None if row % 3 else row.to_bytes(16, "big") for row in range(7, 57)]
    assert got["value"].to_pylist() == expected


def test_uuid_columns_of_parquet_are_keys(tmp_path: Path) -> None:
    value = uuid.UUID(DIGITS)
    table = pa.table({"key": pa.array([value.bytes], pa.uuid())})
    assert read(written(tmp_path, table), dataset({"key": "hex128"}))["key"].to_pylist() == [value.bytes]


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, pa.table({"key": range(10_000)}))
    data = bytearray(path.read_bytes())
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(SourceFileError, match="Parquet"):
        read(path, dataset({"key": "int64"}))
    path.write_bytes(b"key\n1\n")
    with pytest.raises(SourceFileError, match="Parquet"):
        read(path, dataset({"key": "int64"}))
