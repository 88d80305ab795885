"""What people read about noise before they sign, and that nothing is said that only exact results do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import pytest

from party_client.agreements import Check, check, compile_toml, diff, granting
from party_client.agreements.noisy_queries import selecting_floors
from party_client.agreements.privacy_budgets import chance, odds_factor, percent
from party_client.attestation import TrustedRoots
from party_client.leak_report import LeakReport, leak_report
from party_client.leak_report.flow import Flow
from protos.formats.agreement import Agreement
from protos.formats.privacy import PrivacyEntry
from protos.privacy.tails import tail
from tests.privacy_world import BANK, DECLARED, SHOP, agreement, asking
from tests.privacy_world import SELECTED as SELECTED_KEYS
from tests.unit.party_client.written_agreement import NOISY, SELECTED, noisy_with, write

NOW = datetime(2026, 7, 1, tzinfo=UTC)
OF_EXACT_RESULTS = (
    "Results are exact",
    "exact sum",
    "can compute the last one",
    "held back, within one enclave",
    "rounded up to a power of ten",
    "0, 10, 100",
    "fewer than 24 units",
    "only with 24 units",
)


def checked(agreed: Agreement) -> Check:
    agreed = replace(agreed, valid_from_s=0, valid_until_s=4 * 10**9)
    return check(agreed, now=NOW, roots=TrustedRoots.aws())


def reported(folder: Path, changes: dict[str, str]) -> LeakReport:
    return leak_report(checked(compile_toml(write(folder, changes))))


def everything_said(report: LeakReport) -> str:
    (query,) = report.queries
    flow: Flow = query.flow
    return "\n".join(
        [
            *query.check.leaves,
            *query.check.noise,
            *query.check.inferences,
            *(item.sentence for item in query.observations),
            *query.budget.sentences,
            flow.gate,
            flow.passing,
            *flow.outputs,
            *report.check.warnings,
        ]
    )


def test_a_budget_says_what_it_bounds_for_one_person_and_what_runs_cost(tmp_path: Path) -> None:
    (budget,) = reported(tmp_path, NOISY).check.budgets
    said = " ".join(budget.sentences)
    assert (budget.owner, budget.epsilon, budget.delta, budget.noise) == (
        "airline",
        "2",
        "0.000001",
        "gaussian",
    )
    assert (budget.datasets, budget.queries, budget.runs_shared) == (("flights",), ("delay_by_wind",), 5)
    assert "no exact result of it leaves" in said
    assert "is in the data by a factor of at most 7.4 (that is epsilon 2)" in said
    assert "at most 1 in 1,000,000 (delta)" in said
    assert "one run of delay_by_wind takes 20 %" in said
    assert "fetching a released result again costs nothing" in said
    assert "counted per enclave" in said


def test_what_is_left_after_runs_follows_from_the_cost(tmp_path: Path) -> None:
    (budget,) = reported(tmp_path, NOISY).check.budgets
    (cost,) = budget.costs
    assert [step.runs for step in budget.left] == [0, 1, 2, 3, 4, 5]
    for step in budget.left:
        assert step.part_left == pytest.approx(1 - step.runs * cost.part)
    spent = [step.epsilon for step in budget.left]
    assert spent == sorted(spent)
    assert spent[0] == 0
    assert spent[1] == pytest.approx(cost.epsilon_alone)
    assert 1.9 < spent[-1] <= 2
    assert cost.epsilon_alone > 2 / 5  # gaussian losses add up more slowly than epsilon


def test_losses_of_laplace_noise_are_parts_of_epsilon_and_without_delta_nothing_is_excepted(
    tmp_path: Path,
) -> None:
    (budget,) = reported(tmp_path, noisy_with(noise="laplace", delta="0")).check.budgets
    assert budget.costs[0].epsilon_alone == pytest.approx(2 / 5, rel=1e-6)
    assert not any("(delta)" in sentence for sentence in budget.sentences)


def test_a_budget_that_no_query_charges_says_so() -> None:
    shop, bank = checked(
        agreement(asking("SELECT COUNT(*) AS n FROM customers AS c", ONE), privacy=(SHOP, BANK))
    ).budgets
    assert shop.left
    assert bank.left == ()
    assert any("No query" in sentence for sentence in bank.sentences)


ONE = replace(DECLARED, domains=())


def test_an_owner_that_others_are_stricter_than_is_told_what_it_really_spends() -> None:
    _, bank = checked(agreement(privacy=(SHOP, BANK))).budgets
    assert bank.left[-1].part_left > 0.5
    together = f"together count as {bank.left[-1].epsilon:.2g} of 4"
    assert any(together in sentence for sentence in bank.sentences)


@pytest.mark.parametrize("changes", [NOISY, noisy_with(query_noise=SELECTED)], ids=["declared", "selected"])
def test_nothing_is_said_that_is_only_true_of_exact_results(tmp_path: Path, changes: dict[str, str]) -> None:
    said = everything_said(reported(tmp_path, changes))
    assert [words for words in OF_EXACT_RESULTS if words in said] == []
    assert "flights, mean_delay: off by noise in every row, for airline" in said
    assert "not compared with earlier" in said


def test_the_same_sentences_stand_in_a_report_without_noise(tmp_path: Path) -> None:
    said = everything_said(reported(tmp_path, {}))
    assert "Results are exact" in said
    assert "fewer than 24 units" in said


def test_declared_groups_are_all_shown_and_what_is_not_declared_is_dropped(tmp_path: Path) -> None:
    report = reported(tmp_path, NOISY)
    said = everything_said(report)
    assert "all 3 combinations of the agreed values are shown" in said
    assert "Agreed values of weather.wind: 0, 1, 2." in said
    assert "with any other value, or none, count nowhere" in said
    assert "A row whose noisy number of units is below 24" in said
    assert "is shown without figures" in said
    (rows,) = [item.sentence for item in report.queries[0].observations if item.topic == "number of rows"]
    assert rows == "Always 3, whatever the data is."


def test_selected_groups_say_what_is_missed(tmp_path: Path) -> None:
    report = reported(tmp_path, noisy_with(query_noise=SELECTED))
    noise = report.check.plans["delay_by_wind"].noise
    assert noise is not None
    (floor,) = selecting_floors(noise)
    said = everything_said(report)
    assert f"the noisy number has to be {floor.least:,} or more" in said
    assert f"one with {floor.surely:,} at most 1 in 40 times" in said
    assert "which of the two is not told" in said
    drawn = noise.plan.column(noise.plan.thresholds[0].column).noise
    assert tail(drawn, floor.surely - floor.least + 1) <= Fraction(1, 40)
    assert tail(drawn, floor.surely - floor.least) > Fraction(1, 40)


def test_an_owner_without_a_budget_is_told_that_noise_is_not_for_its_units(tmp_path: Path) -> None:
    said = everything_said(reported(tmp_path, NOISY))
    assert "weather_service has no privacy budget: the noise is not made for its units" in said


def test_every_run_with_noise_is_another_result_and_takes_from_the_budget(tmp_path: Path) -> None:
    (query,) = reported(tmp_path, NOISY).queries
    assert query.budget.different_results == 5
    series = {item.name: item.points for item in query.budget.series}
    assert set(series) == {"runs left", "privacy budget left, %"}
    assert series["privacy budget left, %"] == ((0, 100), (1, 80), (2, 60), (3, 40), (4, 20), (5, 0))


def test_data_that_is_read_with_and_without_noise_is_pointed_out() -> None:
    alone = asking("SELECT COUNT(*) AS n FROM branches AS b", None, id="branches_alone")
    other = asking(
        "SELECT COUNT(*) AS n FROM payments AS p JOIN branches AS b ON p.branch = b.branch", ONE, id="joined"
    )
    warnings = " ".join(checked(agreement(alone, other, privacy=(BANK,))).warnings)
    assert "branches is read with noise by joined and without by branches_alone" in warnings
    assert "Runs and privacy budgets are counted per enclave" in warnings


def test_rules_say_that_nothing_exact_leaves(tmp_path: Path) -> None:
    flights, weather = reported(tmp_path, NOISY).check.datasets
    assert any(
        "every figure is noisy, within the privacy budget of airline" in rule for rule in flights.rules
    )
    assert not any("noisy" in rule for rule in weather.rules)
    (customers, *_) = checked(agreement()).datasets
    assert "a threshold of 1 is meant: noise protects single units" in customers.rules


LARGER = replace(SHOP, epsilon="2.5")
CHANGES = [
    ((SHOP,), (LARGER,), "privacy budget of shop, epsilon: '2' → '2.5'", "looser"),
    ((LARGER,), (SHOP,), "'2.5' → '2'", "stricter"),
    ((replace(SHOP, epsilon="10"),), (replace(SHOP, epsilon="9"),), "'10' → '9'", "stricter"),
    ((SHOP,), (replace(SHOP, delta="0.00001"),), "delta: '0.000001' → '0.00001'", "looser"),
    ((SHOP,), (replace(SHOP, noise="laplace"),), "'gaussian' → 'laplace'", ""),
    ((SHOP, BANK), (SHOP,), "privacy budget of bank: is gone", "looser"),
    ((SHOP,), (SHOP, BANK), "privacy budget of bank: is new", "stricter"),
]


@pytest.mark.parametrize(("before", "after", "words", "effect"), CHANGES)
def test_a_larger_budget_or_none_lets_more_happen(
    before: tuple[PrivacyEntry, ...], after: tuple[PrivacyEntry, ...], words: str, effect: str
) -> None:
    (change,) = diff(agreement(privacy=before), agreement(privacy=after))
    assert words in change.words
    assert change.effect == effect


def test_changes_of_a_querys_noise_are_in_words_whatever_its_outputs_are_called() -> None:
    sql = "SELECT COUNT(*) AS columns, COUNT(*) AS high FROM customers AS c"
    before = agreement(asking(sql, replace(ONE, weights=(("high", 2),))))
    after = agreement(asking(sql, replace(ONE, weights=(("columns", 3), ("high", 5)))))
    changes = {change.path: (change.words, change.effect) for change in diff(before, after)}
    assert changes == {
        "queries.q.noise.weights.columns": ("query q, noise, weights, columns: none → 3", ""),
        "queries.q.noise.weights.high": ("query q, noise, weights, high: 2 → 5", ""),
    }
    (change,) = diff(agreement(asking(noise=DECLARED)), agreement(asking(noise=None)))
    assert (
        change.words == "query q, noise: keys declared, domains ((north, south, west)), weights (none) → none"
    )


def test_grants_say_that_no_grant_makes_an_exact_query_run() -> None:
    closed = agreement(asking(noise=None))
    found = granting(closed)
    assert [item.query for item in found.refused] == ["q"]
    assert "shop has a privacy budget" in found.refused[0].refusal
    assert not found.is_complete
    assert granting(agreement()).refused == ()
    assert granting(agreement(asking(noise=SELECTED_KEYS))).refused == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (odds_factor(Fraction(1, 2)), "1.6"),
        (odds_factor(Fraction(7)), "1,097"),
        (chance(Fraction(1, 10**6)), "1 in 1,000,000"),
        (chance(Fraction(3, 10**7)), "1 in 3,300,000"),
        (chance(Fraction(1, 7)), "1 in 7"),
        (percent(0.125), "12.5 %"),
    ],
)
def test_figures_in_words(text: str, expected: str) -> None:
    assert text == expected
