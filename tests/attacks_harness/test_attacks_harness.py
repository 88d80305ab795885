"""The attacks work where no rule holds, and what `docs/attacks.md` says of an ordinary agreement is so."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.attacks_harness.agreements import STRICTNESSES, rules_off, rules_on
from tests.attacks_harness.attack import Attack
from tests.attacks_harness.catalogue import ATTACKS
from tests.attacks_harness.measure import Rate, rate
from tests.attacks_harness.population import BASELINE, draw
from tests.attacks_harness.run import markdown
from tests.meta.repository import ROOT

PAGE: Final = Path("docs/attacks.md")
FIGURE: Final = re.compile(r"\d\.\d\d \[\d\.\d\d, \d\.\d\d\]")
SURE_TRIALS: Final = 8
"""An exact attack is always right: one mistake is too many. A coin passes once in 256."""
TRIALS: Final = 40
ADVANTAGE_AT_MOST: Final = 0.2
"""Of an attack that the rules stop. What is left is what shares of the agreed statistics say of anybody."""
FALSE_POSITIVE_RATE: Final = 1e-6
STOPPED: Final = [attack for attack in ATTACKS if attack.is_stopped]
NOT_STOPPED: Final = [attack for attack in ATTACKS if not attack.is_stopped]


def too_often(trials: int, success: float, false_positive_rate: float) -> int:
    """So many right guesses or more have at most this probability if each is right with `success`."""
    tail, right = 0.0, trials + 1
    while right:
        more = math.comb(trials, right - 1) * success ** (right - 1) * (1 - success) ** (trials - right + 1)
        if tail + more > false_positive_rate:
            break
        tail, right = tail + more, right - 1
    return right


def test_too_often() -> None:
    assert too_often(10, 0.5, 1 / 1024) == 10
    assert too_often(10, 0.5, 11 / 1024) == 9
    assert too_often(TRIALS, BASELINE + ADVANTAGE_AT_MOST, FALSE_POSITIVE_RATE) <= TRIALS


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_without_rules_the_attack_is_always_right(attack: Attack, tmp_path: Path) -> None:
    found = rate(attack, rules_off, trials=SURE_TRIALS, seed=1, state=tmp_path)
    assert found.right == SURE_TRIALS


@pytest.mark.parametrize("attack", STOPPED, ids=lambda attack: attack.name)
def test_rules_stop_the_attack(attack: Attack, tmp_path: Path) -> None:
    found = rate(attack, rules_on, trials=TRIALS, seed=2, state=tmp_path)
    assert found.right < too_often(TRIALS, BASELINE + ADVANTAGE_AT_MOST, FALSE_POSITIVE_RATE)


@pytest.mark.parametrize("attack", NOT_STOPPED, ids=lambda attack: attack.name)
def test_what_the_page_says_is_not_stopped_is_not(attack: Attack, tmp_path: Path) -> None:
    """A rule that stops it is good news, which the page has to tell."""
    found = rate(attack, rules_on, trials=SURE_TRIALS, seed=2, state=tmp_path)
    assert found.right == SURE_TRIALS


def test_the_attacker_does_not_know_the_secret() -> None:
    for attack in ATTACKS:
        population = draw("a seed", attack.secret)
        assert population.target.number not in attack.knowledge(population).ill
        assert len({draw(str(seed), attack.secret).secret for seed in range(20)}) == 2


def test_trials_follow_from_the_seed(tmp_path: Path) -> None:
    first, again = (rate(STOPPED[0], rules_on, trials=8, seed=3, state=tmp_path) for _ in range(2))
    assert first == again


def test_interval_is_wilsons() -> None:
    low, high = Rate(8, 10).interval
    assert (round(low, 3), round(high, 3)) == (0.490, 0.943)
    assert round(Rate(10, 10).interval[0], 3) == 0.722


def rows_of_the_page() -> list[list[str]]:
    lines = (ROOT / PAGE).read_text(encoding="utf-8").splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if FIGURE.search(line)]


def test_the_page_has_the_attacks_of_the_harness() -> None:
    rows = rows_of_the_page()
    assert [row[0] for row in rows] == [attack.name for attack in ATTACKS]
    for attack, row in zip(ATTACKS, rows, strict=True):
        column = dict(zip(STRICTNESSES, row[3:], strict=False))["rules on"]
        assert (float(column[:4]) < BASELINE + ADVANTAGE_AT_MOST) == attack.is_stopped


def test_the_page_tells_of_every_attack() -> None:
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    for attack in ATTACKS:
        assert f"**{attack.name[0].upper()}{attack.name[1:]}**" in text


def test_command() -> None:
    command = [sys.executable, "-m", "tests.attacks_harness.run", "--trials", "1", "--json"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    attacks = json.loads(done.stdout)["attacks"]
    assert attacks.keys() == {attack.name for attack in ATTACKS}
    for columns in attacks.values():
        assert columns.keys() == STRICTNESSES.keys()
        assert columns["rules off"]["right"] == columns["rules off"]["trials"] == 1


def test_table_of_the_command_is_that_of_the_page() -> None:
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    rates = {attack.name: dict.fromkeys(STRICTNESSES, Rate(199, 200)) for attack in ATTACKS}
    header, _, *rows = markdown(rates)
    assert header in text
    assert [row.split(" | ")[:3] for row in rows] == [
        row.split(" | ")[:3] for row in text.splitlines() if FIGURE.search(row)
    ]
    assert rows[0].endswith("| 0.99 [0.97, 1.00] | 0.99 [0.97, 1.00] | +0.49 |"), rows[0]
