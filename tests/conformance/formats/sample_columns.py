"""Three rows of every type of column, for the test vectors."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa

COLUMNS: dict[str, tuple[list[Any], Any]] = {
    "bool": ([True, None, False], pa.bool_()),
    "date": ([dt.date(1969, 12, 31), None, dt.date(2013, 1, 1)], pa.date32()),
    "decimal(18,2)": ([Decimal("-0.01"), None, Decimal("9999999999999999.99")], pa.decimal128(18, 2)),
    "decimal(19,2)": ([Decimal("-0.01"), None, Decimal("99999999999999999.99")], pa.decimal128(19, 2)),
    "float64": ([-0.5, None, 1e300], pa.float64()),
    "hex128": ([bytes(range(16)), None, b"\xff" * 16], pa.binary(16)),
    "int64": ([-1, None, 2**62], pa.int64()),
    "text": (["", None, "Z\u00fcrich"], pa.string()),
    "timestamp": ([dt.datetime(1969, 12, 31), None, dt.datetime(2013, 1, 1, 5, 6, 7, 8)], pa.timestamp("us")),
    "text with a dictionary": (["a", None, "a"], pa.dictionary(pa.int32(), pa.string())),
}
"""Three rows of every type of column."""
