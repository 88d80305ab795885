"""Whatever the rows are: they arrive as they were, or their row and column are named."""

from __future__ import annotations

import csv
import io
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from party_client.datasets import Reading, RowsError, encode_chunks, hexadecimal, open_source
from protos.formats.schema import Column, Dataset
from tests.chunk_tables import unpacked

TYPES = {"key": "int64", "name": "text", "amount": "decimal(10,3)", "digits": "hex128", "flag": "bool"}
COLUMNS = tuple(Column(name, kind, nullable=name != "key", uses=frozenset()) for name, kind in TYPES.items())
DATASET = Dataset("sample", "owner", COLUMNS, "key", 2, (), 10_000, 10_000_000)

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=40)
ROWS = st.fixed_dictionaries(
    {
        "key": st.integers(-(2**63), 2**63 - 1),
        "name": st.none() | TEXTS,
        "amount": st.none() | st.decimals(-9_999_999, 9_999_999, places=3),
        "digits": st.none() | st.binary(min_size=16, max_size=16),
        "flag": st.none() | st.booleans(),
    }
)


def as_csv(rows: list[dict[str, Any]]) -> str:
    """As a careful writer would: nulls unquoted, texts quoted."""
    out = io.StringIO()
    out.write(",".join(TYPES) + "\n")
    for row in rows:
        cells = [
            str(row["key"]),
            "" if row["name"] is None else '"' + row["name"].replace('"', '""') + '"',
            "" if row["amount"] is None else str(row["amount"]),
            "" if row["digits"] is None else row["digits"].hex(),
            "" if row["flag"] is None else str(row["flag"]).lower(),
        ]
        out.write(",".join(cells) + "\n")
    return out.getvalue()


def arrived(source: Any) -> list[dict[str, Any]]:
    """What an enclave would read out of the chunks."""
    chunks = encode_chunks(Reading(source, DATASET), DATASET, compression="none", source=source)
    return [row for chunk in chunks for row in unpacked(DATASET.columns, bytes(chunk.plaintext)).to_pylist()]


@given(st.lists(ROWS, min_size=1, max_size=30))
def test_rows_of_a_csv_file_arrive_as_they_were(rows: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "data.csv")
        path.write_text(as_csv(rows), encoding="utf-8", newline="")
        assert arrived(open_source(path)) == rows


@given(st.lists(ROWS, min_size=1, max_size=30))
def test_rows_of_a_frame_arrive_as_they_were(rows: list[dict[str, Any]]) -> None:
    frame = pd.DataFrame(
        {
            "key": pd.array([row["key"] for row in rows], dtype="Int64"),
            "name": pd.Series([row["name"] for row in rows], dtype=object),
            "amount": pd.Series([row["amount"] for row in rows], dtype=object),
            "digits": pd.Series([row["digits"] and row["digits"].hex() for row in rows], dtype=object),
            "flag": pd.array([row["flag"] for row in rows], dtype="boolean"),
        }
    )
    assert arrived(open_source(frame)) == rows


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=20))
def test_any_text_is_read_or_its_row_is_named(cells: list[tuple[str, str]]) -> None:
    agreed = Dataset(
        "sample",
        "owner",
        (Column("key", "text", False, frozenset()), Column("amount", "decimal(4,1)", True, frozenset())),
        *("key", 2, (), 1000, 10**6),
    )
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows([("key", "amount"), *cells])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "data.csv")
        path.write_text(out.getvalue(), encoding="utf-8", newline="")
        try:
            rows = sum(batch.num_rows for batch in Reading(open_source(path), agreed))
        except RowsError as error:
            named = {problem.row for problem in error.problems}
            assert named <= set(range(1, len(cells) + 1))
            assert all(problem.column in {"key", "amount"} for problem in error.problems)
        else:
            assert rows == len(cells)
            assert all(Decimal(amount) == Decimal(amount) for _, amount in cells)


@given(st.lists(st.none() | st.text("0123456789abcdefABCDEFgG /:@`", min_size=32, max_size=32), max_size=50))
def test_digits_are_decoded_as_bytes_fromhex_does(texts: list[str | None]) -> None:
    digits = pa.array([text and text.encode() for text in texts], pa.binary(32))
    decoded, bad = hexadecimal.decode(digits)
    decoded.validate(full=True)
    good = [text is None or set(text) <= set("0123456789abcdefABCDEF") for text in texts]
    assert (bad.tolist() if bad is not None else [False] * len(texts)) == [not each for each in good]
    for value, text, is_good in zip(decoded.to_pylist(), texts, good, strict=True):
        if is_good:
            assert value == (None if text is None else bytes.fromhex(text))
