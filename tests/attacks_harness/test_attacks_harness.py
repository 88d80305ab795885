"""The attacks work where no rule holds, and what `docs/attacks.md` says of an ordinary agreement is so."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from tests.attacks_harness.agreements import ORDINARY_BUDGET, STRICTNESSES, Strictness, rules_and_noise
from tests.attacks_harness.attack import Attack
from tests.attacks_harness.attacks.all_others import ALL_OTHERS
from tests.attacks_harness.attacks.fan_out import FAN_OUT
from tests.attacks_harness.catalogue import ATTACKS
from tests.attacks_harness.measure import Rate, is_ever_wrong, rate
from tests.attacks_harness.population import BASELINE, draw
from tests.attacks_harness.promise import at_most, promised
from tests.attacks_harness.run import markdown
from tests.meta.repository import ROOT

OFF, ON, NOISE, _ = STRICTNESSES.values()
PAGE: Final = Path("docs/attacks.md")
FIGURE: Final = re.compile(r"\d\.\d\d \[\d\.\d\d, \d\.\d\d\]")
PAGE_TRIALS: Final = re.compile(r"(\d+) trials of each attack(?:, (\d+) of each with noise)?")
FEW: Final = 3
"""Of an exact attack, which is always right. Several attacks that had become coins would not all pass."""
SURE_TRIALS: Final = 8
"""One mistake is too many. A coin passes once in 256."""
TRIALS: Final = 40
NOISY_TRIALS: Final = 15
ADVANTAGE_AT_MOST: Final = 0.2
"""Of an attack that the rules stop. What is left is what shares of the agreed statistics say of anybody."""
FALSE_POSITIVE_RATE: Final = 1e-6
STOPPED: Final = [attack for attack in ATTACKS if attack.is_stopped]
NOT_STOPPED: Final = [attack for attack in ATTACKS if not attack.is_stopped]
WITH_NOISE: Final = [attack for attack in ATTACKS if attack.with_noise is not None]


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
    assert not is_ever_wrong(attack, OFF, trials=FEW, seed=1, state=tmp_path)


@pytest.mark.parametrize("attack", STOPPED, ids=lambda attack: attack.name)
def test_rules_stop_the_attack_from_being_always_right(attack: Attack, tmp_path: Path) -> None:
    assert is_ever_wrong(attack, ON, trials=TRIALS, seed=2, state=tmp_path)


@pytest.mark.parametrize("attack", NOT_STOPPED, ids=lambda attack: attack.name)
def test_what_the_page_says_is_not_stopped_is_not(attack: Attack, tmp_path: Path) -> None:
    """A rule that stops it is good news, which the page has to tell."""
    assert not is_ever_wrong(attack, ON, trials=FEW, seed=2, state=tmp_path)


@pytest.mark.parametrize("attack", WITH_NOISE, ids=lambda attack: attack.name)
def test_noise_stops_the_attack_from_being_always_right(attack: Attack, tmp_path: Path) -> None:
    """So many in a row are right with one in a million, if each is right as often as the budget allows."""
    trials = math.ceil(math.log(FALSE_POSITIVE_RATE) / math.log(at_most(attack, ORDINARY_BUDGET)))
    assert is_ever_wrong(attack, NOISE, trials=trials, seed=2, state=tmp_path)


@pytest.mark.slow
def test_without_rules_every_attack_is_right_in_many_trials(tmp_path: Path) -> None:
    for attack in ATTACKS:
        assert not is_ever_wrong(attack, OFF, trials=SURE_TRIALS, seed=3, state=tmp_path), attack.name
        if not attack.is_stopped:
            assert not is_ever_wrong(attack, ON, trials=SURE_TRIALS, seed=3, state=tmp_path), attack.name


@pytest.mark.slow
def test_stopped_attacks_have_little_advantage_in_many_trials(tmp_path: Path) -> None:
    for attack in STOPPED:
        found = rate(attack, ON, trials=TRIALS, seed=3, state=tmp_path)
        limit = too_often(TRIALS, BASELINE + ADVANTAGE_AT_MOST, FALSE_POSITIVE_RATE)
        assert found.right < limit, attack.name


@pytest.mark.slow
def test_all_attacks_together_are_right_no_more_often_than_the_budget_allows(tmp_path: Path) -> None:
    """Each is bounded, so the number of right guesses is at most that of a coin with the largest bound."""
    right = sum(
        rate(attack, NOISE, trials=NOISY_TRIALS, seed=3, state=tmp_path).right for attack in WITH_NOISE
    )
    most = max(at_most(attack, ORDINARY_BUDGET) for attack in WITH_NOISE)
    assert right < too_often(NOISY_TRIALS * len(WITH_NOISE), most, FALSE_POSITIVE_RATE)


@pytest.mark.slow
def test_the_attacker_reads_through_little_noise(tmp_path: Path) -> None:
    """Else what stops it would be that it cannot read. With epsilon 20 it is right in 98 of 100."""
    budget = replace(ORDINARY_BUDGET, epsilon="20")
    weak = Strictness(rules_and_noise(budget), budget)
    found = rate(ALL_OTHERS, weak, trials=TRIALS, seed=3, state=tmp_path)
    assert TRIALS - found.right < too_often(TRIALS, 0.05, FALSE_POSITIVE_RATE)


def test_the_attacker_does_not_know_the_secret() -> None:
    for attack in ATTACKS:
        population = draw("a seed", attack.secret)
        assert population.target.number not in attack.knowledge(population).ill
        assert len({draw(str(seed), attack.secret).secret for seed in range(20)}) == 2


def test_trials_follow_from_the_seed(tmp_path: Path) -> None:
    first, again = (rate(FAN_OUT, ON, trials=4, seed=3, state=tmp_path) for _ in range(2))
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
        assert float(row[3][:4]) == 1, "with rules off"
        assert (float(row[4][:4]) < BASELINE + ADVANTAGE_AT_MOST) == attack.is_stopped


def test_no_figure_of_the_page_is_above_what_its_budget_allows() -> None:
    found = PAGE_TRIALS.search((ROOT / PAGE).read_text(encoding="utf-8"))
    assert found is not None
    trials = int(found[2] or found[1])
    budgets = [strictness.privacy for strictness in STRICTNESSES.values() if strictness.privacy]
    for attack, row in zip(ATTACKS, rows_of_the_page(), strict=True):
        for budget, success, bounds in zip(budgets, row[5::2], row[6::2], strict=True):
            assert bounds == f"{promised(attack, budget):.2f}, {at_most(attack, budget):.2f}"
            right = round(float(success[:4]) * trials)
            assert right < too_often(trials, at_most(attack, budget), FALSE_POSITIVE_RATE)


def test_the_page_tells_of_every_attack() -> None:
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    for attack in ATTACKS:
        assert f"**{attack.name[0].upper()}{attack.name[1:]}**" in text


def test_command() -> None:
    command = [sys.executable, "-m", "tests.attacks_harness.run", "--trials", "1", "--json"]
    command += ["--attack", ALL_OTHERS.name]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    attacks = json.loads(done.stdout)["attacks"]
    assert attacks.keys() == {ALL_OTHERS.name}
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
    cell = "0.99 [0.97, 1.00]"
    assert rows[0].endswith(f"| {cell} | {cell} | {cell} | 0.88, 0.61 | {cell} | 1.00, 1.00 |"), rows[0]
