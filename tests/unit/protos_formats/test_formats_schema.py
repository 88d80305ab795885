"""Datasets and columns: what an agreement may say about data, refusal by refusal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from protos.formats.errors import FormatError, LimitExceededError
from protos.formats.schema import EXACT_TYPES, NORMALISERS, PLAIN_TYPES, USES, Column, Dataset
from tests.conformance.formats.samples import FLIGHTS, WIND

COLUMN = Column("amount", "int64", nullable=True, uses=frozenset({"sum"}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "Amount"}, "column name: got 'Amount'"),
        ({"type": "int32"}, "column amount: got type 'int32', expected one of"),
        ({"type": "decimal"}, "column amount: got type 'decimal'"),
        ({"type": "decimal(9)"}, "got type"),
        ({"type": "decimal(9, 2)"}, "got type"),
        ({"type": "decimal(09,2)"}, "got type"),
        ({"type": "decimal(9,02)"}, "got type"),
        ({"type": "decimal(٩,2)"}, "got type"),
        ({"type": "decimal(39,2)"}, r"got decimal\(39,2\), expected precision 1 to 38"),
        (
            {"type": "decimal(9,10)"},
            r"got decimal\(9,10\), expected precision 1 to 38 and scale at most that",
        ),
        ({"uses": frozenset({"show"})}, r"column amount: got uses \['show'\], expected some of"),
        ({"normalise": "phone/v1"}, "got normalise 'phone/v1', expected one of"),
        ({"normalise": "email/v1"}, "normalise is for text columns, this one is int64"),
        ({"type": "float64"}, r"sum and avg need int64 or decimal\(p,s\), got float64"),
        ({"type": "text", "uses": frozenset({"avg"})}, "sum and avg need int64"),
    ],
)
def test_column_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        replace(COLUMN, **changes)


@pytest.mark.parametrize("type_", sorted(PLAIN_TYPES))
def test_plain_types(type_: str) -> None:
    column = Column("c", type_, nullable=False, uses=frozenset({"count"}))
    assert (column.kind, column.decimal) == (type_, None)
    assert Column.from_value_untrusted(column.to_value()) == column


@pytest.mark.parametrize(("precision", "scale"), [(1, 0), (1, 1), (38, 0), (38, 38), (18, 4)])
def test_decimals(precision: int, scale: int) -> None:
    column = replace(COLUMN, type=f"decimal({precision},{scale})")
    assert (column.kind, column.decimal) == ("decimal", (precision, scale))
    assert column.kind in EXACT_TYPES
    assert Column.from_value_untrusted(column.to_value()) == column


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nullable": 1}, "nullable must be true or false"),
        ({"uses": ["sum", "avg"]}, "column uses: must be in ascending order"),
        ({"uses": ["sum", "sum"]}, "column uses: must be in ascending order"),
        ({"uses": "sum"}, "column uses: got str, expected a list"),
        ({"uses": [1]}, "column uses: got int, expected text"),
        (
            {"uses": [*sorted(USES), "z"]},
            f"column uses: got {len(USES) + 1} items, expected at most {len(USES)}",
        ),
        ({"type": 1}, "column type: got int, expected text"),
        ({"type": "decimal(" + "9" * 20}, "column type: got 28 characters"),
        ({"normalise": None}, "normalise: got NoneType, expected text"),
        ({"comment": "x"}, "unknown keys"),
    ],
)
def test_column_value_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        Column.from_value_untrusted({**COLUMN.to_value(), **changes})


def test_normalisers_are_for_text() -> None:
    for normaliser in NORMALISERS:
        column = replace(COLUMN, type="text", uses=frozenset({"join"}), normalise=normaliser)
        assert Column.from_value_untrusted(column.to_value()) == column


MANY = tuple(replace(COLUMN, name=f"c{number}") for number in range(2001))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "1"}, "dataset id: got '1'"),
        ({"columns": ()}, "dataset flights: got 0 columns, expected 1 to 2000"),
        ({"columns": MANY}, "dataset flights: got 2001 columns, expected 1 to 2000"),
        ({"columns": FLIGHTS.columns * 2}, "a column name stands twice"),
        ({"privacy_unit": "person"}, "privacy unit 'person' is not one of its columns"),
        ({"privacy_unit": "dep_delay"}, "privacy unit 'dep_delay' must not be nullable"),
        ({"unique": ("flight_id", "leg")}, r"unique names \['leg'\], which are not its columns"),
        ({"unique": ("flight_id",) * 17}, "unique: got 17 items, expected at most 16"),
        ({"threshold": 0}, "threshold: got 0, expected 1 to 100000"),
        ({"threshold": 100_001}, "threshold: got 100001"),
        ({"threshold": True}, "threshold: got bool"),
        ({"max_rows": 0}, "max_rows: got 0"),
        ({"max_rows": 2**40 + 1}, "max_rows: got"),
        ({"max_bytes": 0}, "max_bytes: got 0"),
    ],
)
def test_dataset_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        replace(FLIGHTS, **changes)


@pytest.mark.parametrize(
    ("changes", "expect", "message"),
    [
        ({"columns": {}}, FormatError, "columns: got dict, expected a list"),
        ({"columns": [0] * 2001}, LimitExceededError, "columns: got 2001 items"),
        ({"columns": [0]}, FormatError, "column: got int, expected a map"),
        ({"unique": {}}, FormatError, "unique: got dict, expected a list"),
        ({"unique": [1]}, FormatError, "unique: got '1', expected a name"),
        ({"unique": ["flight_id"] * 17}, LimitExceededError, "unique: got 17 items"),
        ({"owner": "Airline"}, FormatError, "dataset owner: got 'Airline'"),
        ({"rows": 1}, FormatError, "unknown keys"),
    ],
)
def test_dataset_value_refuses(changes: dict[str, Any], expect: type[Exception], message: str) -> None:
    with pytest.raises(expect, match=message):
        Dataset.from_value_untrusted({**FLIGHTS.to_value(), **changes})


def test_dataset_comes_back() -> None:
    for dataset in (FLIGHTS, WIND):
        assert Dataset.from_value_untrusted(dataset.to_value()) == dataset


def test_column_by_name() -> None:
    assert FLIGHTS.column("day").type == "date"
    with pytest.raises(KeyError):
        FLIGHTS.column("wind")


def test_schema_digest_names_every_rule() -> None:
    joined = replace(FLIGHTS.columns[-1], uses=frozenset({"join"}))
    others = [
        replace(FLIGHTS, threshold=11),
        replace(FLIGHTS, unique=()),
        replace(FLIGHTS, columns=FLIGHTS.columns[::-1]),
        replace(FLIGHTS, columns=(*FLIGHTS.columns[:-1], joined)),
    ]
    assert len({dataset.schema_digest() for dataset in (FLIGHTS, *others)}) == 5
