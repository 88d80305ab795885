"""Made-up data keeps what the agreement promises, meets what queries ask for, and is the same every time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from party_client.agreements import compile_toml
from party_client.identity import Identity
from protos.formats.agreement import Agreement
from protos.formats.participants import Release
from protos.plan import compile_query
from scenarios.rehearsal.stand_in import stand_in
from scenarios.rehearsal.synthetic import tables
from tests.unit.party_client.written_agreement import noisy_with, write

ROWS = 4_000
EVERY_TYPE = {
    'crew = { type = "text" }': """crew = { type = "text", nullable = true, uses = ["filter"] }
late = { type = "bool", uses = ["group"] }
day = { type = "date", uses = ["filter"] }
fare = { type = "decimal(12,2)", nullable = true, uses = ["sum"] }
rate = { type = "float64" }
tag = { type = "hex128" }""",
    "WHERE f.year >= $min_year": (
        "WHERE f.year >= $min_year AND f.crew IN ('red', 'blue') AND f.day < '2025-03-01'"
    ),
    "GROUP BY w.wind\n": "GROUP BY w.wind, f.late\n",
    "AVG(f.delay)": "SUM(f.fare) AS fares, AVG(f.delay)",
}


def made(agreement: Agreement, rows: int = ROWS, seed: int = 0) -> dict[str, Any]:
    plans = [compile_query(agreement, query) for query in agreement.queries]
    return tables(agreement, plans, rows=rows, seed=seed)


@pytest.fixture(scope="module")
def agreement(tmp_path_factory: pytest.TempPathFactory) -> Agreement:
    return compile_toml(write(tmp_path_factory.mktemp("agreement"), EVERY_TYPE))


@pytest.fixture(scope="module")
def data(agreement: Agreement) -> dict[str, Any]:
    return made(agreement)


def test_every_column_has_the_agreed_type(agreement: Agreement, data: dict[str, Any]) -> None:
    assert {field.name: str(field.type) for field in data["flights"].schema} == {
        "tailnum": "string",
        "hour": "timestamp[us]",
        "year": "int64",
        "delay": "int64",
        "crew": "string",
        "late": "bool",
        "day": "date32[day]",
        "fare": "decimal128(12, 2)",
        "rate": "double",
        "tag": "string",  # 32 digits, as people write them
    }
    assert set(pc.utf8_length(data["flights"]["tag"]).to_pylist()) == {32}


def test_nulls_stand_where_they_may_and_nowhere_else(agreement: Agreement, data: dict[str, Any]) -> None:
    for dataset in agreement.datasets:
        for column in dataset.columns:
            assert (data[dataset.id][column.name].null_count > 0) == column.nullable


def test_unique_is_kept(data: dict[str, Any]) -> None:
    hours = data["weather"]["hour"]
    assert pc.count_distinct(hours).as_py() == len(hours) == ROWS


def test_several_columns_are_unique_together(tmp_path: Path) -> None:
    changes = {
        'unique = ["hour"]': 'unique = ["hour", "wind"]',
        "max_runs = 5\n": "max_runs = 5\nmany_to_many = true\n",
    }
    weather = made(compile_toml(write(tmp_path, changes)))["weather"]
    assert len(weather.group_by(["hour", "wind"]).aggregate([])) == weather.num_rows == ROWS


def test_joined_columns_share_most_of_their_values_and_not_all(data: dict[str, Any]) -> None:
    found = pc.is_in(data["flights"]["hour"], value_set=data["weather"]["hour"].combine_chunks())
    assert 0.6 < pc.mean(found).as_py() < 0.95


def test_a_unit_has_several_rows_and_some_have_many(data: dict[str, Any]) -> None:
    counts = data["flights"].group_by("tailnum").aggregate([([], "count_all")])["count_all"]
    assert pc.min(counts).as_py() <= 2
    assert pc.max(counts).as_py() >= 20


def test_groups_are_of_very_different_size(data: dict[str, Any]) -> None:
    counts = sorted(data["weather"].group_by("wind").aggregate([([], "count_all")])["count_all"].to_pylist())
    assert len(counts) == 8
    assert counts[0] < ROWS / 50 < ROWS / 3 < counts[-1]


def test_values_fall_on_both_sides_of_what_queries_compare_with(data: dict[str, Any]) -> None:
    flights = data["flights"]
    conditions: list[Any] = [
        pc.greater_equal(flights["year"], pa.scalar(1981)),  # the middle of what a run may choose
        pc.is_in(flights["crew"], value_set=pa.array(["red", "blue"])),
        pc.less(flights["day"], pa.scalar(datetime(2025, 3, 1, tzinfo=UTC).date())),
    ]
    for condition in conditions:
        assert 0.05 < pc.mean(condition).as_py() < 0.95
    assert {"red", "blue"} <= set(flights["crew"].to_pylist())


def test_the_same_seed_gives_the_same_tables_and_another_others(
    agreement: Agreement, data: dict[str, Any]
) -> None:
    assert all(table.equals(data[name]) for name, table in made(agreement).items())
    assert not any(table.equals(data[name]) for name, table in made(agreement, seed=1).items())


def test_another_column_changes_no_other(agreement: Agreement, data: dict[str, Any]) -> None:
    flights, weather = agreement.datasets
    fewer = replace(flights, columns=tuple(c for c in flights.columns if c.name != "rate"))
    again = made(replace(agreement, datasets=(fewer, weather)))["flights"]
    assert all(again[name].equals(data["flights"][name]) for name in again.column_names)


def test_sizes_are_those_that_the_agreement_allows(agreement: Agreement) -> None:
    flights, weather = agreement.datasets
    small = replace(
        agreement, datasets=(replace(flights, max_rows=70), replace(weather, max_bytes=48 * 2 * 9))
    )
    assert {name: table.num_rows for name, table in made(small).items()} == {"flights": 70, "weather": 9}
    least = replace(flights, rules=replace(flights.rules, min_rows=5_000))
    assert made(replace(agreement, datasets=(least, weather)))["flights"].num_rows == 5_000


def test_opt_outs_are_of_units_that_are_there(tmp_path: Path) -> None:
    listed = """
