"""Owners' rules from their TOML to what `check`, `show` and `diff` say of them."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from party_client.agreements import Check, check, compile_toml, diff
from party_client.agreements.errors import AgreementTextError
from party_client.attestation import TrustedRoots
from party_client.cli.agreement_text import render_agreement, render_report
from party_client.leak_report import leak_report
from protos.formats.rules import Clamp, OptOut, Rules
from tests.unit.party_client.written_agreement import write

NOW = datetime(2026, 6, 1, tzinfo=UTC)
OF_FLIGHTS = "max_rows = 1_000_000\n"
OF_DELAY = 'uses = ["avg"] }'
EXCLUDED = """\
[[datasets]]
id = "excluded"
owner = "weather_service"
privacy_unit = "tailnum"
threshold = 2
max_rows = 100
max_bytes = 10_000
analyses = []
[datasets.columns]
tailnum = { type = "text", uses = ["opt_out"] }

[[queries]]
"""
EVERY_RULE = {
    OF_FLIGHTS: OF_FLIGHTS
    + """\
analyses = ["custom"]
only_queries = ["delay_by_wind"]
joined_with = ["weather"]
forbidden = ["crew"]
receivers = ["analyst", "airline"]
max_rows_per_unit = 30
min_rows = 2_000
min_units = 150
opt_out = { dataset = "excluded", column = "tailnum" }
""",
    OF_DELAY: 'uses = ["avg"], clamp = { low = -60, high = "600" } }',
    "[[queries]]\n": EXCLUDED,
    "max_runs = 5\n": "max_runs = 5\nper_day = 1\nper_week = 2\nper_month = 4\n",
}


def checked(folder: Path, changes: dict[str, str]) -> Check:
    return check(compile_toml(write(folder, changes)), now=NOW, roots=TrustedRoots.aws())


def test_every_rule_can_be_written(tmp_path: Path) -> None:
    agreement = compile_toml(write(tmp_path, EVERY_RULE))
    flights = agreement.dataset("flights")
    assert flights.rules == Rules(
        analyses=("custom",),
        only_queries=("delay_by_wind",),
        joined_with=("weather",),
        forbidden=("crew",),
        receivers=("airline", "analyst"),
        max_rows_per_unit=30,
        min_rows=2000,
        min_units=150,
        opt_out=OptOut("excluded", "tailnum"),
    )
    assert flights.column("delay").clamp == Clamp("-60", "600")
    assert agreement.dataset("weather").rules == Rules(), "aggregations, and nothing else is said"
    assert agreement.dataset("excluded").rules.analyses == ()
    query = agreement.query("delay_by_wind")
    assert (query.per_day, query.per_week, query.per_month) == (1, 2, 4)


@pytest.mark.parametrize(
    ("kind", "low", "high", "expected"),
    [
        ("int64", "0", "1_000", Clamp("0", "1000")),
        ("decimal(9,2)", "-5", '"99.5"', Clamp("-5.00", "99.50")),
        ("decimal(9,2)", '"-0"', '"1e3"', Clamp("0.00", "1000.00")),
        ("decimal(2,2)", '"0.05"', '"0.99"', Clamp("0.05", "0.99")),
        ("decimal(38,0)", '"-99999999999999999999999999999999999999"', "7", Clamp("-" + "9" * 38, "7")),
    ],
)
def test_a_clamp_is_written_with_the_columns_places(
    tmp_path: Path, kind: str, low: str, high: str, expected: Clamp
) -> None:
    delay = 'delay = { type = "int64", nullable = true, uses = ["avg"] }'
    written = f'delay = {{ type = "{kind}", uses = ["avg"], clamp = {{ low = {low}, high = {high} }} }}'
    agreement = compile_toml(write(tmp_path, {delay: written}))
    assert agreement.dataset("flights").column("delay").clamp == expected


MISTAKES = [
    (OF_FLIGHTS, 'analyses = ["any"]', "got analyses ['any'], expected some of"),
    (OF_FLIGHTS, 'analyses = ["custom", "list"]', "custom stands alone"),
    (OF_FLIGHTS, 'only_queries = ["delay_by_wind"]', 'only_queries is for analyses = ["custom"]'),
    (OF_FLIGHTS, 'analyses = ["custom"]\nonly_queries = ["other"]', "only_queries names ['other']"),
    (OF_FLIGHTS, 'joined_with = ["wether"]', "dataset flights: joined_with names ['wether']"),
    (OF_FLIGHTS, 'forbidden = ["pilot"]', "forbidden names ['pilot'], which are not its columns"),
    (OF_FLIGHTS, 'forbidden = ["tailnum"]', "the privacy unit 'tailnum' cannot be forbidden"),
    (OF_FLIGHTS, 'receivers = ["anna"]', "receivers names ['anna']"),
    (OF_FLIGHTS, "max_rows_per_unit = 0", "max_rows_per_unit: got 0"),
    (OF_FLIGHTS, "min_rows = 1_000_001", "min_rows or min_units is above max_rows"),
    (OF_FLIGHTS, 'opt_out = { dataset = "flights", column = "tailnum" }', "is not another dataset"),
    (OF_FLIGHTS, 'opt_out = { dataset = "weather", column = "rain" }', "weather has no column rain"),
    (OF_FLIGHTS, 'opt_out = { dataset = "weather", column = "wind" }', "wind is int64 (none) and the"),
    (OF_FLIGHTS, 'opt_out = { dataset = "weather" }', "[[datasets]] flights, opt_out: `column` is missing"),
    (OF_FLIGHTS, "opt_out = 5", "`opt_out` is a whole number, expected a table"),
    ("threshold = 10", "threshold = 1", "threshold: got 1, expected 2 to 100000"),
    (OF_DELAY, "clamp = { low = 0.5, high = 1 } }", "column delay, clamp: got '0.5'"),
    (OF_DELAY, 'clamp = { low = "0.5", high = 1 } }', "expected a number of at most 0 decimal places"),
    (OF_DELAY, 'clamp = { low = "x", high = 1 } }', "column delay, clamp: got 'x'"),
    (OF_DELAY, 'clamp = { low = "1e99", high = 1 } }', "column delay, clamp: got '1e99'"),
    (OF_DELAY, "clamp = { low = 2, high = 1 } }", "clamp: low 2 is above high 1"),
    (OF_DELAY, "clamp = { low = 2 } }", "column delay, clamp: `high` is missing"),
    (
        'tailnum = { type = "text", uses = ["count_distinct"] }',
        'tailnum = { type = "text", clamp = {low = 0, high = 1} }',
        "clamp is for int64 and decimal(p,s), got text",
    ),
    ("max_runs = 5\n", "max_runs = 5\nper_day = 0\n", "per_day: got 0"),
]


@pytest.mark.parametrize(("old", "new", "complaint"), MISTAKES, ids=[mistake[2] for mistake in MISTAKES])
def test_mistake_is_named(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    written = f"{old}{new}\n" if old == OF_FLIGHTS else new
    with pytest.raises(AgreementTextError) as caught:
        compile_toml(write(tmp_path, {old: written}))
    assert complaint in caught.value.message


def test_check_says_every_rule(tmp_path: Path) -> None:
    found = checked(tmp_path, EVERY_RULE)
    assert found.refused == ()
    out = io.StringIO()
    render_report(leak_report(found), Console(file=out, width=200))
    render_agreement(found.agreement, Console(file=out, width=200))
    said = " ".join(out.getvalue().split())
    for words in (
        "may be used by the queries delay_by_wind and by no others",
        "is used only where it is inner-joined with weather",
        "no query may mention crew",
        "results go to airline or analyst and to nobody else",
        "at most 30 rows of one tailnum enter a query",
        "no fewer than 2,000 rows and 150 distinct tailnum",
        "rows whose tailnum stands in excluded.tailnum never enter a query",
        "delay counts as -60 where it is less and as 600 where it is more",
        "may be used for no query",
        "at most 1 in any 24 hours; at most 2 in any 7 days; at most 4 in any 30 days",
        "the average of flights.delay (clamped)",
        "with more than 30 rows, only the first ones in the order of all columns count",
        "before and after somebody opts out of flights, differ by them",
        "That flights has to be joined does not hide who is in it",
    ):
        assert said.count(words) >= 1, words
    assert "values are not bounded" not in said
    assert found.datasets[2].unused == (), "the opt-out list is used"


@pytest.mark.parametrize(
    ("clamp", "words"), [(", clamp = { low = 0, high = 9 }", "within its range"), ("", "not bounded")]
)
def test_a_case_around_clamped_values_is_bounded(tmp_path: Path, clamp: str, words: str) -> None:
    """What is compared in its condition is not added up, and needs no clamp."""
    changes = {
        OF_DELAY: f'uses = ["avg"]{clamp} }}',
        "AVG(f.delay)": "AVG(CASE WHEN f.year > 1990 THEN f.delay END)",
    }
    (query,) = checked(tmp_path, changes).queries
    (said,) = [sentence for sentence in query.inferences if "all other" in sentence]
    assert words in said


LIST = {
    "SELECT w.wind AS wind, COUNT(*) AS flights, AVG(f.delay) AS mean_delay\n": "SELECT DISTINCT f.crew\n",
    "GROUP BY w.wind\n": "",
    'crew = { type = "text" }': 'crew = { type = "text", uses = ["output"] }',
    "max_rows = 1_000_000\n": 'max_rows = 1_000_000\nanalyses = ["list"]\n',
    "max_rows = 100_000\n": 'max_rows = 100_000\nanalyses = ["aggregation", "list"]\n',
}


def test_check_says_what_a_list_shows(tmp_path: Path) -> None:
    (query,) = checked(tmp_path, LIST).queries
    assert (query.refusal, query.analysis) == (None, "list")
    assert query.leaves == ("crew (text): flights.crew, as it is",)
    assert "No threshold hides a single unit in a list that leaves" in " ".join(query.inferences)
    assert ("flights.crew", "output") in {(f"{use.dataset}.{use.column}", use.use) for use in query.uses}
    out = io.StringIO()
    render_report(leak_report(checked(tmp_path, LIST)), Console(file=out, width=200))
    assert "The whole list leaves only with all of these in it" in out.getvalue()


def test_a_refusal_names_rule_owner_and_what_to_change(tmp_path: Path) -> None:
    del (changes := dict(LIST))["max_rows = 100_000\n"]
    (query,) = checked(tmp_path, changes).queries
    assert query.refusal is not None
    assert "query of the kind list; weather_service allows for weather: aggregation" in query.refusal
    assert query.hint == "only weather_service can add 'list' to `analyses` of weather"


# (rule of flights before, after, words, effect)
DIFFERENCES = [
    ('analyses = ["aggregation"]', 'analyses = ["aggregation", "list"]', "gained list", "looser"),
    ('analyses = ["aggregation"]', "analyses = []", "lost aggregation", "stricter"),
    ('analyses = ["aggregation"]', 'analyses = ["custom"]', "gained custom; lost aggregation", ""),
    ("", 'joined_with = ["weather"]', "joined with one of: none → weather", "stricter"),
    ('joined_with = ["weather"]', "joined_with = []", "lost weather", "stricter"),
    ('joined_with = ["weather"]', "", "weather → none", "looser"),
    ("", 'forbidden = ["crew"]', "forbidden: gained crew", "stricter"),
    ('forbidden = ["crew"]', "", "forbidden: lost crew", "looser"),
    ("", 'receivers = ["analyst"]', "who receives: none → analyst", "stricter"),
    ('receivers = ["analyst"]', 'receivers = ["analyst", "airline"]', "gained airline", "looser"),
    ("", "max_rows_per_unit = 9", "rows of one unit at most: none → 9", "stricter"),
    ("max_rows_per_unit = 9", "max_rows_per_unit = 10", "9 → 10", "looser"),
    ("min_rows = 9", "min_rows = 10", "rows at least: 9 → 10", "stricter"),
    ("min_units = 9", "min_units = 8", "privacy units at least: 9 → 8", "looser"),
    ("", "single_units = true", "threshold of 1 meant: no → yes", "looser"),
]


@pytest.mark.parametrize(("before", "after", "words", "effect"), DIFFERENCES)
def test_difference_is_named(tmp_path: Path, before: str, after: str, words: str, effect: str) -> None:
    one, other = (
        compile_toml(write(tmp_path, {OF_FLIGHTS: f"{OF_FLIGHTS}{rule}\n"})) for rule in (before, after)
    )
    (change,) = diff(one, other)
    assert change.words.startswith("dataset flights, ")
    assert words in change.words
    assert change.effect == effect


@pytest.mark.parametrize(
    ("old", "new", "words", "effect"),
    [
        (OF_DELAY, OF_DELAY, "clamp: low -60, high 600 → none", "looser"),
        (OF_DELAY, 'uses = ["avg"], clamp = { low = -90, high = 600 } }', "'-60' → '-90'", "looser"),
        (OF_DELAY, 'uses = ["avg"], clamp = { low = -60, high = 9 } }', "'600' → '9'", "stricter"),
        ("max_runs = 5\n", "max_runs = 5\nper_day = 1\nper_week = 2\n", "in any 30 days: 4 → none", "looser"),
    ],
)
def test_difference_of_a_clamp_or_a_window(
    tmp_path: Path, old: str, new: str, words: str, effect: str
) -> None:
    one = compile_toml(write(tmp_path, EVERY_RULE))
    (change,) = diff(one, compile_toml(write(tmp_path, {**EVERY_RULE, old: new})))
    assert words in change.words
    assert change.effect == effect
