"""Everybody else's secret is known: one sum over all, less what is known.

The attacker against whom differential privacy is defined. No exact answer holds against it.
"""

from __future__ import annotations

from typing import Final

from tests.attacks_harness.agreements import asked, noisy
from tests.attacks_harness.answers import ask, is_ill
from tests.attacks_harness.attack import NOTHING, Attack, Belief, Form, Knowledge
from tests.attacks_harness.system import System

_QUERY: Final = asked("all", "SELECT COUNT(*) AS n, SUM(ill) AS s FROM patients")


def guess(system: System, known: Knowledge) -> Belief:
    with system.life() as life:
        row = life.run("all").row()
    return NOTHING if row is None or row["s"] is None else float(row["s"] - sum(known.ill.values()))


_NOISY: Final = noisy(
    "all",
    "SELECT ill, COUNT(DISTINCT person) AS n FROM patients GROUP BY ill",
    domains=[[0, 1]],
)


def guess_with_noise(system: System, known: Knowledge) -> Belief:
    with system.life() as life:
        found = ask(life, "all").by_illness("n")
    return is_ill([found], known=tuple(known.ill.values()))


ALL_OTHERS: Final = Attack(
    "all others known",
    (18,),
    (_QUERY,),
    guess,
    is_stopped=False,
    known="all but the target's",
    with_noise=Form((_NOISY,), guess_with_noise),
)
