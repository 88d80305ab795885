"""`concordat rehearse`, whole: a simulated machine, a coordinator, everybody's client, verified receipts."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from party_client.agreements import compile_toml
from party_client.agreements.agreement_file import save_agreement
from scenarios.role import PACKAGES
from tests.unit.party_client.written_agreement import noisy_with, write

REHEARSE = (sys.executable, "-m", "party_client.cli.main", "rehearse")


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [*REHEARSE, *map(str, arguments)]
    return subprocess.run(command, cwd=PACKAGES, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def agreement(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two queries, valid at no time that any clock of today shows."""
    folder = tmp_path_factory.mktemp("agreement")
    compiled = compile_toml(write(folder, {"2026-01-01": "2096-01-01", "2027-01-01": "2097-01-01"}))
    (query,) = compiled.queries
    total = replace(query, id="total", sql="SELECT COUNT(*) AS n FROM flights AS f", parameters=())
    path = folder / "flights.agreement"
    save_agreement(path, replace(compiled, queries=(query, total)))
    return path


@pytest.fixture(scope="module")
def rehearsed(agreement: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, str]:
    """The answer as JSON, and the page."""
    page = tmp_path_factory.mktemp("page") / "rehearsal.html"
    ended = run(agreement, "--rows", 3_000, "--json", "--html", page)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout), page.read_text(encoding="utf-8")


def test_every_query_ran_on_the_real_path(rehearsed: tuple[Any, str]) -> None:
    said, _ = rehearsed
    assert [query["query"] for query in said["queries"]] == ["delay_by_wind", "total"]
    assert all(query["receipt_verified"] for query in said["queries"])
    assert said["rows"] == {"flights": 3_000, "weather": 3_000}
    by_wind, total = said["queries"]
    assert by_wind["parameters"] == {"min_year": 1981}
    assert by_wind["rows"] == len(by_wind["examples"]) or by_wind["rows"] > 5
    assert (total["rows"], total["examples"]) == (1, [{"n": 3_000}])


def test_some_groups_were_held_back_and_some_left(rehearsed: tuple[Any, str]) -> None:
    by_wind = rehearsed[0]["queries"][0]
    assert 0 < by_wind["rows"] < 8
    held = {item["rule"]: item["groups_at_most"] for item in by_wind["held_back"]}
    # Never less than the threshold.
    assert held["fewer than 24 distinct flights.tailnum of airline"] == 100
    assert by_wind["result_bucket_bytes"] == 4_096


def test_it_says_that_nothing_of_it_is_real(rehearsed: tuple[Any, str]) -> None:
    said, page = rehearsed
    assert (said["synthetic"], said["simulated"]) == (True, True)
    assert "SYNTHETIC, SIMULATED." in page
    assert [change.partition(":")[0] for change in said["changes"]] == ["identities", "release", "validity"]
    assert said["digest"] != said["rehearsed"]
    for query in said["queries"]:
        assert f"Query {query['query']}" in page
    assert "<script" not in page


def test_text_is_for_people_and_the_same_seed_gives_the_same_rows(
    agreement: Path, rehearsed: tuple[Any, str]
) -> None:
    ended = run(agreement, "--rows", 3_000, "--query", "delay_by_wind")
    assert ended.returncode == 0, ended.stderr
    assert "SYNTHETIC data in a SIMULATED enclave" in ended.stdout
    assert "Query total" not in ended.stdout
    for row in rehearsed[0]["queries"][0]["examples"]:
        assert ("-" if row["mean_delay"] is None else str(row["mean_delay"])) in ended.stdout
    assert "airline verifies the enclave and sends 3,000 rows of flights" in ended.stderr


def test_a_query_that_is_none_is_wrong_usage(agreement: Path) -> None:
    ended = run(agreement, "--query", "everything")
    assert ended.returncode == 2
    assert "there is no query 'everything'; there are delay_by_wind, total" in ended.stderr


def test_a_query_that_the_enclave_would_refuse_is_not_rehearsed(agreement: Path, tmp_path: Path) -> None:
    refused = compile_toml(write(tmp_path, {"AVG(f.delay)": "MAX(f.delay)"}))
    save_agreement(tmp_path / "refused.agreement", refused)
    ended = run(tmp_path / "refused.agreement")
    assert ended.returncode == 1
    assert "not output as a maximum" in ended.stderr


def test_a_query_with_noise_is_rehearsed_and_said_to_be_noisy(tmp_path: Path) -> None:
    text = noisy_with(query_noise='noise = { keys = "declared", domains = [[1, 2, 3, 90]] }')
    save_agreement(tmp_path / "noisy.agreement", compile_toml(write(tmp_path, text)))
    ended = run(tmp_path / "noisy.agreement", "--rows", 3_000, "--json")
    assert ended.returncode == 0, ended.stderr
    (query,) = json.loads(ended.stdout)["queries"]
    assert [row["wind"] for row in query["examples"]] == [1, 2, 3, 90]  # all declared, whoever is in them
    assert set(query["noise"]) == {"flights", "mean_delay"}
    assert {item["groups_at_most"] for item in query["held_back"]} == {None}
    assert any(row["flights"] for row in query["examples"])
