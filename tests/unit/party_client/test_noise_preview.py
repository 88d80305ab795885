"""How far off noisy figures will be: the enclave's accounting, in the unit of each column."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import pytest

from party_client.agreements import check, compile_toml
from party_client.agreements.agreement_file import save_agreement
from party_client.attestation import TrustedRoots
from party_client.cli.main import main
from party_client.cli.noise_text import choice_rows, figure
from party_client.leak_report import leak_report
from party_client.leak_report.noise_preview import NoisePreview, noise_preview
from party_client.pages.leak_report_page import leak_report_page
from party_client.pages.markup import Markup
from party_client.pages.noise_picture import DRAWN_MOST, noise_picture
from protos.formats.agreement import Agreement
from protos.plan import compile_query
from protos.privacy import mean_sum_column
from protos.privacy.tails import reach_of
from tests.privacy_world import BANK, DECLARED, SELECTED, SHOP, agreement, asking
from tests.unit.party_client.test_pages import TAGS, Parsed
from tests.unit.party_client.written_agreement import NOISY, write

NOW = datetime(2026, 7, 1, tzinfo=UTC)
SQL = (
    "SELECT c.region AS region, COUNT(*) AS n, COUNT(DISTINCT c.email) AS people, SUM(p.amount) AS total, "
    "AVG(p.amount) AS mean FROM customers AS c JOIN payments AS p ON c.email = p.email GROUP BY c.region"
)
EVERYTHING = agreement(asking(SQL), privacy=(SHOP, BANK))


def previewed(agreed: Agreement = EVERYTHING, *, rows: int = 100) -> NoisePreview:
    (query,) = agreed.queries
    found = noise_preview(agreed, query, compile_query(agreed, query), rows=rows)
    assert found is not None
    return found


def test_every_noisy_column_in_its_own_unit() -> None:
    (query,) = EVERYTHING.queries
    noise = compile_query(EVERYTHING, query).noise
    assert noise is not None
    columns = {column.column: column for column in previewed(rows=400).agreed.columns}
    assert {name: column.kind for name, column in columns.items()} == {
        "n": "rows",
        "people": "units",
        "total": "sum",
        "mean": "mean",
    }
    cents = noise.plan.column("total").noise
    total = columns["total"]
    assert total.standard_deviation == pytest.approx(math.sqrt(cents.variance) / 100)
    assert total.half_width_95 == (reach_of(cents, Fraction(1, 40)) - 1) / 100
    assert total.expected == 400 * 50  # the middle of 0 to 100
    assert total.relative_95 == pytest.approx(total.half_width_95 / total.expected)
    sums = noise.plan.column(mean_sum_column("mean")).noise
    assert columns["mean"].standard_deviation == pytest.approx(math.sqrt(sums.variance) / 400 / 100)
    assert columns["mean"].expected == 50


def test_a_larger_group_has_the_same_error_and_a_smaller_relative_one() -> None:
    small, large = previewed(rows=50).agreed.columns[0], previewed(rows=5_000).agreed.columns[0]
    assert small.half_width_95 == large.half_width_95
    assert small.relative_95 == pytest.approx(100 * (large.relative_95 or 0))


def test_other_epsilons_are_those_that_could_be_agreed_on() -> None:
    found = previewed()
    assert [choice.factor for choice in found.choices] == [0.25, 0.35, 0.5, 0.7, 1, 1.4, 2, 2.8, 4]
    errors = [choice.columns[0].half_width_95 for choice in found.choices]
    assert errors == sorted(errors, reverse=True)
    assert next(choice for choice in found.choices if choice.factor == 1) == found.agreed
    halved = replace(EVERYTHING, privacy=(replace(SHOP, epsilon="1"), replace(BANK, epsilon="2")))
    half = next(choice for choice in found.choices if choice.factor == 0.5)
    assert half.columns == previewed(halved).agreed.columns
    assert [(cost.owner, cost.epsilon) for cost in half.costs] == [("shop", 1.0), ("bank", 2.0)]
    most = replace(EVERYTHING, privacy=(replace(SHOP, epsilon="20"), replace(BANK, epsilon="20")))
    assert [choice.factor for choice in previewed(most).choices] == [0.25, 0.35, 0.5, 0.7, 1]


def test_the_table_marks_the_agreed_budget() -> None:
    rows = choice_rows(previewed())
    assert [row[0] for row in rows] == ["0.5, 1", "1, 2", "2, 4  (agreed)", "4, 8", "8, 16"]


def test_selected_groups_have_a_floor_and_declared_ones_a_number() -> None:
    declared, selected = previewed(), previewed(agreement(asking(SQL, SELECTED)))
    assert (declared.cells, declared.agreed.floors) == (3, ())
    (floor,) = selected.agreed.floors
    assert selected.cells is None
    assert 1 < floor.least_units < floor.surely_units
    assert 0 < floor.delta <= 1e-6


def test_exact_results_have_no_preview() -> None:
    agreed = agreement(asking(noise=None), privacy=())
    (query,) = agreed.queries
    assert noise_preview(agreed, query, compile_query(agreed, query)) is None


def test_the_command_prints_it_from_the_text_and_from_what_was_compiled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toml = write(tmp_path, NOISY)
    assert main(["agreement", "preview", str(toml), "--expect", "500"]) == 0
    text = capsys.readouterr().out
    assert "in a group of 500" in text
    assert "one run costs airline 20 % of its budget of epsilon 2" in text
    assert "always 3 declared groups" in text
    compiled = tmp_path / "flights.agreement"
    save_agreement(compiled, compile_toml(toml))
    assert main(["agreement", "preview", str(compiled), "--query", "delay_by_wind", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["expected_rows"] == 100
    (query,) = facts["queries"]
    assert [column["column"] for column in query["agreed"]["columns"]] == ["flights", "mean_delay"]
    assert facts["budgets"][0]["owner"] == "airline"


@pytest.mark.parametrize(
    ("changes", "options", "said"),
    [
        ({}, (), "no query of this agreement has noise"),
        ({}, ("--query", "delay_by_wind"), "the results of delay_by_wind are exact"),
        (NOISY, ("--query", "nothing"), "there is no query nothing"),
        ({**NOISY, "max_runs = 5\n": "max_runs = 5\n"}, (), "airline has a privacy budget"),
    ],
)
def test_where_there_is_nothing_to_say_it_says_why(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, str],
    options: tuple[str, ...],
    said: str,
) -> None:
    assert main(["agreement", "preview", str(write(tmp_path, changes)), *options]) == 1
    assert said in capsys.readouterr().err


def test_check_and_show_have_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    valid = {"valid_from = 2026": "valid_from = 2020", "valid_until = 2027": "valid_until = 2099"}
    compiled = tmp_path / "flights.agreement"
    save_agreement(compiled, compile_toml(write(tmp_path, {**NOISY, **valid})))
    assert main(["agreement", "check", str(compiled)]) == 0
    text = capsys.readouterr().out
    for words in ("Privacy budgets, for all runs", "How far off one run will be", "With other budgets"):
        assert words in text
    assert "a figure with fewer is left blank" not in text
    assert main(["agreement", "check", str(compiled), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["privacy"][0]["runs_shared"] == 5
    assert facts["queries"][0]["noise"]
    assert facts["report"]["queries"][0]["noise"]["agreed"]["columns"]
    assert main(["agreement", "show", str(compiled)]) == 0
    text = capsys.readouterr().out
    assert "Privacy budget of airline" in text
    assert "values of GROUP BY expression 1: 0, 1, 2" in text
    assert "tailnum: at least a noisy 10 behind any row" in text


def page_of(agreed: Agreement) -> str:
    agreed = replace(agreed, valid_from_s=0, valid_until_s=4 * 10**9)
    return leak_report_page(leak_report(check(agreed, now=NOW, roots=TrustedRoots.aws())))


def test_the_page_says_it_with_a_picture() -> None:
    parsed = Parsed(page_of(EVERYTHING))
    shown = " ".join("".join(parsed.text).split())
    assert parsed.open == []
    assert set(parsed.tags) <= TAGS
    ids = [value for name, value in parsed.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert "Error of query q under smaller and larger budgets" in shown
    assert "Illustration with made-up groups" not in shown  # that is about exact thresholds
    assert all(sentence in shown for sentence in ("epsilon counts twice", "2, 4 (agreed)", "noise is added"))


def test_a_picture_has_a_curve_for_each_column_and_labels_of_the_agreed_error() -> None:
    found = previewed()
    drawn = Parsed(noise_picture(found).text)
    assert drawn.tags.count("path") == len(found.agreed.columns)
    agreed = figure(found.agreed.columns[0].half_width_95)
    assert f"± {agreed}" in drawn.text
    assert isinstance(noise_picture(found), Markup)


def test_many_columns_are_drawn_up_to_a_number() -> None:
    counts = ", ".join(f"COUNT(*) AS n{number}" for number in range(DRAWN_MOST + 2))
    many = agreement(asking(f"SELECT {counts} FROM customers AS c", replace(DECLARED, domains=())))
    assert Parsed(noise_picture(previewed(many)).text).tags.count("path") == DRAWN_MOST
    assert f"the first {DRAWN_MOST} of {DRAWN_MOST + 2} columns" in page_of(many)
