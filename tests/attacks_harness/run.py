"""Runs every attack against the enclave with rules off and on: `python -m tests.attacks_harness.run`."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Final

from tests.attacks_harness.agreements import STRICTNESSES
from tests.attacks_harness.catalogue import ATTACKS
from tests.attacks_harness.measure import Rate, rate
from tests.attacks_harness.population import BASELINE

TRIALS: Final = 200
SEED: Final = 1


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.attacks_harness.run", description=__doc__)
    parser.add_argument("--trials", type=int, default=TRIALS, help="of each attack and strictness")
    parser.add_argument("--seed", type=int, default=SEED, help="the people follow from it")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args()
    if given.trials < 1:
        parser.error("--trials: at least 1")
    with tempfile.TemporaryDirectory() as folder:
        rates = {
            attack.name: {
                name: rate(attack, strictness, trials=given.trials, seed=given.seed, state=Path(folder))
                for name, strictness in STRICTNESSES.items()
            }
            for attack in ATTACKS
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
    names = list(STRICTNESSES)
    lines = [
        f"| attack | rows | baseline | {' | '.join(names)} | advantage with {names[-1]} |",
        f"|---|---|---|{'---|' * len(names)}---|",
    ]
    for attack in ATTACKS:
        columns = rates[attack.name]
        cells = [_cell(columns[name]) for name in names]
        rows = ", ".join(map(str, attack.rows))
        advantage = f"{columns[names[-1]].advantage:+.2f}"
        lines.append(f"| {attack.name} | {rows} | {BASELINE:.2f} | {' | '.join(cells)} | {advantage} |")
    return lines


def _cell(found: Rate) -> str:
    low, high = found.interval
    return f"{found.success:.2f} [{low:.2f}, {high:.2f}]"


if __name__ == "__main__":
    main()
