"""Differencing: one run with the target and one without, by a parameter first and by another query second.

Knows the target's day of birth. Where one of the two is held back, what is left is the share
of the other.
"""

from __future__ import annotations

from typing import Final

from tests.attacks_harness.agreements import asked, day, noisy
from tests.attacks_harness.answers import ask, is_ill
from tests.attacks_harness.attack import Attack, Belief, Form, Knowledge, difference, share
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


_BY_ILLNESS: Final = "SELECT ill, COUNT(DISTINCT person) AS n FROM patients"
_NOISY: Final = (
    noisy("everybody", f"{_BY_ILLNESS} GROUP BY ill", domains=[[0, 1]]),
    noisy("but", f"{_BY_ILLNESS} WHERE born <> $born GROUP BY ill", day("born"), domains=[[0, 1]]),
)


def guess_with_noise(system: System, known: Knowledge) -> Belief:
    with system.life() as life:
        everybody = ask(life, "everybody").by_illness("n")
        but = ask(life, "but", born=known.target.born).by_illness("n", has_target=False)
    return is_ill([everybody, but], unknown=len(known.others))


TWO_RUNS: Final = Attack(
    "differencing, two runs",
    (18,),
    _QUERIES,
    guess,
    is_stopped=True,
    with_noise=Form(_NOISY, guess_with_noise),
)
