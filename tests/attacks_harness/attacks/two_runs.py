"""Differencing: one run with the target and one without, by a parameter first and by another query second.

Knows the target's day of birth. Where one of the two is held back, what is left is the share
of the other.
"""

from __future__ import annotations

from typing import Final

from tests.attacks_harness.agreements import asked, day
from tests.attacks_harness.attack import Attack, Belief, Knowledge, difference, share
from tests.attacks_harness.system import System

_SUM: Final = "SELECT COUNT(*) AS n, SUM(ill) AS s FROM patients"
_QUERIES: Final = (
    asked("until", f"{_SUM} WHERE born <= $born", day("born")),
    asked("everybody", _SUM),
    asked("but", f"{_SUM} WHERE born <> $born", day("born")),
)


def guess(system: System, known: Knowledge) -> Belief:
    born = known.target.born
    with system.life() as life:
        until = life.run("until", born=born).row()
        found = difference(until, life.run("until", born=born - 1).row())
        if found is None:
            everybody = life.run("everybody").row()
            found = difference(everybody, life.run("but", born=born).row())
            until = until or everybody
    return share(until) if found is None else found


TWO_RUNS: Final = Attack("differencing, two runs", (18,), _QUERIES, guess, is_stopped=True)
