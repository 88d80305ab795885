"""CSV files: what is read, and what is said about a file, a row or a cell that is not as agreed."""

from __future__ import annotations

import datetime
import gzip
import os
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from party_client.datasets import (
    ColumnsError,
    CsvSettings,
    Reading,
    RowsError,
    SourceChangedError,
    SourceFileError,
    TooMuchDataError,
    open_source,
)
from party_client.datasets.columns import wire_type
from tests.unit.party_client.sample_datasets import (
    EVERY_TYPE,
    GOOD_ROW,
    HEADER,
    cells,
    dataset,
    read,
    write_csv,
)

VALUE = "Zaphod8472"


def row(**changes: str) -> str:
    """The good row with some cells changed."""
    made = dict(zip(EVERY_TYPE, GOOD_ROW.split(","), strict=True)) | changes
    return ",".join(made.values())


def test_every_type_is_read_as_agreed(tmp_path: Path) -> None:
    table = read(write_csv(tmp_path, GOOD_ROW), dataset())
    agreed = [pa.field(one.name, wire_type(one), nullable=one.nullable) for one in dataset().columns]
    assert table.schema.equals(pa.schema(agreed))
    assert table.to_pylist() == [
        {
            "key": bytes.fromhex("00112233445566778899aabbccddeeff"),
            "name": "Ann",
            "count": 1,
            "amount": Decimal("12.50"),
            "share": 0.5,
            "active": True,
            "day": datetime.date(2013, 1, 31),
            "seen": datetime.datetime(2013, 1, 31, 6),
        }
    ]


def test_columns_may_stand_in_another_order(tmp_path: Path) -> None:
    header = ",".join(reversed(HEADER.split(",")))
    table = read(write_csv(tmp_path, ",".join(reversed(GOOD_ROW.split(","))), header=header), dataset())
    assert table.column_names == list(EVERY_TYPE)


def test_an_empty_cell_is_a_null_and_a_quoted_one_an_empty_text(tmp_path: Path) -> None:
    agreed = dataset({"key": "int64", "name": "text"})
    table = read(write_csv(tmp_path, "1,", '2,""', header="key,name"), agreed)
    assert table["name"].to_pylist() == [None, ""]


def test_byte_order_mark_and_windows_line_ends_are_no_data(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(b"\xef\xbb\xbfkey,name\r\n1,Ann\r\n")
    assert read(path, dataset({"key": "int64", "name": "text"})).to_pylist() == [{"key": 1, "name": "Ann"}]


def test_a_quoted_cell_may_hold_delimiters_quotes_and_line_breaks(tmp_path: Path) -> None:
    path = write_csv(tmp_path, '1,"a, ""b""\nc"', header="key,name")
    assert read(path, dataset({"key": "int64", "name": "text"}))["name"].to_pylist() == ['a, "b"\nc']


def test_tabs_and_other_nulls_are_said(tmp_path: Path) -> None:
    agreed = dataset({"key": "int64", "count": "int64"})
    tabs = write_csv(tmp_path, "1\t2", header="key\tcount", name="data.tsv")
    assert read(tabs, agreed).to_pylist() == [{"key": 1, "count": 2}]
    named = write_csv(tmp_path, "1;NA", header="key;count")
    assert read(named, agreed, csv=CsvSettings(";", ("", "NA")))["count"].to_pylist() == [None]


def test_zoned_times_become_utc(tmp_path: Path) -> None:
    agreed = dataset({"key": "int64", "seen": "timestamp"})
    path = write_csv(tmp_path, "1,2013-01-31T06:00:00+02:00", "2,2013-01-31T06:00:00Z", header="key,seen")
    seen = [datetime.datetime(2013, 1, 31, hour) for hour in (4, 6)]
    assert read(path, agreed)["seen"].to_pylist() == seen


@pytest.mark.parametrize(("first", "second"), [("06:00:00", "06:00:00Z"), ("06:00:00Z", "06:00:00")])
def test_times_with_and_without_a_zone_do_not_mix(tmp_path: Path, first: str, second: str) -> None:
    agreed = dataset({"key": "int64", "seen": "timestamp"})
    path = write_csv(tmp_path, f"1,2013-01-31T{first}", f"2,2013-01-31T{second}", header="key,seen")
    with pytest.raises(RowsError, match="as in the first row") as caught:
        read(path, agreed)
    assert cells(caught.value) == [(2, "seen")]


def test_hexadecimal_digits_of_either_case_are_the_same_key(tmp_path: Path) -> None:
    digits = "00112233445566778899aabbccddeeff"
    path = write_csv(tmp_path, digits, digits.upper(), header="key")
    first, second = read(path, dataset({"key": "hex128"}))["key"].to_pylist()
    assert first == second == bytes.fromhex(digits)


def test_decimals_are_exact(tmp_path: Path) -> None:
    agreed = dataset({"key": "int64", "amount": "decimal(38,10)"})
    amount = "1234567890123456789012345678.0123456789"
    assert read(write_csv(tmp_path, f"1,{amount}", header="key,amount"), agreed)["amount"].to_pylist() == [
        Decimal(amount)
    ]


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("key", VALUE),
        ("key", "0011223344556677 899aabbccddeeff!"),
        ("key", "g0112233445566778899aabbccddeeff"),
        ("key", ""),
        ("count", VALUE),
        ("count", "1.5"),
        ("count", "9223372036854775808"),
        ("amount", VALUE),
        ("amount", "1.005"),
        ("amount", "1234567.00"),
        ("share", VALUE),
        ("share", "nan"),
        ("share", "-inf"),
        ("share", "1e999"),
        ("active", VALUE),
        ("day", VALUE),
        ("day", "2013-02-30"),
        ("day", "31/01/2013"),
        ("seen", VALUE),
        ("seen", "2013-01-31T06:00:00.1234567"),
    ],
)
def test_a_bad_cell_is_named_by_row_and_column_and_never_shown(
    tmp_path: Path, column: str, cell: str
) -> None:
    path = write_csv(tmp_path, row(), row(), row(**{column: cell}), row())
    with pytest.raises(RowsError) as caught:
        read(path, dataset())
    assert cells(caught.value) == [(3, column)]
    assert f"row 3, {column}: " in caught.value.message
    shown = caught.value.message + (caught.value.hint or "") + repr(caught.value.args)
    assert len(cell) < 4 or cell not in shown


