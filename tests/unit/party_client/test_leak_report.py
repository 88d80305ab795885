"""What the leak report says of reach, of what shows, of runs, of flows and of grants; from the plan alone."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from party_client.agreements import check, compile_toml
from party_client.attestation import TrustedRoots
from party_client.cli.leak_report_text import report_facts
from party_client.leak_report import LeakReport, QueryReport, leak_report
from party_client.leak_report.flow import FlowColumn
from protos.formats.agreement import Agreement
from tests.unit.party_client.written_agreement import write

NOW = datetime(2026, 7, 1, tzinfo=UTC)
FLIGHTS_ROWS, WEATHER_ROWS = 1_000_000, 100_000
MANY = {'unique = ["hour"]\n': "", "max_runs = 5\n": "max_runs = 5\nmany_to_many = true\n"}
NO_CHOICE = {
    "WHERE f.year >= $min_year\n": "",
    '[[queries.parameters]]\nname = "min_year"\nlow = 1950\nhigh = 2013\n': "",
}


def reported(agreement: Agreement) -> LeakReport:
    return leak_report(check(agreement, now=NOW, roots=TrustedRoots.aws()))


def written(folder: Path, changes: dict[str, str] | None = None) -> QueryReport:
    (query,) = reported(compile_toml(write(folder, changes))).queries
    return query


def reach(query: QueryReport) -> dict[str, tuple[int, int, int, int]]:
    return {
        stake.dataset: (
            stake.fan_out.row_reaches_rows,
            stake.fan_out.unit_has_rows,
            stake.fan_out.unit_reaches_rows,
            stake.fan_out.unit_reaches_groups,
        )
        for stake in query.stakes
    }


def test_a_unique_key_bounds_how_far_one_row_reaches(tmp_path: Path) -> None:
    assert reach(written(tmp_path)) == {
        "flights": (1, FLIGHTS_ROWS, FLIGHTS_ROWS, FLIGHTS_ROWS),
        "weather": (FLIGHTS_ROWS, 1, FLIGHTS_ROWS, 1),  # groups are made of weather's columns alone
    }


def test_many_to_many_multiplies(tmp_path: Path) -> None:
    both = FLIGHTS_ROWS * WEATHER_ROWS
    assert reach(written(tmp_path, MANY)) == {
        "flights": (WEATHER_ROWS, FLIGHTS_ROWS, both, both),
        "weather": (FLIGHTS_ROWS, WEATHER_ROWS, both, WEATHER_ROWS),
    }


def test_an_owners_bound_on_rows_of_one_unit_holds_after_joins(tmp_path: Path) -> None:
    bounded = {**MANY, "threshold = 10\n": "threshold = 10\nmax_rows_per_unit = 7\n"}
    query = written(tmp_path, bounded)
    assert reach(query)["flights"] == (7, FLIGHTS_ROWS, 7, 7)
    assert any("lets 7 rows of one tailnum" in why for why in query.stakes[0].fan_out.because)


def test_one_row_that_meets_one_bounded_unit_is_bounded_too(tmp_path: Path) -> None:
    changes = {"threshold = 24\n": "threshold = 24\nmax_rows_per_unit = 9\n", **MANY}
    assert reach(written(tmp_path, changes))["flights"][0] == 9


def test_groups_with_few_possible_values_bound_the_rows_of_the_result(tmp_path: Path) -> None:
    changes = {
        "w.wind AS wind": "CASE WHEN w.wind > 10 THEN 'strong' ELSE 'light' END AS wind",
        "GROUP BY w.wind": "GROUP BY 1",
    }
    assert reach(written(tmp_path, changes))["flights"][3] == 3  # and NULL


def test_a_query_without_groups_has_one_row(tmp_path: Path) -> None:
    changes = {
        "w.wind AS wind, COUNT(*) AS flights, AVG(f.delay)": "AVG(f.delay)",
        "GROUP BY w.wind\n": "",
    }
    query = written(tmp_path, changes)
    assert {groups for *_, groups in reach(query).values()} == {1}
    assert any("An empty result therefore says" in item.sentence for item in query.observations)


def test_what_runs_add_up_to(tmp_path: Path) -> None:
    budget = written(tmp_path).budget
    assert (budget.runs, budget.choices, budget.different_results) == (5, 64, 5)
    assert {series.name: series.points for series in budget.series} == {
        "runs left": ((0, 5), (1, 4), (2, 3), (3, 2), (4, 1), (5, 0)),
        "different results": ((0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (5, 5)),
        "pairs to subtract": ((0, 0), (1, 0), (2, 1), (3, 3), (4, 6), (5, 10)),
    }
    assert any("10 pairs of them" in said and "fewer than 24 units" in said for said in budget.sentences)


def test_without_choices_every_run_of_one_enclave_is_the_same(tmp_path: Path) -> None:
    budget = written(tmp_path, NO_CHOICE).budget
    assert (budget.runs, budget.choices, budget.different_results) == (5, 1, 1)
    assert any("shows the same rows" in said for said in budget.sentences)
    assert not any("subtract" in said for said in budget.sentences)


def test_many_runs_are_a_curve_of_few_points(tmp_path: Path) -> None:
    changes = {"max_runs = 5": "max_runs = 900_000", "max_runs = 10\n": "max_runs = 900_000\n"}
    for series in written(tmp_path, changes).budget.series:
        assert len(series.points) == 25
        assert (series.points[0][0], series.points[-1][0]) == (0, 900_000)


def test_windows_and_shared_runs_are_said(tmp_path: Path) -> None:
    changes = {"max_runs = 5\n": "max_runs = 50\nper_day = 2\n"}
    said = " ".join(written(tmp_path, changes).budget.sentences)
    assert "at most 2 in any 24 hours" in said
    assert "there may be 10 in one enclave" in said


def test_where_a_state_goes_on_nothing_is_said_to_be_of_one_enclave(tmp_path: Path) -> None:
    kms = 'kms = { account = "111122223333", region = "eu-central-1", role = "enclave" }'
    state = f'[state]\nparty = "airline"\nwitnesses = ["airline"]\n{kms}\n\n'
    changes = {"max_runs = 5\n": "max_runs = 50\n", "[[queries]]": f"{state}[[queries]]"}
    query = written(tmp_path, changes)
    assert query.budget.within == "in all enclaves of one state"
    assert "there may be 10 in all enclaves of one state" in " ".join(query.budget.sentences)
    (earlier,) = [seen.sentence for seen in query.observations if seen.topic == "earlier releases"]
    assert "also in the enclaves whose state this one took up" in earlier
    assert "another enclave" not in earlier


def test_every_use_of_a_column_is_in_the_flow(tmp_path: Path) -> None:
    changes = {"AVG(f.delay)": "AVG(CASE WHEN f.year > 2000 THEN f.delay END)"}
    query = written(tmp_path, changes)
    shown = {column for step in query.flow.steps for column in step.columns}
    assert shown == {FlowColumn(use.dataset, use.column) for use in query.check.uses}
    assert {step.kind for step in query.flow.steps} == {"join", "filter", "group", "aggregate"}
    (average,) = [step for step in query.flow.steps if step.output == "mean_delay"]
    assert FlowColumn("flights", "delay") in average.columns
    assert [item.others for item in query.flow.datasets] == [2, 0]  # tailnum and crew


def test_a_group_that_is_not_shown_is_in_the_flow(tmp_path: Path) -> None:
    query = written(tmp_path, {"w.wind AS wind, ": ""})
    (hidden,) = [step for step in query.flow.steps if step.kind == "group"]
    assert (hidden.columns, hidden.output) == ((FlowColumn("weather", "wind"),), "")


def test_grants_say_which_queries_need_them(tmp_path: Path) -> None:
    flights, weather = reported(compile_toml(write(tmp_path))).datasets
    found = {
        column.column: {grant.use: grant.queries for grant in column.grants} for column in flights.columns
    }
    assert found == {
        "tailnum": {"count_distinct": ()},  # granted for nothing
        "hour": {"join": ("delay_by_wind",)},
        "year": {"filter": ("delay_by_wind",)},
        "delay": {"avg": ("delay_by_wind",)},
        "crew": {},
    }
    assert [(column.column, column.is_unit, column.is_key) for column in weather.columns] == [
        ("hour", True, True),
        ("wind", False, False),
    ]
    assert flights.columns[3].grants[0].rule == "airline lets flights.delay be used for avg"


def test_an_opt_out_list_is_in_flow_and_grants(tmp_path: Path) -> None:
    listed = """
