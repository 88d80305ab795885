"""How often an attack is right: trials that follow from a seed, with a 95 % interval.

Noise does not follow from the seed: it is the enclave's own, and the same trials find other noise next time.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from tests.attacks_harness.agreements import Strictness
from tests.attacks_harness.attack import NOTHING, Attack
from tests.attacks_harness.population import BASELINE, draw
from tests.attacks_harness.system import System

_Z: Final = 1.959963984540054


@dataclass(frozen=True)
class Rate:
    """Right guesses among all."""

    right: int
    trials: int

    @property
    def success(self) -> float:
        """The part that was right."""
        return self.right / self.trials

    @property
    def advantage(self) -> float:
        """Over a guess without the system."""
        return self.success - BASELINE

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's, for 95 %."""
        part, trials = self.success, self.trials
        middle = part + _Z**2 / (2 * trials)
        half = _Z * math.sqrt(part * (1 - part) / trials + _Z**2 / (4 * trials**2))
        scale = 1 + _Z**2 / trials
        return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        low, high = self.interval
        return {
            **asdict(self),
            "success": self.success,
            "low": low,
            "high": high,
            "advantage": self.advantage,
        }


def is_right(attack: Attack, strictness: Strictness, *, seed: str, state: Path) -> bool:
    """One trial: whether the guess about the target is right. The enclave's root is kept in `state`."""
    population = draw(seed, attack.secret)
    form = attack.form(has_noise=strictness.privacy is not None)
    system = System(population, form.queries, strictness.agree, state)
    belief = form.guess(system, attack.knowledge(population))
    if belief == NOTHING:
        return (random.Random(f"{seed}/coin").random() < BASELINE) == population.secret
    return (belief > NOTHING) == population.secret


def is_ever_wrong(attack: Attack, strictness: Strictness, *, trials: int, seed: int, state: Path) -> bool:
    """Whether one of so many guesses is; the trials end with it."""
    return not all(
        is_right(attack, strictness, seed=each, state=state) for each in _seeds(attack, seed, trials)
    )


def rate(attack: Attack, strictness: Strictness, *, trials: int, seed: int, state: Path) -> Rate:
    """Trials with the same people for every strictness."""
    seeds = _seeds(attack, seed, trials)
    right = sum(is_right(attack, strictness, seed=each, state=state) for each in seeds)
    return Rate(right, trials)


def _seeds(attack: Attack, seed: int, trials: int) -> Iterator[str]:
    return (f"{seed}/{attack.name}/{trial}" for trial in range(trials))
