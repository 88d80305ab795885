"""Padding with people: four patients whose secrets the attacker knows, and the target, are one group.

Knows four patients' secrets, and everybody's number.
"""

from __future__ import annotations

from typing import Final

from tests.attacks_harness.agreements import JOINED, asked
from tests.attacks_harness.attack import NOTHING, Attack, Belief, Knowledge
from tests.attacks_harness.system import System

_QUERY: Final = asked(
    "labelled", f"SELECT c.label AS label, COUNT(*) AS n, SUM(p.ill) AS s {JOINED} GROUP BY c.label"
)


def guess(system: System, known: Knowledge) -> Belief:
    group = [known.target.number, *known.ill]
    own = [(account, number, "group", 0) for account, number in enumerate(group)]
    with system.life(own) as life:
        row = life.run("labelled").row(label="group")
    return NOTHING if row is None else float(row["s"] - sum(known.ill.values()))


ACCOMPLICES: Final = Attack(
    "padding with four accomplices", (19, 21), (_QUERY,), guess, is_stopped=False, known="four"
)
