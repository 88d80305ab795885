"""Everybody else's secret is known: one sum over all, less what is known.

The attacker against whom differential privacy is defined. No exact answer holds against it.
"""

from __future__ import annotations

from typing import Final

from tests.attacks_harness.agreements import asked
from tests.attacks_harness.attack import NOTHING, Attack, Belief, Knowledge
from tests.attacks_harness.system import System

_QUERY: Final = asked("all", "SELECT COUNT(*) AS n, SUM(ill) AS s FROM patients")


def guess(system: System, known: Knowledge) -> Belief:
    with system.life() as life:
        row = life.run("all").row()
    return NOTHING if row is None or row["s"] is None else float(row["s"] - sum(known.ill.values()))


ALL_OTHERS: Final = Attack(
    "all others known", (18,), (_QUERY,), guess, is_stopped=False, known="all but the target's"
)
