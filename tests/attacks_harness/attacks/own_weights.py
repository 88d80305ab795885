"""Weights of the attacker's own: each patient's value is multiplied with a column that the attacker fills.

Knows everybody's number. The target weighs more than all others together, so a sum is large or small by it.
"""

from __future__ import annotations

from typing import Final

from tests.attacks_harness.agreements import JOINED, asked
from tests.attacks_harness.attack import NOTHING, Attack, Belief, Knowledge
from tests.attacks_harness.system import System

_QUERY: Final = asked("weighted", f"SELECT COUNT(*) AS n, SUM(p.ill * c.weight) AS s {JOINED}")


def guess(system: System, known: Knowledge) -> Belief:
    heavy = len(known.people)
    own = [(person.number, person.number, "all", 1) for person in known.others]
    own.append((known.target.number, known.target.number, "all", heavy))
    with system.life(own) as life:
        row = life.run("weighted").row()
    return NOTHING if row is None or row["s"] is None else float(row["s"] >= heavy)


OWN_WEIGHTS: Final = Attack("weights of one's own", (20, 30), (_QUERY,), guess, is_stopped=True)