def test_a_missing_value_is_named_where_nothing_may_be_missing(tmp_path: Path) -> None:
    with pytest.raises(RowsError, match="must not be empty") as caught:
        read(write_csv(tmp_path, row(), row(name="", count="")), dataset(nullable=False))
    assert cells(caught.value) == [(2, "count"), (2, "name")]


def test_bad_rows_in_different_blocks_are_all_named(tmp_path: Path) -> None:
    rows = [row(name="x" * 200) for _ in range(20_000)]
    for bad in (0, 9_000, 19_999):
        rows[bad] = row(count="many")
    with pytest.raises(RowsError) as caught:
        read(write_csv(tmp_path, *rows), dataset())
    assert cells(caught.value) == [(1, "count"), (9_001, "count"), (20_000, "count")]


def test_reading_stops_at_twenty_bad_rows(tmp_path: Path) -> None:
    with pytest.raises(RowsError, match="reading stopped there") as caught:
        read(write_csv(tmp_path, *[row(count="many")] * 1000), dataset())
    assert cells(caught.value) == [(number, "count") for number in range(1, 21)]


def test_rows_of_a_wrong_length_are_named_and_do_not_shift_the_others(tmp_path: Path) -> None:
    path = write_csv(tmp_path, "1,a", "2", "3,b,c", "x,d", "5,e", header="key,name")
    with pytest.raises(RowsError, match="2 cells expected") as caught:
        read(path, dataset({"key": "int64", "name": "text"}))
    assert cells(caught.value) == [(2, ""), (3, ""), (4, "key")]


def test_a_quote_that_is_never_closed_is_refused(tmp_path: Path) -> None:
    path = write_csv(tmp_path, "1,a", '2,"b', "3,c", header="key,name")
    with pytest.raises(SourceFileError, match="never closed"):
        read(path, dataset({"key": "int64", "name": "text"}))


def test_a_quote_that_swallows_a_large_file_is_found_in_bounded_memory(tmp_path: Path) -> None:
    path = write_csv(tmp_path, '1,"b', *["2,c" * 100] * 20_000, header="key,name")
    with pytest.raises((RowsError, SourceFileError), match=r"quotation mark|cannot be read"):
        read(path, dataset({"key": "int64", "name": "text"}))


def test_a_cell_over_the_limit_is_named(tmp_path: Path) -> None:
    path = write_csv(tmp_path, "1,a", "2," + "x" * 65_537, header="key,name")
    with pytest.raises(RowsError, match="65536 bytes") as caught:
        read(path, dataset({"key": "int64", "name": "text"}))
    assert cells(caught.value) == [(2, "name")]


