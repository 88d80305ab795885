"""Padding with people: four patients whose secrets the attacker knows, and the target, are one group.

Knows four patients' secrets, and everybody's number.
"""

from __future__ import annotations

from typing import Final

from tests.attacks_harness.agreements import JOINED, asked, noisy
from tests.attacks_harness.answers import ask, is_ill
from tests.attacks_harness.attack import NOTHING, Attack, Belief, Form, Knowledge
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


_NOISY: Final = noisy(
    "labelled",
    f"SELECT c.label AS label, p.ill AS ill, COUNT(DISTINCT p.person) AS n {JOINED} GROUP BY c.label, p.ill",
    domains=[["group"], [0, 1]],
    n=20,
)


def guess_with_noise(system: System, known: Knowledge) -> Belief:
    own = [(number, number, "group", 0) for number in [known.target.number, *known.ill]]
    with system.life(own) as life:
        found = ask(life, "labelled").by_illness("n", label="group")
    return is_ill([found], known=tuple(known.ill.values()))


ACCOMPLICES: Final = Attack(
    "padding with four accomplices",
    (19, 21),
    (_QUERY,),
    guess,
    is_stopped=False,
    known="four",
    with_noise=Form((_NOISY,), guess_with_noise),
)
