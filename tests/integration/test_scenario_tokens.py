"""The scenario tokens, played from making keys to comparing what the broker found, and its data."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from scenarios.role import PACKAGES
from scenarios.tokens import data, expected
from scenarios.tokens.acts import TOKENS
from tests.integration.test_scenarios import processes_in

ROWS = 1_500
PLAY = (sys.executable, "-m", "party_client.cli.main", "scenario", "tokens", "--rows", str(ROWS))


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The folder of a play that has come to its end, and what it says about itself."""
    folder = tmp_path_factory.mktemp("tokens") / "kept"
    command = [*PLAY, "--keep", str(folder), "--json"]
    ended = subprocess.run(command, cwd=PACKAGES, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return folder, json.loads(ended.stdout)


def notes(played: tuple[Path, Any], title: str) -> list[str]:
    (step,) = [step for step in played[1]["steps"] if step["title"].startswith(title)]
    return [note["what"] for note in step["notes"]]


def test_the_broker_finds_what_the_addresses_in_clear_have(played: tuple[Path, Any]) -> None:
    _, said = played
    assert said["matches"] is True
    assert said["simulated"] is True
    assert sum(row["people"] for row in said["rows"]) > ROWS / 4


def test_a_stranger_to_the_key_and_too_many_guesses_are_refused(played: tuple[Path, Any]) -> None:
    assert "broker may not use it" in notes(played, "The broker wants")[0]
    assert notes(played, "The insurer wants") == ["refused: no-uses-left"]


def test_token_files_have_tokens_and_what_was_kept_and_no_address(played: tuple[Path, Any]) -> None:
    folder, _ = played
    for who, kept in (("shop", "segment"), ("insurer", "product")):
        tokens = pd.read_parquet(folder / who / "tokens.parquet")
        assert list(tokens.columns) == ["token", kept]
        assert tokens["token"].dropna().str.fullmatch("[0-9a-f]{32}").all()
    assert pd.read_parquet(folder / "shop" / "tokens.parquet")["token"].isna().sum() > 0
    assert not (folder / "broker" / "tokens.parquet").exists()


def test_nothing_is_left_running(played: tuple[Path, Any]) -> None:
    assert processes_in(played[0]) == []


def test_the_same_rows_give_the_same_data_and_half_of_it_is_shared() -> None:
    one, two = data.tables(1_000), data.tables(1_000)
    assert all(one[name].equals(two[name]) for name in one)
    customers = expected.normalised(one["customers"].to_pandas()["email"].dropna())
    members = expected.normalised(one["members"].to_pandas()["mail"])
    assert 400 < len(set(customers) & set(members)) < 600


def test_the_answer_is_of_no_parameters() -> None:
    with pytest.raises(ValueError, match="expected none"):
        TOKENS.answer({}, {"least": 1})