def test_a_cell_of_a_gibibyte_costs_no_gibibyte(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    with path.open("wb") as file:
        file.write(b"key,name\n" + b"1,a\n" * 2000 + b"2,")
        file.truncate(2**30)  # sparse: zeros that take no room on the disk
    with pytest.raises(RowsError, match="4 MiB"):
        read(path, dataset({"key": "int64", "name": "text"}))


def test_ten_thousand_columns_are_refused_in_one_line(tmp_path: Path) -> None:
    header = ",".join(["key", *(f"column_{number}" for number in range(10_000))])
    path = write_csv(tmp_path, ",".join(["1"] * 10_001), header=header)
    with pytest.raises(ColumnsError, match="10000 in all") as caught:
        read(path, dataset({"key": "int64"}))
    assert len(caught.value.message) < 1000
    assert read(path, dataset({"key": "int64"}), ignore_extra=True).num_rows == 1


def test_missing_columns_are_named_with_what_might_be_meant(tmp_path: Path) -> None:
    with pytest.raises(ColumnsError, match="missing columns 'name'") as caught:
        read(write_csv(tmp_path, "1,Ann", header="key,Name"), dataset({"key": "int64", "name": "text"}))
    assert caught.value.hint == "'Name' is not 'name'"


def test_a_column_that_stands_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ColumnsError, match="stand twice"):
        read(write_csv(tmp_path, "1,2", header="key,key"), dataset({"key": "int64"}))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("key,name\n1,Ann\n".encode("utf-16"), "in UTF-16"),
        ("key,name\n1,Ann\n".encode("utf-16-le"), "UTF-16 without a byte order mark"),
        ("key,name\n1,Ann\n".encode("utf-32"), "in UTF-32"),
        (gzip.compress(b"key,name\n1,Ann\n", mtime=0), "gzip"),
        (b"PK\x03\x04" + bytes(100), "Excel"),
        (b"PAR1" + bytes(100), "Parquet"),
    ],
)
def test_another_kind_of_file_is_recognised(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(content)
    with pytest.raises(SourceFileError, match=said):
        read(path, dataset({"key": "int64", "name": "text"}))


@pytest.mark.parametrize(("encoding", "said"), [("latin-1", "Latin-1"), ("cp1252", "Windows-1252")])
def test_an_old_encoding_is_recognised_at_its_row(tmp_path: Path, encoding: str, said: str) -> None:
    path = tmp_path / "data.csv"
    name = "Zoë €5" if encoding == "cp1252" else "Zoë"
    path.write_bytes(f"key,name\n1,Ann\n2,{name}\n".encode(encoding))
    with pytest.raises(RowsError, match=said) as caught:
        read(path, dataset({"key": "int64", "name": "text"}))
    assert cells(caught.value) == [(2, "name")]
    assert "iconv" in (caught.value.hint or "")


def test_an_empty_file_and_one_with_column_names_only_are_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty.csv"
    empty.touch()
    with pytest.raises(SourceFileError, match="0 bytes"):
        read(empty, dataset({"key": "int64"}))
    with pytest.raises(SourceFileError, match="no rows"):
        read(write_csv(tmp_path, header="key"), dataset({"key": "int64"}))


def test_folders_pipes_and_missing_files_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.csv").mkdir()
    for name, said in (("missing", "cannot be read"), ("folder", "cannot be read"), ("pipe", "regular file")):
        with pytest.raises(SourceFileError, match=said):
            read(tmp_path / f"{name}.csv", dataset({"key": "int64"}))
    with pytest.raises(SourceFileError, match="does not say what it is"):
        open_source(tmp_path / "data.xlsx")


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = write_csv(tmp_path, *["1"] * 300_000, *["2"] * 300_000, header="key")
    reading = iter(Reading(open_source(path), dataset({"key": "int64"})))
    next(reading)
    with path.open("a") as file:
        file.write("3\n")
    with pytest.raises(SourceChangedError, match="changed"):
        list(reading)


def test_a_file_that_is_replaced_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = write_csv(tmp_path, *["1"] * 600_000, header="key")
    reading = iter(Reading(open_source(path), dataset({"key": "int64"})))
    next(reading)
    write_csv(tmp_path, *["9"] * 600_000, header="key", name="other.csv").rename(path)
    with pytest.raises(SourceChangedError, match="replaced"):
        list(reading)


def test_more_rows_than_agreed_are_refused(tmp_path: Path) -> None:
    path = write_csv(tmp_path, "1", "2", "3", header="key")
    with pytest.raises(TooMuchDataError, match="more than 2 rows"):
        read(path, dataset({"key": "int64"}, max_rows=2))
