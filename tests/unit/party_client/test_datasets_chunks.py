"""Chunks: whole, bounded, the same every time; and keys that must not repeat."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from backports import zstd

from party_client.datasets import (
    Chunk,
    Reading,
    RowsError,
    TooMuchDataError,
    encode_chunks,
    open_source,
    uniqueness,
)
from protos.formats.limits import CELL_MAX_BYTES, CHUNK_MAX_ROWS, CHUNK_PLAINTEXT_MAX_BYTES
from protos.formats.schema import Dataset
from tests.chunk_tables import unpacked
from tests.unit.party_client.sample_datasets import cells, dataset, read, write_csv


def chunks(data: object, agreed: Dataset, compression: str = "none") -> list[Chunk]:
    """All chunks of `data`."""
    source = open_source(data)  # type: ignore[arg-type]
    return list(encode_chunks(Reading(source, agreed), agreed, compression=compression, source=source))


def decoded(made: list[Chunk], agreed: Dataset, compression: str = "none") -> pa.Table:
    """What an enclave reads out of them."""
    plaintexts = [bytes(chunk.plaintext) for chunk in made]
    if compression == "zstd":
        plaintexts = [zstd.decompress(plaintext) for plaintext in plaintexts]
    return pa.concat_tables(unpacked(agreed.columns, plaintext) for plaintext in plaintexts)


def random_frame(rows: int) -> pd.DataFrame:
    """Numbers that do not compress and texts of very different length."""
    random = np.random.default_rng(1)
    lengths = random.integers(0, 400, rows)
    return pd.DataFrame(
        {"key": random.integers(-(2**62), 2**62, rows), "name": ["x" * length for length in lengths]}
    )


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_chunks_hold_all_rows_in_order_and_are_filled(compression: str) -> None:
    agreed = dataset({"key": "int64", "name": "text"})
    frame = random_frame(40_000)
    made = chunks(frame, agreed, compression)
    assert decoded(made, agreed, compression).equals(read(frame, agreed))
    assert sum(chunk.rows for chunk in made) == len(frame)
    assert all(len(chunk.plaintext) <= CHUNK_PLAINTEXT_MAX_BYTES for chunk in made)
    if compression == "none":
        assert all(len(chunk.plaintext) > 0.6 * CHUNK_PLAINTEXT_MAX_BYTES for chunk in made[:-1])


def test_what_cannot_be_compressed_still_fits() -> None:
    random = np.random.default_rng(2)
    frame = pd.DataFrame({"key": random.integers(-(2**62), 2**62, 300_000)})
    agreed = dataset({"key": "int64"})
    made = chunks(frame, agreed, "zstd")
    assert decoded(made, agreed, "zstd").num_rows == len(frame)
    assert max(len(chunk.plaintext) for chunk in made) <= CHUNK_PLAINTEXT_MAX_BYTES


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    agreed = dataset({"key": "int64", "name": "text"})
    path = tmp_path / "data.csv"
    random_frame(20_000).to_csv(path, index=False)
    for compression in ("none", "zstd"):
        first, second = chunks(path, agreed, compression), chunks(path, agreed, compression)
        assert [bytes(chunk.plaintext) for chunk in first] == [bytes(chunk.plaintext) for chunk in second]


def test_a_chunk_has_no_more_rows_than_the_enclave_takes() -> None:
    frame = pd.DataFrame({"key": np.zeros(CHUNK_MAX_ROWS + 1, dtype=bool)})
    made = chunks(frame, dataset({"key": "bool"}, max_rows=2 * CHUNK_MAX_ROWS))
    assert sum(chunk.rows for chunk in made) == CHUNK_MAX_ROWS + 1
    assert max(chunk.rows for chunk in made) <= CHUNK_MAX_ROWS
    assert len(made) == 2


def test_many_columns_are_cut_as_well() -> None:
    columns = {f"c{number}": "text" for number in range(2000)}
    frame = pd.DataFrame({name: ["value"] * 200 for name in columns})
    made = chunks(frame, dataset(columns))
    assert decoded(made, dataset(columns)).num_rows == 200
    assert max(len(chunk.plaintext) for chunk in made) <= CHUNK_PLAINTEXT_MAX_BYTES


def test_a_row_that_fits_into_no_chunk_is_named() -> None:
    columns = {"key": "int64"} | {f"c{number}": "text" for number in range(20)}
    frame = pd.DataFrame({name: [1, 2] if name == "key" else ["", "x" * CELL_MAX_BYTES] for name in columns})
    with pytest.raises(TooMuchDataError, match="row 2 needs more"):
        chunks(frame, dataset(columns))


def test_more_bytes_than_agreed_are_refused() -> None:
    frame = pd.DataFrame({"key": range(300_000)})
    with pytest.raises(TooMuchDataError, match="more bytes"):
        chunks(frame, dataset({"key": "int64"}, max_bytes=2**21))


UNIQUE_COLUMNS = {"key": "text", "count": "int64", "digits": "hex128", "day": "date", "flag": "bool"}


def unique_rows(rows: int) -> list[str]:
    """Rows that are all different in each of key, count and digits."""
    return [f"k{row},{row},{row:032x},2013-01-{row % 28 + 1:02},{row % 2}" for row in range(rows)]


@pytest.mark.parametrize(
    "unique", [("key",), ("count",), ("digits",), ("day", "count"), ("flag", "day", "key", "digits")]
)
def test_a_key_that_stands_twice_is_named_with_both_rows(tmp_path: Path, unique: tuple[str, ...]) -> None:
    rows = unique_rows(40_000)
    agreed = dataset(UNIQUE_COLUMNS, unique=unique)
    header = ",".join(UNIQUE_COLUMNS)
    assert read(write_csv(tmp_path, *rows, header=header), agreed).num_rows == len(rows)
    rows[39_000] = rows[17]
    with pytest.raises(RowsError, match="row 18 has the same") as caught:
        read(write_csv(tmp_path, *rows, header=header), agreed)
    assert cells(caught.value) == [(39_001, ", ".join(unique))]


def test_keys_with_a_null_are_not_compared(tmp_path: Path) -> None:
    agreed = dataset({"key": "int64", "name": "text"}, unique=("key", "name"))
    rows = ["1,", "1,", "1,a", "2,a", "1,a"]
    with pytest.raises(RowsError) as caught:
        read(write_csv(tmp_path, *rows, header="key,name"), agreed)
    assert cells(caught.value) == [(5, "key, name")]


def test_texts_that_differ_only_in_where_they_are_cut_are_different_keys(tmp_path: Path) -> None:
    agreed = dataset({"key": "text", "name": "text"}, unique=("key", "name"))
    rows = ["a,bc", "ab,c", 'abc,""', "cb,a"]
    assert read(write_csv(tmp_path, *rows, header="key,name"), agreed).num_rows == 4


def test_equal_hashes_alone_accuse_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uniqueness, "_words", lambda values: np.zeros(len(values), dtype=np.uint64))
    agreed = dataset({"key": "int64"}, unique=("key",))
    assert read(write_csv(tmp_path, "1", "2", "3", header="key"), agreed).num_rows == 3
