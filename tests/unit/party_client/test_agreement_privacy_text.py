"""Privacy budgets and noise from the TOML that people write: exact numbers, and sets in any order."""

from __future__ import annotations

from pathlib import Path

import pytest

from party_client.agreements import compile_toml, diff
from party_client.agreements.errors import AgreementTextError
from protos.formats.privacy import PrivacyEntry, QueryNoise
from tests.unit.party_client.written_agreement import write

QUERY = 'run_by = ["analyst"]\n'
RELEASES = "[[releases]]\n"
ENTRY = '[[privacy]]\nowner = "airline"\nepsilon = "1.5"\ndelta = "0.000001"\nnoise = "gaussian"\n'
DECLARED = 'noise = { keys = "declared", domains = [[3, 1, 2]], weights = { flights = 3, mean_delay = 1 } }\n'


def changes(entry: str = ENTRY, noise: str = DECLARED) -> dict[str, str]:
    return {RELEASES: entry + RELEASES, QUERY: noise + QUERY}


def test_budgets_and_noise_from_text(tmp_path: Path) -> None:
    agreement = compile_toml(write(tmp_path, changes()))
    assert agreement.privacy == (PrivacyEntry("airline", "1.5", "0.000001", "gaussian"),)
    assert agreement.queries[0].noise == QueryNoise("declared", ((1, 2, 3),), (("flights", 3),))


@pytest.mark.parametrize("keys", ['keys = "selected"', 'keys = "selected", domains = [], weights = {}'])
def test_selected_keys_need_no_more(tmp_path: Path, keys: str) -> None:
    agreement = compile_toml(write(tmp_path, changes(noise=f"noise = {{ {keys} }}\n")))
    assert agreement.queries[0].noise == QueryNoise("selected")


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (changes(entry=ENTRY.replace('"1.5"', "1.5")), "`epsilon` is a number with a decimal point"),
        (changes(entry=ENTRY.replace("0.000001", "1e-6")), "delta: got '1e-6', expected a decimal such as"),
        (changes(entry=ENTRY.replace('noise = "gaussian"\n', "")), "`noise` is missing"),
        (changes(entry=ENTRY.replace("gaussian", "normal")), "got noise 'normal'"),
        (changes(entry=ENTRY + ENTRY), "privacy of 'airline' stands twice"),
        (changes(entry=ENTRY.replace("airline", "analyst")), "owner 'analyst' is not a party"),
        (changes(noise='noise = "declared"\n'), "`noise` is text in quotes, expected a table"),
        (changes(noise='noise = { keys = "declared" }\n'), "`domains` is missing"),
        (changes(noise='noise = { keys = "declared", domains = [1] }\n'), "has a whole number in it"),
        (changes(noise='noise = { keys = "declared", domains = [[1, "a"]] }\n'), "all texts, all whole"),
        (changes(noise='noise = { keys = "declared", domains = [[1.5]] }\n'), "all texts, all whole"),
        (changes(noise='noise = { keys = "declared", domains = [[]] }\n'), "all texts, all whole"),
        (changes(noise='noise = { keys = "declared", domains = [[1, 1]] }\n'), "names a value twice"),
        (changes(noise='noise = { keys = "selected", weights = { n = "2" } }\n'), "must be a whole number"),
        (changes(noise='noise = { keys = "selected", weights = { n = 0 } }\n'), "weight of n"),
        (changes(noise='noise = { keys = "selected", domain = [] }\n'), "did you mean `domains`"),
    ],
)
def test_a_mistake_is_told_where_it_is(tmp_path: Path, made: dict[str, str], message: str) -> None:
    with pytest.raises(AgreementTextError, match=message):
        compile_toml(write(tmp_path, made))


def test_a_difference_in_noise_is_seen(tmp_path: Path) -> None:
    before = compile_toml(write(tmp_path, changes()))
    other = 'noise = { keys = "declared", domains = [[1, 2]], weights = { mean_delay = 2 } }\n'
    after = compile_toml(write(tmp_path, changes(noise=other, entry=ENTRY.replace('"1.5"', '"3"'))))
    assert {change.path for change in diff(before, after)} == {
        "queries.delay_by_wind.noise.domains",
        "queries.delay_by_wind.noise.weights.flights",
        "queries.delay_by_wind.noise.weights.mean_delay",
        "privacy.airline.epsilon",
    }
