"""A date that stands in the text and is moved by an interval is the date that the engine would make of it."""

from __future__ import annotations

import datetime as dt

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protos.plan import QueryRefusedError
from protos.plan.expressions import Apply, Constant
from protos.plan.values import DATE
from tests.engine_world import plan_of

UNITS = ("day", "week", "month", "quarter", "year")


def moved(text: str) -> Constant:
    """The constant that a condition of WHERE compares with."""
    where = plan_of(f"SELECT COUNT(*) AS n FROM weather WHERE day < {text}").where
    assert isinstance(where, Apply)
    constant = where.arguments[1]
    assert isinstance(constant, Constant)
    assert constant.type == DATE
    return constant


@settings(max_examples=200)
@given(
    date=st.dates(dt.date(1800, 1, 1), dt.date(2200, 12, 31)),
    amount=st.integers(0, 1500),
    unit=st.sampled_from(UNITS),
    sign=st.sampled_from("+-"),
)
def test_as_in_the_engine(date: dt.date, amount: int, unit: str, sign: str) -> None:
    text = f"DATE '{date}' {sign} INTERVAL '{amount}' {unit}"
    expected = duckdb.execute(f"SELECT CAST({text} AS DATE)").fetchall()[0][0]
    if expected.year >= 1:
        assert moved(text).value == expected.isoformat()


def test_ways_to_write_it() -> None:
    assert moved("DATE '2024-01-31' + INTERVAL 1 MONTH").value == "2024-02-29"
    assert moved("DATE '2024-02-29' - INTERVAL '1 year'").value == "2023-02-28"
    assert moved("CAST('2024-01-01' AS date) + INTERVAL 2 WEEK").value == "2024-01-15"
    assert moved("DATE '1998-12-01' - INTERVAL '90' DAY + INTERVAL '1' MONTH").value == "1998-10-02"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("day + INTERVAL '1' DAY", "expected a date that stands in the text"),
        ("'2024-01-01' + INTERVAL '1' DAY", "expected a date that stands in the text"),
        ("TIMESTAMP '2024-01-01 00:00:00' + INTERVAL '1' DAY", "expected a date that stands in the text"),
        ("DATE '2024-01-01' + INTERVAL '1' HOUR", "expected a whole number and one of DAY, MONTH"),
        ("DATE '2024-01-01' + INTERVAL '1.5' DAY", "expected a whole number and one of"),
        ("DATE '2024-01-01' + INTERVAL '1234567' DAY", "expected a whole number and one of"),
        ("DATE '2024-01-01' + INTERVAL '1 year 2 days'", "expected a whole number and one of"),
        ("DATE '2024-01-01' + INTERVAL (1 + 1) DAY", "expected a whole number and one of"),
        ("DATE '2024-01-01' - INTERVAL '3000' YEAR", "expected to stay in the years 1 to 9999"),
        ("DATE '2024-01-01' + INTERVAL '9000' YEAR", "expected to stay in the years 1 to 9999"),
        ("DATE '2024-01-01' + INTERVAL '999999' WEEK", "expected to stay in the years 1 to 9999"),
        ("INTERVAL '1' DAY + DATE '2024-01-01'", "INTERVAL is not allowed here"),
    ],
)
def test_anything_else_is_refused(text: str, message: str) -> None:
    with pytest.raises(QueryRefusedError, match=message):
        plan_of(f"SELECT COUNT(*) AS n FROM weather WHERE day < {text}")
