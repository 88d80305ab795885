"""MAX of a column: the extreme value is the target's or nobody's.

Knows that nobody else costs more than 100.
"""

from __future__ import annotations

from typing import Final

from tests.attacks_harness.agreements import asked
from tests.attacks_harness.attack import NOTHING, Attack, Belief, Knowledge
from tests.attacks_harness.population import COST_HIGH
from tests.attacks_harness.system import System

_QUERY: Final = asked("extreme", "SELECT MAX(cost) AS m FROM patients")


def guess(system: System, known: Knowledge) -> Belief:
    with system.life() as life:
        row = life.run("extreme").row()
    return NOTHING if row is None or row["m"] is None else float(row["m"] > COST_HIGH)


MAXIMUM: Final = Attack("MAX", (29,), (_QUERY,), guess, is_stopped=True, secret="cost")
