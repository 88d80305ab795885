"""An expression that fails if the target is not ill, and what can be seen of that: a code, a missing value.

Knows the target's day of birth.
"""

from __future__ import annotations

from typing import Final

from tests.attacks_harness.agreements import asked, day
from tests.attacks_harness.attack import NOTHING, Attack, Belief, Knowledge
from tests.attacks_harness.system import System

_QUERY: Final = asked("fails", "SELECT SUM(1 // ill) AS s FROM patients WHERE born = $born", day("born"))


def guess(system: System, known: Knowledge) -> Belief:
    with system.life() as life:
        control = life.run("fails", born=-1)  # nobody was born then
        seen = life.run("fails", born=known.target.born)
    if seen.refusal != control.refusal:
        return float(seen.refusal is None)
    row = seen.row()
    return NOTHING if row is None else float(row["s"] is not None)


ERRORS: Final = Attack("errors as an oracle", (23,), (_QUERY,), guess, is_stopped=True)
