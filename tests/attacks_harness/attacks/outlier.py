"""An outlier in a sum: one extreme value is more than those of all others together.

Knows that nobody else costs more than 100, evenly from 0 on.
"""

from __future__ import annotations

from typing import Final

from tests.attacks_harness.agreements import asked
from tests.attacks_harness.attack import NOTHING, Attack, Belief, Knowledge
from tests.attacks_harness.population import COST_HIGH
from tests.attacks_harness.system import System

_QUERY: Final = asked("costs", "SELECT COUNT(*) AS n, SUM(cost) AS s FROM patients")


def guess(system: System, known: Knowledge) -> Belief:
    with system.life() as life:
        row = life.run("costs").row()
        (cost,) = (column for column in life.agreed.dataset("patients").columns if column.name == "cost")
    if row is None or row["s"] is None:
        return NOTHING
    if cost.clamp is None:
        return float(row["s"] > COST_HIGH * row["n"])
    # The target adds 100 rather than about 50: a little more than half of what is expected of the others.
    expected = COST_HIGH * (row["n"] - 1) / 2 + COST_HIGH * 3 / 4
    return float(row["s"] > expected)


OUTLIER: Final = Attack("outlier in a sum", (29,), (_QUERY,), guess, is_stopped=True, secret="cost")
