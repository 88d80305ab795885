"""The work that is measured: two parties' files, the query over both, and how each side describes it.

Party A has (key: 32 hexadecimal digits, segment: one of 20, region: one of 50), party B (key, amount, ts), N
rows each, half of the keys in both. Written once per size as CSV and Parquet, deterministically.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

THRESHOLD: Final = 50
BLOCK_ROWS: Final = 250_000
FORMATS: Final = ("csv", "parquet")
_FIRST_TS_S: Final = 1_700_000_000

SECURED_SQL: Final = """
SELECT a.segment AS segment, a.region AS region, COUNT(*) AS n, COUNT(DISTINCT b.key) AS people,
       SUM(b.amount) AS total, AVG(b.amount) AS mean
FROM a JOIN b ON a.key = b.key GROUP BY a.segment, a.region
"""
GUARDED_SQL: Final = {
    "with a distinct count": SECURED_SQL,
    "sums alone": """
SELECT a.segment AS segment, a.region AS region, COUNT(*) AS n, SUM(b.amount) AS total, AVG(b.amount) AS mean
FROM a JOIN b ON a.key = b.key GROUP BY a.segment, a.region
""",
}
"""What the guards are measured on; they count distinct people, the second query does not ask for it."""
PLAIN_SQL: Final = """
SELECT a.segment, a.region, COUNT(*) AS n, COUNT(DISTINCT b.key) AS people,
       SUM(b.amount) AS total, AVG(b.amount) AS mean
FROM {a} AS a JOIN {b} AS b ON a.key = b.key GROUP BY ALL HAVING COUNT(DISTINCT b.key) >= {threshold}
ORDER BY ALL
"""

AGREEMENT: Final = """
id = "bench"
title = "Benchmark"
purpose = "How long the secured path takes beside plain DuckDB"
valid_from = 2020-01-01T00:00:00Z
valid_until = 2100-01-01T00:00:00Z
limits = {{ memory_mib = {memory_mib}, threads = 2, max_runs = 1000, tick_s = 0 }}
parties = [{{ identity = "a.pub" }}, {{ identity = "b.pub" }}]
analysts = [{{ identity = "analyst.pub" }}]
releases = [{{ file = "release.toml" }}]

[[datasets]]
id = "a"
owner = "a"
privacy_unit = "key"
threshold = {threshold}
unique = ["key"]
max_rows = 1_000_000_000
max_bytes = 1_000_000_000_000
[datasets.columns]
key = {{ type = "hex128", uses = ["join"] }}
segment = {{ type = "text", uses = ["group"] }}
region = {{ type = "text", uses = ["group"] }}

[[datasets]]
id = "b"
owner = "b"
privacy_unit = "key"
threshold = {threshold}
max_rows = 1_000_000_000
max_bytes = 1_000_000_000_000
[datasets.columns]
key = {{ type = "hex128", uses = ["join", "count_distinct"] }}
amount = {{ type = "decimal(12,2)", uses = ["sum", "avg", "filter"] }}
ts = {{ type = "int64" }}

[[queries]]
id = "totals"
sql = '''{sql}'''
run_by = ["analyst"]
receivers = ["analyst"]
max_runs = 1000
"""


def files(folder: Path, rows: int) -> dict[tuple[str, str], Path]:
    """(party, format) → file of `rows` rows, made in `folder` if it is not there yet."""
    made = {
        (party, suffix): folder / f"{party}-{rows}.{suffix}" for party in ("a", "b") for suffix in FORMATS
    }
    if not all(path.exists() for path in made.values()):
        folder.mkdir(parents=True, exist_ok=True)
        for party, first in (("a", 0), ("b", rows // 2)):
            _write(party, first, rows, {suffix: made[party, suffix] for suffix in FORMATS})
    return made


def plain_sql(paths: dict[tuple[str, str], Path], suffix: str) -> str:
    """The query as somebody would write it who may see both files."""
    sources = {}
    for party in ("a", "b"):
        path = paths[party, suffix]
        typed = ", types={'amount': 'DECIMAL(12,2)'}" if party == "b" else ""
        sources[party] = f"read_csv('{path}'{typed})" if suffix == "csv" else f"read_parquet('{path}')"
    return PLAIN_SQL.format(threshold=THRESHOLD, **sources)


def _write(party: str, first: int, rows: int, paths: dict[str, Path]) -> None:
    schema = _block(party, first, 1).schema
    unfinished = {suffix: path.with_name(path.name + ".new") for suffix, path in paths.items()}
    with (
        pa_csv.CSVWriter(unfinished["csv"], schema) as csv_writer,
        pq.ParquetWriter(unfinished["parquet"], schema) as parquet_writer,
    ):
        for begin in range(first, first + rows, BLOCK_ROWS):
            block = _block(party, begin, min(BLOCK_ROWS, first + rows - begin))
            csv_writer.write_table(block)
            parquet_writer.write_table(block)
    for suffix, path in paths.items():
        unfinished[suffix].rename(path)


def _block(party: str, first: int, rows: int) -> pa.Table:
    """Rows `first` to `first + rows`: keys follow from the row's number, values from a seeded generator."""
    random = np.random.default_rng([first, ord(party)])
    if party == "a":
        return pa.table(
            {
                "key": _keys(first, rows),
                "segment": pa.array([f"segment {n:02}" for n in range(20)]).take(
                    random.integers(0, 20, rows)
                ),
                "region": pa.array([f"region {n:02}" for n in range(50)]).take(random.integers(0, 50, rows)),
            }
        )
    cents = pa.array(random.integers(0, 1_000_000, rows)).cast(pa.decimal128(21, 2))
    hundredth = pa.scalar(1, pa.decimal128(3, 2))
    return pa.table(
        {
            "key": _keys(first, rows),
            "amount": pa.compute.multiply(cents, hundredth).cast(pa.decimal128(12, 2), safe=False),
            "ts": pa.array(_FIRST_TS_S + np.arange(first, first + rows)),
        }
    )


def _keys(first: int, rows: int) -> pa.Array[Any]:
    """A bijection of the row's number, so that keys are distinct and in no order."""
    number = np.arange(first, first + rows, dtype=np.uint64)
    scrambled = np.stack(
        [number * np.uint64(0x9E3779B97F4A7C15), number ^ np.uint64(0xD1B54A32D192ED03)], axis=1
    )
    offsets = np.arange(0, 32 * rows + 1, 32, dtype=np.int32)
    digits = scrambled.astype(">u8").tobytes().hex()
    return pa.Array.from_buffers(
        pa.string(),
        rows,
        [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(digits.encode())],
    )
