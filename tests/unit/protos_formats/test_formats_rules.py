"""An owner's rules: which make sense, alone, with their dataset and with the rest of the agreement."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from protos.formats.agreement import Agreement
from protos.formats.errors import FormatError
from protos.formats.rules import Clamp, OptOut, Rules
from protos.formats.schema import Dataset
from tests.conformance.formats.samples import CLOSED, FLIGHTS, QUERY, WIND, agreement


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"analyses": ("any",)}, r"got analyses \['any'\], expected some of"),
        ({"analyses": ("list", "aggregation")}, "analyses: must be in ascending order"),
        ({"analyses": ("custom", "list")}, "custom stands alone"),
        ({"only_queries": ("q",)}, r"only_queries is for analyses = \[\"custom\"\]"),
        ({"joined_with": ("b", "a")}, "joined_with: must be in ascending order"),
        ({"forbidden": ("a", "a")}, "forbidden: must be in ascending order"),
        ({"receivers": (1,)}, "receivers: got int, expected text"),
        ({"single_units": 1}, "single_units must be true or false"),
        ({"max_rows_per_unit": 0}, "max_rows_per_unit: got 0, expected 1 to 1000000"),
        ({"max_rows_per_unit": 1_000_001}, "max_rows_per_unit: got 1000001"),
        ({"max_rows_per_unit": True}, "max_rows_per_unit: got bool"),
        ({"min_rows": -1}, "min_rows: got -1"),
        ({"min_units": None}, "min_units: got NoneType"),
    ],
)
def test_rules_refuse(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        replace(Rules(), **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"extra": 1}, "unknown keys"),
        ({"analyses": None}, "analyses: got NoneType, expected a list"),
        ({"only_queries": None}, "only_queries: got NoneType, expected a list"),
        ({"joined_with": "a"}, "joined_with: got str, expected a list"),
        ({"opt_out": {"dataset": "a"}}, r"opt_out: missing keys \['column'\]"),
        ({"opt_out": {"dataset": "A", "column": "c"}}, "opt_out: dataset: got 'A'"),
    ],
)
def test_values_of_rules_refuse(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        Rules.from_value_untrusted({**Rules().to_value(), **changes})


@pytest.mark.parametrize(
    "rules",
    [
        Rules(),
        Rules(analyses=()),
        Rules(analyses=("custom",), only_queries=("0" * 96, "q")),
        Rules(joined_with=(), receivers=()),
        Rules(joined_with=("a", "b"), receivers=("c",), forbidden=("d",), single_units=True),
        Rules(max_rows_per_unit=1, min_rows=2, min_units=3, opt_out=OptOut("a", "b")),
    ],
)
def test_rules_come_back(rules: Rules) -> None:
    assert Rules.from_value_untrusted(rules.to_value()) == rules


GOOD = [
    (None, "0", "0"),
    (None, "-9223372036854775808", "9223372036854775807"),
    ((2, 2), "-0.99", "0.99"),
    ((3, 2), "0.00", "9.99"),
    ((38, 38), "-0." + "9" * 38, "0." + "0" * 38),
    ((38, 0), "-" + "9" * 38, "9" * 38),
]


@pytest.mark.parametrize(("decimal", "low", "high"), GOOD)
def test_a_clamp_of_values_of_the_type(decimal: tuple[int, int] | None, low: str, high: str) -> None:
    clamp = Clamp(low, high)
    clamp.require_for(decimal, where="column c")
    assert Clamp.from_value_untrusted(clamp.to_value()) == clamp


@pytest.mark.parametrize(
    ("decimal", "low", "high", "message"),
    [
        (None, "0.0", "1", "got '0.0', expected a number with 0 decimal places"),
        (None, "+1", "2", "expected a number"),
        (None, "00", "2", "expected a number"),
        (None, "-0", "2", "expected a number"),
        (None, " 0", "2", "expected a number"),
        (None, "٣", "9", "expected a number"),  # a digit of another script
        (None, "NaN", "2", "expected a number"),
        (None, "0", "9223372036854775808", "9223372036854775808 is not a value of the column's type"),
        (None, "-9223372036854775809", "0", "is not a value of the column's type"),
        ((3, 2), "0", "1.00", "got '0', expected a number with 2 decimal places"),
        ((3, 2), "-0.00", "1.00", "expected a number"),
        ((3, 2), "0.00", "10.00", "10.00 is not a value"),
        ((2, 2), "0.00", "1.00", "1.00 is not a value"),
        (None, "2", "1", "low 2 is above high 1"),
        ((3, 2), "0.10", "0.09", "low 0.10 is above high 0.09"),
    ],
)
def test_a_clamp_that_is_none(decimal: tuple[int, int] | None, low: str, high: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        Clamp(low, high).require_for(decimal, where="column c")


def test_a_clamp_is_of_text() -> None:
    for value in ({"low": 0, "high": 1}, {"low": "0"}, {"low": "0", "high": "1" * 42}, "0"):
        with pytest.raises(FormatError, match="clamp"):
            Clamp.from_value_untrusted(value)


@pytest.mark.parametrize("kind", ["text", "float64", "date", "bool", "hex128"])
def test_a_clamp_is_for_exact_numbers(kind: str) -> None:
    column = replace(FLIGHTS.column("dep_delay"), uses=frozenset())
    with pytest.raises(FormatError, match=r"clamp is for int64 and decimal\(p,s\)"):
        replace(column, type=kind)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (Rules(forbidden=("height",)), r"dataset flights: rules: forbidden names \['height'\]"),
        (Rules(forbidden=("tailnum",)), "the privacy unit 'tailnum' cannot be forbidden"),
        (Rules(min_rows=1_000_001), "min_rows or min_units is above max_rows"),
        (Rules(min_units=1_000_001), "min_rows or min_units is above max_rows"),
    ],
)
def test_rules_that_do_not_fit_their_dataset(rules: Rules, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        replace(FLIGHTS, rules=rules)


def test_a_threshold_of_one_has_to_be_meant() -> None:
    with pytest.raises(FormatError, match="threshold: got 1, expected 2 to 100000") as caught:
        replace(FLIGHTS, threshold=1)
    assert "single_units = true" in (caught.value.hint or "")
    for threshold in (1, 2):
        meant = replace(FLIGHTS, threshold=threshold, rules=Rules(single_units=True))
        assert Dataset.from_value_untrusted(meant.to_value()) == meant


def with_rules(**rules: Any) -> Agreement:
    return replace(agreement(), datasets=(replace(FLIGHTS, rules=Rules(**rules)), WIND, CLOSED))


OTHER_TYPE = replace(CLOSED.columns[0], type="text")
NOT_GRANTED = replace(CLOSED.columns[0], uses=frozenset({"join"}))


@pytest.mark.parametrize(
    ("datasets", "message"),
    [
        ((FLIGHTS, WIND), "dataset wind: opt_out: closed is not another dataset of the agreement"),
        ((FLIGHTS, WIND, replace(CLOSED, columns=(OTHER_TYPE,))), "station is text"),
        ((FLIGHTS, WIND, replace(CLOSED, columns=(NOT_GRANTED,))), "weather does not let closed.station be"),
        ((WIND, CLOSED), r"dataset wind: joined_with names \['flights'\], which are not in the agreement"),
    ],
)
def test_what_rules_name_is_in_the_agreement(datasets: tuple[Dataset, ...], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        replace(agreement(), datasets=datasets)


def test_an_opt_out_list_has_no_opt_out_itself() -> None:
    chained = replace(CLOSED, rules=replace(CLOSED.rules, opt_out=OptOut("wind", "station")))
    with pytest.raises(FormatError, match="closed has an opt_out of its own, expected a plain list"):
        replace(agreement(), datasets=(FLIGHTS, WIND, chained))


def test_queries_are_named_by_id_or_by_digest() -> None:
    for name in (QUERY.id, QUERY.digest().hex()):
        with_rules(analyses=("custom",), only_queries=(name,))
    other = replace(QUERY, max_runs=6).digest().hex()
    for name in ("another", other):
        with pytest.raises(FormatError, match="dataset flights: only_queries names"):
            with_rules(analyses=("custom",), only_queries=(name,))


def test_a_dataset_is_not_joined_with_itself_and_receivers_are_known() -> None:
    with pytest.raises(FormatError, match=r"dataset flights: joined_with names \['flights'\]"):
        with_rules(joined_with=("flights",))
    with pytest.raises(FormatError, match=r"dataset flights: receivers names \['stranger'\]"):
        with_rules(receivers=("analyst", "stranger"))
    with_rules(receivers=("airline", "analyst", "weather"))