[[datasets]]
id = "optouts"
owner = "airline"
privacy_unit = "tailnum"
threshold = 2
unique = ["tailnum"]
max_rows = 1000
max_bytes = 100_000
[datasets.columns]
tailnum = { type = "text", uses = ["opt_out"] }

[[queries]]"""
    rule = 'threshold = 10\nopt_out = { dataset = "optouts", column = "tailnum" }'
    data = made(compile_toml(write(tmp_path, {"threshold = 10": rule, "\n[[queries]]": listed})))
    assert data["optouts"].num_rows == ROWS // 40
    found = pc.is_in(data["optouts"]["tailnum"], value_set=data["flights"]["tailnum"].combine_chunks())
    assert pc.sum(found).as_py() > 0
    out = pc.is_in(data["flights"]["tailnum"], value_set=data["optouts"]["tailnum"].combine_chunks())
    assert 0 < pc.mean(out).as_py() < 0.95


def test_the_stand_in_has_the_same_rules_and_queries_and_other_people(agreement: Agreement) -> None:
    release = Release("here", bytes([1] * 48), bytes([2] * 48), bytes([3] * 48), bytes([4] * 32))
    played = stand_in(agreement, release, now=datetime(2026, 7, 1, tzinfo=UTC))
    assert (played.agreement.datasets, played.agreement.queries) == (agreement.datasets, agreement.queries)
    assert played.agreement.releases == (release,)
    assert [person.id for person in played.agreement.parties] == [person.id for person in agreement.parties]
    keys = {person.signing_key for person in (*agreement.parties, *agreement.analysts)}
    assert not keys & {identity.public.signing_key for identity in played.identities.values()}
    assert all(isinstance(identity, Identity) for identity in played.identities.values())
    assert [change.partition(":")[0] for change in played.changes] == ["identities", "release"]


def test_the_stand_in_says_what_else_had_to_change(agreement: Agreement) -> None:
    release = agreement.releases[0]
    twice = (agreement.queries[0], replace(agreement.queries[0], id="again"))
    tight = replace(agreement, queries=twice, limits=replace(agreement.limits, max_runs=1))
    now = datetime(2020, 1, 1, tzinfo=UTC)
    played = stand_in(tight, release, now=now)
    assert played.agreement.valid_from_s < now.timestamp() < played.agreement.valid_until_s
    assert played.agreement.limits.max_runs == 2
    said = [change.partition(":")[0] for change in played.changes]
    assert said == ["identities", "release", "validity", "limits"]


def test_groups_that_a_query_declares_have_rows_and_so_have_others(tmp_path: Path) -> None:
    declared = noisy_with(query_noise='noise = { keys = "declared", domains = [[70, 90]] }')
    wind = pc.unique(made(compile_toml(write(tmp_path, declared)))["weather"]["wind"]).to_pylist()
    assert {70, 90} < set(wind)
    assert len(set(wind)) > 2
