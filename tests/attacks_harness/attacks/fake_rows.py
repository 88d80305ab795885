"""Padding: the target's group is filled with rows of the attacker's own, of nobody and of the target.

Knows the target's number.
"""

from __future__ import annotations

from typing import Final

from tests.attacks_harness.agreements import JOINED, asked, noisy
from tests.attacks_harness.answers import ask, is_ill
from tests.attacks_harness.attack import NOTHING, Attack, Belief, Form, Knowledge
from tests.attacks_harness.system import Own, System

_COUNTS: Final = "COUNT(*) AS n, COUNT(DISTINCT c.account) AS accounts, SUM(p.ill) AS s"
_QUERY: Final = asked("padded", f"SELECT c.label AS label, {_COUNTS} {JOINED} GROUP BY c.label")
_FAKES: Final = 30


def _own(known: Knowledge) -> list[Own]:
    target, nobody = known.target.number, -1_000
    own = [(number, target, "group", 0) for number in range(_FAKES)]
    return own + [(_FAKES + number, nobody - number, "group", 0) for number in range(_FAKES)]


def guess(system: System, known: Knowledge) -> Belief:
    with system.life(_own(known)) as life:
        row = life.run("padded").row(label="group")
    return NOTHING if row is None else float(row["s"] / row["n"])


_NOISY: Final = noisy(
    "padded",
    f"SELECT c.label AS label, p.ill AS ill, COUNT(DISTINCT p.person) AS n {JOINED} GROUP BY c.label, p.ill",
    domains=[["group"], [0, 1]],
    n=20,
)


def guess_with_noise(system: System, known: Knowledge) -> Belief:
    with system.life(_own(known)) as life:
        return is_ill([ask(life, "padded").by_illness("n", label="group")])


FAKE_ROWS: Final = Attack(
    "padding with fake rows",
    (21,),
    (_QUERY,),
    guess,
    is_stopped=True,
    with_noise=Form((_NOISY,), guess_with_noise),
)
