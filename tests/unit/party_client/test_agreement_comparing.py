"""Differences between agreements: each is found, named in words, and judged looser or stricter."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from party_client.agreements import compile_toml, diff
from protos.formats.agreement import Agreement
from protos.formats.participants import Participant
from tests.unit.party_client.written_agreement import AIRLINE, ANALYST, write


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("agreements")


@pytest.fixture(scope="module")
def base(folder: Path) -> Agreement:
    return compile_toml(write(folder))


# (what stands there, what instead, path, words, effect)
CHANGES = [
    (
        "threshold = 10",
        "threshold = 5",
        "datasets.flights.threshold",
        "dataset flights, threshold: 10 → 5",
        "looser",
    ),
    ("threshold = 10", "threshold = 50", "datasets.flights.threshold", "10 → 50", "stricter"),
    ("max_runs = 5", "max_runs = 500", "queries.delay_by_wind.max_runs", "runs at most: 5 → 500", "looser"),
    ("max_runs = 10", "max_runs = 9", "limits.max_runs", "limits, runs at most: 10 → 9", "stricter"),
    ("valid_until = 2027", "valid_until = 2028", "valid_until_s", "→ 2028-01-01 00:00:00 UTC", "looser"),
    ("valid_from = 2026", "valid_from = 2025", "valid_from_s", "valid from: 2026-01-01", "looser"),
    (
        'uses = ["avg"]',
        'uses = ["avg", "max"]',
        "datasets.flights.columns.delay.uses",
        "gained max",
        "looser",
    ),
    ('uses = ["avg"]', "uses = []", "datasets.flights.columns.delay.uses", "lost avg", "stricter"),
    (
        'uses = ["avg"]',
        'uses = ["max"]',
        "datasets.flights.columns.delay.uses",
        "gained max; lost avg",
        "looser",
    ),
    (
        'receivers = ["analyst"]',
        'receivers = ["analyst", "airline"]',
        "queries.delay_by_wind.receivers",
        "who receives: gained airline",
        "looser",
    ),
    ("low = 1950", "low = 1900", "queries.delay_by_wind.parameters.min_year.low", "1,950 → 1,900", "looser"),
    (
        "high = 2013",
        "high = 2000",
        "queries.delay_by_wind.parameters.min_year.high",
        "2,013 → 2,000",
        "stricter",
    ),
    (
        "max_runs = 5\n",
        "max_runs = 5\nmany_to_many = true\n",
        "queries.delay_by_wind.many_to_many",
        "no → yes",
        "looser",
    ),
    ("[limits]", 'logged = "phases"\n[limits]', "logged", "'nothing' → 'phases'", "looser"),
    ("nullable = true", "nullable = false", "datasets.flights.columns.delay.nullable", "yes → no", ""),
    ('crew = { type = "text" }\n', "", "datasets.flights.columns.crew", "column crew: is gone", ""),
    ("11" * 48, "13" * 48, "releases.test.pcr1", "pcr1: 1111111111111111… → 1313131313131313…", ""),
    ('name = "test"', 'name = "other"', "releases.other", "release other: is new", "looser"),
    ('name = "test"', 'name = "other"', "releases.test", "release test: is gone", "stricter"),
    ('"Delays by wind"', '"Winds"', "title", "title: 'Delays by wind' → 'Winds'", ""),
    ("f.year >= $min_year", "f.year > $min_year", "queries.delay_by_wind.sql", "SQL: is another text", ""),
    ('id = "delay_by_wind"', 'id = "wind"', "queries.wind", "query wind: is new", "looser"),
]


@pytest.mark.parametrize("case", CHANGES, ids=[case[3] for case in CHANGES])
def test_change_is_named(folder: Path, base: Agreement, case: tuple[str, str, str, str, str]) -> None:
    old, new, path, words, effect = case
    other = compile_toml(write(folder, {old: new}, name="b.toml"))
    changes = {change.path: change for change in diff(base, other)}
    assert words in changes[path].words
    assert changes[path].effect == effect


def test_other_sql_is_shown_line_by_line(folder: Path, base: Agreement) -> None:
    (change,) = diff(base, compile_toml(write(folder, {"f.year >= $": "f.year > $"}, name="b.toml")))
    assert "-WHERE f.year >= $min_year" in change.lines
    assert "+WHERE f.year > $min_year" in change.lines


def test_another_key_and_another_member_are_seen(base: Agreement) -> None:
    stranger = replace(AIRLINE.public.participant(), signing_key=bytes(32))
    (change,) = diff(base, replace(base, parties=(stranger, base.parties[1])))
    assert change.words.startswith("party airline, signing key: ")
    member = Participant("registry", "Registry", bytes(32), ANALYST.public.receiving_key)
    (change,) = diff(base, replace(base, parties=(*base.parties, member)))
    assert (change.path, change.words) == ("parties.registry", "party registry: is new")


def test_order_is_part_of_the_agreement(base: Agreement) -> None:
    (change,) = diff(base, replace(base, parties=base.parties[::-1]))
    assert change.words == "parties: another order: weather_service, airline"


def test_releases_of_one_name_are_told_apart(base: Agreement) -> None:
    (release,) = base.releases
    two = replace(base, releases=(release, replace(release, pcr0=b"\x20" * 48)))
    other = replace(base, releases=(release, replace(release, pcr0=b"\x21" * 48)))
    assert [change.effect for change in diff(two, other)] == ["stricter", "looser"]


def variants(base: Agreement) -> st.SearchStrategy[Agreement]:
    """Agreements that differ from `base` in any of several places, or in none."""
    people = base.parties
    flights, weather = base.datasets
    (query,) = base.queries
    (release,) = base.releases
    fields: dict[str, st.SearchStrategy[Any]] = {
        "id": st.sampled_from(["flight_delays", "uses", "threshold"]),
        "title": st.text("ab\n", min_size=1, max_size=3),
        "valid_until_s": st.integers(base.valid_from_s + 1, 2**40),
        "parties": st.permutations(people).map(tuple),
        "analysts": st.just(base.analysts),
        "datasets": st.sampled_from(
            [
                (flights, weather),
                (weather, flights),
                (flights, weather, replace(flights, id="uses")),
                (replace(flights, threshold=99), weather),
                (replace(flights, columns=flights.columns[::-1]), weather),
                (replace(flights, unique=("tailnum", "hour")), weather),
            ]
        ),
        "queries": st.sampled_from(
            [
                (query,),
                (query, replace(query, id="choices")),
                (replace(query, parameters=()),),
                (replace(query, sql="SELECT 1"),),
                (replace(query, run_by=("airline", "analyst")),),
            ]
        ),
        "releases": st.sampled_from(
            [(release,), (release, replace(release, pcr0=b"\x22" * 48)), (replace(release, name="run_by"),)]
        ),
        "logged": st.sampled_from(["nothing", "phases"]),
    }
    return st.fixed_dictionaries(fields).map(lambda values: replace(base, **values))


@given(data=st.data())
def test_no_difference_that_the_digest_covers_stays_unseen(base: Agreement, data: st.DataObject) -> None:
    one, other = data.draw(variants(base)), data.draw(variants(base))
    changes = diff(one, other)
    assert bool(changes) == (one.digest() != other.digest())
    assert all(change.words and change.path for change in changes)
