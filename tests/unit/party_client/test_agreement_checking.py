"""What `check` tells a person before signing: complete, from the plan, and honest about what is left."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from party_client.agreements import Check, check, compile_toml
from party_client.agreements.checking import QueryCheck
from party_client.agreements.plain_language import parameter_sentence
from party_client.attestation import TrustedRoots
from party_client.attestation.roots import AWS_ROOT_G1_SHA256
from protos.formats.agreement import Agreement
from protos.formats.participants import Release
from protos.formats.query import Parameter
from scenarios.machine.pki import load_or_create_root, root_path
from tests.unit.party_client.written_agreement import write

NOW = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("agreements")


@pytest.fixture(scope="module")
def base(folder: Path) -> Agreement:
    return compile_toml(write(folder))


def checked(agreement: Agreement, roots: TrustedRoots | None = None) -> Check:
    return check(agreement, now=NOW, roots=roots or TrustedRoots.aws())


def only_query(agreement: Agreement) -> QueryCheck:
    (query,) = checked(agreement).queries
    assert query.refusal is None
    return query


def test_every_use_has_its_owner_grant_and_place(base: Agreement) -> None:
    found = {(use.owner, f"{use.dataset}.{use.column}", use.use): use.places for use in only_query(base).uses}
    assert found == {
        ("airline", "flights.delay", "avg"): ("line 1:49",),
        ("airline", "flights.hour", "join"): ("line 2:49",),
        ("airline", "flights.year", "filter"): ("line 3:7",),
        ("weather_service", "weather.hour", "join"): ("line 2:40",),
        ("weather_service", "weather.wind", "group"): ("line 4:10",),
    }


def test_what_leaves_and_to_whom(base: Agreement) -> None:
    query = only_query(base)
    assert query.leaves == (
        "wind (int64): weather.wind, as it is",
        "flights (int64): the number of rows",
        "mean_delay (float64): the average of flights.delay",
    )
    assert (query.run_by, query.receivers, query.max_runs) == (("analyst",), ("analyst",), 5)
    assert query.parameters == ("min_year: a whole number from 1950 to 2013",)


def test_thresholds_say_whose_units_and_the_strictest_number(base: Agreement) -> None:
    counted = [
        (item.owner, item.dataset, item.unit, item.asked_units, item.required_units)
        for item in only_query(base).thresholds
    ]
    assert counted == [
        ("airline", "flights", "tailnum", 10, 24),
        ("weather_service", "weather", "hour", 24, 24),
    ]


def test_runs_are_bounded_by_query_and_by_agreement(base: Agreement) -> None:
    few = replace(base, limits=replace(base.limits, max_runs=2))
    assert only_query(few).max_runs == 2


def test_columns_that_travel_for_nothing_are_named(base: Agreement) -> None:
    flights, weather = checked(base).datasets
    assert flights.unused == ("crew",)
    assert flights.used == ("tailnum", "hour", "year", "delay")  # tailnum is counted for the threshold
    assert weather.unused == ()


def test_query_that_the_enclave_would_refuse_is_reported_with_its_reason(folder: Path) -> None:
    text = {"w.wind AS wind,": "w.wind AS wind, MAX(f.delay) AS worst,"}
    found = checked(compile_toml(write(folder, text, name="refused.toml")))
    (query,) = found.refused
    assert "not output as a maximum" in (query.refusal or "")
    assert 'add use "max" to column delay in dataset flights' in (query.hint or "")
    assert (query.leaves, query.inferences) == ((), ())


MEANT = "threshold = 1\nsingle_units = true"
# (changes to the text, what must be said)
INFERENCES = [
    ({}, "no noise is added"),
    ({}, "distinct values of flights.tailnum, weather.hour"),
    ({}, "fewer than 24 units of some owner"),
    ({}, "Every combination of wind that leaves"),
    ({}, "meets the condition on flights.year"),
    ({}, "One extreme flights.delay can dominate"),
    ({}, "how many records of the joined datasets match"),
    ({}, "64 ways, and there may be 5 runs"),
    ({'receivers = ["analyst"]': 'receivers = ["airline"]'}, "airline receives the result and knows its own"),
    (
        {"threshold = 10": MEANT, "threshold = 24": MEANT},
        "threshold of 1 protects nobody",
    ),
    ({"threshold = 10": "threshold = 3", "threshold = 24": "threshold = 2"}, "threshold of 3 is low"),
    (
        {'uses = ["avg"]': 'uses = ["avg", "min"]', "AVG(f.delay)": "MIN(f.delay)"},
        "The smallest flights.delay of a row is one record's exact value",
    ),
    (
        {'unique = ["hour"]\n': "", "max_runs = 5\n": "max_runs = 5\nmany_to_many = true\n"},
        "one record can be counted many times",
    ),
]


@pytest.mark.parametrize(("changes", "sentence"), INFERENCES, ids=[item[1] for item in INFERENCES])
def test_what_could_still_be_worked_out_is_said(folder: Path, changes: dict[str, str], sentence: str) -> None:
    query = only_query(compile_toml(write(folder, changes, name="inference.toml")))
    assert any(sentence in said for said in query.inferences)


def test_sentences_are_about_what_the_query_has(folder: Path) -> None:
    plain = {
        "w.wind AS wind, COUNT(*) AS flights, AVG(f.delay)": "AVG(f.delay)",
        "WHERE f.year >= $min_year\nGROUP BY w.wind\n": "",
        '[[queries.parameters]]\nname = "min_year"\nlow = 1950\nhigh = 2013\n': "",
    }
    said = " ".join(only_query(compile_toml(write(folder, plain, name="plain.toml"))).inferences)
    for absent in (
        "Every combination",
        "meets the condition",
        "ways",
        "smallest",
        "protects nobody",
        "is low",
    ):
        assert absent not in said
    assert "records of the joined datasets match" not in said


def test_several_queries_over_one_dataset_are_warned_about(base: Agreement) -> None:
    (query,) = base.queries
    twice = replace(base, queries=(query, replace(query, id="again")))
    warning = "Queries delay_by_wind, again all read flights"
    assert any(warning in said for said in checked(twice).warnings)
    assert not any("all read" in said for said in checked(base).warnings)


def test_release_under_aws_simulated_given_and_unknown_roots(base: Agreement, tmp_path: Path) -> None:
    simulated = load_or_create_root(tmp_path)
    given = TrustedRoots.from_pem(root_path(tmp_path).read_bytes(), name="given")
    (root,) = given

    def kinds(root_sha256: bytes, roots: TrustedRoots) -> tuple[str, bool]:
        release: Release = replace(base.releases[0], root_sha256=root_sha256)
        found = checked(replace(base, releases=(release,)), roots)
        return found.releases[0].kind, any(found.releases[0].kind in said for said in found.warnings)

    assert simulated.certificate == root.certificate
    assert kinds(AWS_ROOT_G1_SHA256, TrustedRoots.aws()) == ("AWS", False)
    assert kinds(root.sha256, TrustedRoots.aws() | given) == ("SIMULATED", True)
    assert kinds(root.sha256, TrustedRoots.aws()) == ("UNKNOWN ROOT", True)


def test_validity_and_phases_are_part_of_it(base: Agreement) -> None:
    assert checked(base).validity.state == "valid"
    late = check(base, now=datetime(2028, 1, 1, tzinfo=UTC), roots=TrustedRoots.aws())
    assert late.validity.state == "expired"
    assert any("phases" in said for said in checked(replace(base, logged="phases")).warnings)


def test_expressions_read_like_the_query(folder: Path) -> None:
    changes = {
        "w.wind AS wind": "CASE WHEN w.wind > 10 THEN 'it''s strong' ELSE NULL END AS wind",
        "GROUP BY w.wind": "GROUP BY 1",
    }
    query = only_query(compile_toml(write(folder, changes, name="case.toml")))
    assert query.leaves[0].startswith("wind (text): CASE WHEN (weather.wind > 10) THEN 'it''s strong' ")


def test_choices_are_listed_up_to_a_few() -> None:
    assert parameter_sentence(Parameter("band", choices=("a", "b"))) == "band: one of 'a', 'b'"
    many = Parameter("band", choices=tuple("abcdefghij"))
    assert parameter_sentence(many) == "band: one of 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h' and 2 more"


PER_UNIT = """
WITH spend AS (SELECT tailnum, AVG(delay) AS usual, COUNT(*) AS flown FROM flights
  WHERE year >= $min_year GROUP BY tailnum)
