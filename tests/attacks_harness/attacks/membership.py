"""Membership probing: four who are known to be in the clinic's data, and the target; are they five?

Knows everybody's number, and that all others are patients. Its own table is filled up with people
who do not exist.
"""

from __future__ import annotations

from typing import Final

from tests.attacks_harness.agreements import JOINED, THRESHOLD, asked, noisy
from tests.attacks_harness.answers import ask, weigh
from tests.attacks_harness.attack import Attack, Belief, Form, Knowledge
from tests.attacks_harness.system import System

_QUERY: Final = asked("probe", f"SELECT c.label AS label, COUNT(*) AS n {JOINED} GROUP BY c.label")


def guess(system: System, known: Knowledge) -> Belief:
    members = [person.number for person in known.others[: THRESHOLD - 1]]
    own = [(account, number, "group", 0) for account, number in enumerate([known.target.number, *members])]
    with system.life(own) as life:
        row = life.run("probe").row(label="group")
    return float(row is not None and row["n"] > len(members))


_NOISY: Final = noisy(
    "probe",
    f"SELECT c.label AS label, COUNT(DISTINCT p.person) AS n {JOINED} GROUP BY c.label",
    domains=[["group"]],
    n=6,
)


def guess_with_noise(system: System, known: Knowledge) -> Belief:
    own = [(person.number, person.number, "group", 0) for person in known.people]
    with system.life(own) as life:
        answers = ask(life, "probe").answers("n", label="group")
    return weigh(answers.log_likelihood(len(own)), answers.log_likelihood(len(own) - 1))


MEMBERSHIP: Final = Attack(
    "membership probing",
    (19,),
    (_QUERY,),
    guess,
    is_stopped=False,
    secret="member",
    with_noise=Form((_NOISY,), guess_with_noise),
)
