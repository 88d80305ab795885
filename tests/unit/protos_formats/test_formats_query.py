"""Queries and their parameters: what a run may choose, refusal by refusal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from protos.formats.errors import FormatError, LimitExceededError
from protos.formats.query import Parameter, Query
from tests.conformance.formats.samples import QUERY

RANGE = Parameter("year", low=1950, high=2013)
CHOICE = Parameter("unit", choices=("knots", "m/s"))
DAY = Parameter("day", low="2025-12-30", high="2026-02-01")
RATE = Parameter("rate", low="-0.50", high="10.00")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "Year", "low": 1, "high": 2}, "parameter name: got 'Year'"),
        ({"name": "p"}, "parameter p: give either low and high, or choices"),
        ({"name": "p", "low": 1}, "give either low and high, or choices"),
        ({"name": "p", "high": 1}, "give either low and high, or choices"),
        ({"name": "p", "low": 1, "choices": ("a",)}, "give either low and high, or choices"),
        ({"name": "p", "low": 1, "high": 2, "choices": ("a",)}, "give either low and high, or choices"),
        ({"name": "p", "low": 2, "high": 1}, "parameter p: low 2 is above high 1"),
        ({"name": "p", "low": "a", "high": "b"}, "parameter p: low: expected a date such as"),
        ({"name": "p", "low": "2026-02-30", "high": "2026-03-01"}, "low: '2026-02-30' is not a day"),
        ({"name": "p", "low": "20260201", "high": "2026-03-01"}, "low: expected a date such as"),
        ({"name": "p", "low": "2026-03-02", "high": "2026-03-01"}, "low 2026-03-02 is above high 2026-03-01"),
        ({"name": "p", "low": "0.10", "high": "0.05"}, r"low 0\.10 is above high 0\.05"),
        ({"name": "p", "low": "9.0", "high": "10.00"}, "differ in type or in digits after the point"),
        ({"name": "p", "low": "0.5", "high": "2026-03-01"}, "differ in type or in digits after the point"),
        ({"name": "p", "low": 1, "high": "1.5"}, "differ in type or in digits after the point"),
        ({"name": "p", "low": "-0.0", "high": "1.5"}, "low: expected a date such as"),
        ({"name": "p", "low": "01.5", "high": "2.5"}, "low: expected a date such as"),
        ({"name": "p", "low": "0." + "1" * 11, "high": "1." + "1" * 11}, "low: expected a date such as"),
        ({"name": "p", "low": 0, "high": True}, "parameter p: high: got bool, expected an integer"),
        ({"name": "p", "low": 0, "high": 2**63}, "parameter p: high: got 9223372036854775808"),
        ({"name": "p", "choices": ("b", "a")}, "parameter p: choices: must be in ascending order"),
        ({"name": "p", "choices": (1,)}, "parameter p: choices: got int, expected text"),
        ({"name": "p", "choices": ("",)}, "parameter p: choices: got 0 characters"),
        (
            {"name": "p", "choices": tuple(f"{n:04}" for n in range(1001))},
            "choices: got 1001 items, expected at most 1000",
        ),
    ],
)
def test_parameter_refuses(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        Parameter(**arguments)


@pytest.mark.parametrize(
    "parameter",
    [
        RANGE,
        CHOICE,
        DAY,
        RATE,
        Parameter("p", low=-(2**63), high=2**63 - 1),
        Parameter("only_one", low=7, high=7),
    ],
)
def test_parameter_comes_back(parameter: Parameter) -> None:
    assert Parameter.from_value_untrusted(parameter.to_value()) == parameter


def test_allowed_values() -> None:
    assert [RANGE.require_allowed(year) for year in (1950, 2013)] == [1950, 2013]
    assert CHOICE.require_allowed("knots") == "knots"
    assert [DAY.require_allowed(day) for day in ("2025-12-30", "2026-02-01")] == ["2025-12-30", "2026-02-01"]
    assert [RATE.require_allowed(rate) for rate in ("-0.50", "0.00", "10.00")] == ["-0.50", "0.00", "10.00"]


def test_kind_and_number_of_choices() -> None:
    assert [(item.kind, item.size) for item in (RANGE, CHOICE, DAY, RATE)] == [
        ("int64", 64),
        ("text", 2),
        ("date", 34),
        ("decimal(4,2)", 1051),
    ]
    assert Parameter("p", low="0.000", high="0.500").kind == "decimal(4,3)"


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        (RANGE, 1949, "parameter year: got 1949, expected 1950 to 2013"),
        (RANGE, 2014, "parameter year: got 2014, expected 1950 to 2013"),
        (RANGE, "2000", "parameter year: got str, expected an integer"),
        (RANGE, True, "parameter year: got bool, expected an integer"),
        (CHOICE, "KNOTS", "parameter unit: got a value that is not one of its 2 choices"),
        (DAY, "2025-12-29", "parameter day: expected date, 2025-12-30 to 2026-02-01"),
        (DAY, "2026-02-02", "parameter day: expected date"),
        (DAY, "2026-1-5", "parameter day: expected a date such as"),
        (DAY, "0.50", "parameter day: expected date"),
        (DAY, 20260101, "parameter day: expected a date such as"),
        (RATE, "-0.51", r"parameter rate: expected decimal\(4,2\), -0\.50 to 10\.00, written like these"),
        (RATE, "10.01", "parameter rate: expected decimal"),
        (RATE, "1.0", "parameter rate: expected decimal"),
        (RATE, "1.000", "parameter rate: expected decimal"),
        (RATE, "1", "parameter rate: expected a date such as"),
        (CHOICE, 1, "parameter unit: got a value that is not one of its 2 choices"),
    ],
)
def test_values_that_are_not_allowed(parameter: Parameter, value: Any, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        parameter.require_allowed(value)


PARAMETERS = tuple(Parameter(f"p{number}", low=0, high=1) for number in range(33))
PEOPLE = tuple(f"p{number:02}" for number in range(65))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "q-1"}, "query id: got 'q-1'"),
        ({"sql": ""}, "query delay_by_day: sql: got 0 characters"),
        ({"sql": "a" * 20_001}, "sql: got 20001 characters, expected 1 to 20000"),
        ({"sql": "SELECT\u202e1"}, "sql: has a character that cannot be shown"),
        ({"run_by": ()}, "run_by and receivers must each name somebody"),
        ({"receivers": ()}, "run_by and receivers must each name somebody"),
        ({"run_by": ("b", "a")}, "run_by: must be in ascending order"),
        ({"receivers": ("a", "a")}, "receivers: must be in ascending order"),
        ({"receivers": PEOPLE}, "receivers: got 65 items, expected at most 64"),
        ({"max_runs": 0}, "max_runs: got 0, expected 1 to 1000000"),
        ({"max_runs": 1_000_001}, "max_runs: got 1000001"),
        ({"many_to_many": 1}, "many_to_many must be true or false"),
        ({"parameters": PARAMETERS}, "parameter names must be distinct, at most 32"),
        ({"parameters": (RANGE, RANGE)}, "parameter names must be distinct"),
    ],
)
def test_query_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        replace(QUERY, **changes)


@pytest.mark.parametrize(
    ("changes", "expect", "message"),
    [
        ({"parameters": [0] * 33}, LimitExceededError, "parameters: got 33 items"),
        ({"parameters": {}}, FormatError, "parameters: got dict, expected a list"),
        ({"run_by": "analyst"}, FormatError, "run_by: got str, expected a list"),
        ({"run_by": [["analyst"]]}, FormatError, "run_by: got list, expected text"),
        ({"receivers": None}, FormatError, "receivers: got NoneType, expected a list"),
        ({"budget": 1}, FormatError, "unknown keys"),
    ],
)
def test_query_value_refuses(changes: dict[str, Any], expect: type[Exception], message: str) -> None:
    with pytest.raises(expect, match=message):
        Query.from_value_untrusted({**QUERY.to_value(), **changes})


def test_query_comes_back_and_its_digest_names_every_rule() -> None:
    assert Query.from_value_untrusted(QUERY.to_value()) == QUERY
    full = replace(QUERY, parameters=PARAMETERS[:32])
    assert Query.from_value_untrusted(full.to_value()) == full
    others = [
        replace(QUERY, sql=QUERY.sql + " "),
        replace(QUERY, max_runs=6),
        replace(QUERY, many_to_many=True),
        replace(QUERY, receivers=("analyst",)),
    ]
    assert len({query.digest() for query in (QUERY, *others)}) == 5


def test_required_parameters() -> None:
    assert QUERY.require_parameters({"unit": "m/s", "gust": 3}) == {"gust": 3, "unit": "m/s"}


@pytest.mark.parametrize("given", [{}, {"gust": 3}, {"gust": 3, "unit": "m/s", "extra": 1}])
def test_missing_and_unknown_parameters(given: dict[str, int | str]) -> None:
    with pytest.raises(FormatError, match=r"got parameters .*, expected \['gust', 'unit'\]"):
        QUERY.require_parameters(given)