SELECT flown, COUNT(*) AS aircraft FROM spend GROUP BY flown
"""


def test_derived_tables_are_told_in_words_with_the_place_of_every_use(folder: Path) -> None:
    text = {
        """
SELECT w.wind AS wind, COUNT(*) AS flights, AVG(f.delay) AS mean_delay
FROM flights AS f JOIN weather AS w ON w.hour = f.hour
WHERE f.year >= $min_year
GROUP BY w.wind
""": PER_UNIT
    }
    query = only_query(compile_toml(write(folder, text, name="derived.toml")))
    assert query.derived == (
        "spend: one row for each flights.tailnum of airline, from flights, of those where "
        "(flights.year >= $min_year), with tailnum: flights.tailnum; usual: the average of flights.delay; "
        "flown: the number of its rows",
    )
    places = {(use.column, use.use): use.places for use in query.uses}
    assert places == {
        ("delay", "avg"): ("line 1:36",),
        ("tailnum", "count_distinct"): ("line 1:23",),
        ("year", "filter"): ("line 2:9",),
    }
    assert any("meets its condition on flights.year" in sentence for sentence in query.inferences)
    assert any("about one single flights.tailnum of airline" in sentence for sentence in query.inferences)


def test_windows_and_pools_are_told_in_words(folder: Path) -> None:
    uses = {
        """
SELECT w.wind AS wind, COUNT(*) AS flights, AVG(f.delay) AS mean_delay
FROM flights AS f JOIN weather AS w ON w.hour = f.hour
WHERE f.year >= $min_year
GROUP BY w.wind
""": """
SELECT COUNT(*) AS n FROM (SELECT hour, LAG(delay) OVER (PARTITION BY tailnum ORDER BY hour, delay) AS d
  FROM flights WHERE year > $min_year UNION ALL SELECT hour, wind FROM weather) AS p WHERE d > 3
""",
        'uses = ["avg"]': 'uses = ["filter", "order"]',
        'hour = { type = "timestamp", uses = ["join"] }\nyear': (
            'hour = { type = "timestamp", uses = ["order"] }\nyear'
        ),
        'uses = ["group"]': 'uses = ["filter"]',
    }
    query = only_query(compile_toml(write(folder, uses, name="pool.toml")))
    assert query.derived == (
        "p: rows of flights, of those where (flights.year > $min_year), with hour: flights.hour; d: "
        "flights.delay of the row 1 before among the rows with the same flights.tailnum, in the order of "
        "flights.hour, flights.delay",
        "p: rows of weather, with hour: weather.hour; wind: weather.wind",
        "p pools rows of flights and of weather: each counts for its own dataset only",
    )