[[datasets]]
id = "optouts"
owner = "airline"
privacy_unit = "tailnum"
threshold = 2
max_rows = 10
max_bytes = 1000
[datasets.columns]
tailnum = { type = "text", uses = ["opt_out"] }

[[queries]]"""
    rule = 'threshold = 10\nopt_out = { dataset = "optouts", column = "tailnum" }'
    report = reported(compile_toml(write(tmp_path, {"threshold = 10": rule, "\n[[queries]]": listed})))
    (query,) = report.queries
    assert [item.dataset for item in query.flow.datasets] == ["flights", "weather", "optouts"]
    assert query.flow.steps[0].kind == "opt_out"
    assert report.datasets[2].columns[0].grants[0].queries == ("delay_by_wind",)


@pytest.mark.parametrize(
    ("topic", "seen_by", "said"),
    [
        ("suppression", ("analyst", "coordinator"), "fewer than 24 units"),
        ("blank figures", ("analyst",), "fewer than 24 units"),
        ("order", ("analyst",), "nothing about the order"),
        ("size of the result", ("coordinator",), "4,096, 8,192"),
        ("size of the result", ("coordinator",), "at most 170 rows"),  # three values of 8 bytes
        ("time", ("coordinator",), "a whole number of 1 s"),
        ("receipt", ("analyst", "coordinator"), "not sealed"),
    ],
)
def test_what_shows_and_to_whom(tmp_path: Path, topic: str, seen_by: tuple[str, ...], said: str) -> None:
    found = [item for item in written(tmp_path).observations if item.topic == topic]
    assert [item.seen_by for item in found] == [seen_by]
    assert said in found[0].sentence


def test_without_ticks_durations_show(tmp_path: Path) -> None:
    (time,) = [
        item
        for item in written(tmp_path, {"max_runs = 10\n": "max_runs = 10\ntick_s = 0\n"}).observations
        if item.topic == "time"
    ]
    assert "not rounded" in time.sentence


def test_a_refused_query_has_no_account_and_the_others_have(tmp_path: Path) -> None:
    agreement = compile_toml(write(tmp_path))
    (query,) = agreement.queries
    refused = replace(query, id="all_delays", sql="SELECT f.delay AS delay FROM flights AS f")
    report = reported(replace(agreement, queries=(query, refused)))
    assert [found.check.id for found in report.queries] == ["delay_by_wind"]
    assert report.query("all_delays") is None


def test_json_has_all_of_it(tmp_path: Path) -> None:
    facts = json.loads(json.dumps(report_facts(reported(compile_toml(write(tmp_path))))))
    (query,) = facts["queries"]
    assert set(query) == {"id", "stakes", "observations", "budget", "flow", "noise"}
    assert query["noise"] is None
    assert query["stakes"][0]["fan_out"]["unit_has_rows"] == FLIGHTS_ROWS
    assert query["stakes"][0]["uses"][0]["rule"] == "airline lets flights.delay be used for avg"
    assert facts["datasets"][0]["columns"][0]["grants"][0]["queries"] == []
