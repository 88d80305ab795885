"""Runs attacks with rules off, on, and with noise: `python -m tests.attacks_harness.run`."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Final

from tests.attacks_harness.agreements import STRICTNESSES
from tests.attacks_harness.attack import Attack
from tests.attacks_harness.catalogue import ATTACKS
from tests.attacks_harness.measure import Rate, rate
from tests.attacks_harness.population import BASELINE
from tests.attacks_harness.promise import at_most, promised

TRIALS: Final = 200
SEED: Final = 1


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.attacks_harness.run", description=__doc__)
    parser.add_argument("--trials", type=int, default=TRIALS, help="of each attack and strictness")
    parser.add_argument("--seed", type=int, default=SEED, help="the people follow from it")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--attack", action="append", metavar="NAME", help="only this one; may be repeated")
    given = parser.parse_args()
    if given.trials < 1:
        parser.error("--trials: at least 1")
    attacks = [attack for attack in ATTACKS if given.attack is None or attack.name in given.attack]
    if not attacks:
        parser.error(f"--attack: one of {', '.join(attack.name for attack in ATTACKS)}")
    with tempfile.TemporaryDirectory() as folder:
        rates = {
            attack.name: {
                name: rate(attack, strictness, trials=given.trials, seed=given.seed, state=Path(folder))
                for name, strictness in STRICTNESSES.items()
            }
            for attack in attacks
        }
    print(_as_json(rates, given.seed) if given.json else "\n".join(markdown(rates)))


def _as_json(rates: dict[str, dict[str, Rate]], seed: int) -> str:
    attacks = {
        name: {strictness: found.to_json() for strictness, found in columns.items()}
        for name, columns in rates.items()
    }
    return json.dumps({"seed": seed, "baseline": BASELINE, "attacks": attacks}, indent=2)


def markdown(rates: dict[str, dict[str, Rate]]) -> list[str]:
    """The table, as it stands in `docs/attacks.md`."""
    names = [f"{name} | bounds" if strictness.privacy else name for name, strictness in STRICTNESSES.items()]
    lines = [f"| attack | rows | baseline | {' | '.join(names)} |"]
    lines.append("|" + "---|" * lines[0].count(" | ") + "---|")
    for attack in ATTACKS:
        if attack.name in rates:
            cells = [_cell(attack, name, found) for name, found in rates[attack.name].items()]
            rows = ", ".join(map(str, attack.rows))
            lines.append(f"| {attack.name} | {rows} | {BASELINE:.2f} | {' | '.join(cells)} |")
    return lines


def _cell(attack: Attack, strictness: str, found: Rate) -> str:
    low, high = found.interval
    cell = f"{found.success:.2f} [{low:.2f}, {high:.2f}]"
    privacy = STRICTNESSES[strictness].privacy
    if privacy is None:
        return cell
    return f"{cell} | {promised(attack, privacy):.2f}, {at_most(attack, privacy):.2f}"


if __name__ == "__main__":
    main()
