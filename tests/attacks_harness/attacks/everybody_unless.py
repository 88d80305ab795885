"""Everybody, unless it is the target and ill: as many as there are, or one fewer, or held back for it.

Knows the target's day of birth. Holding back a release for what it
differs by says that it differs.
"""

from __future__ import annotations

from typing import Final

from tests.attacks_harness.agreements import asked, day, noisy
from tests.attacks_harness.answers import ask, weigh
from tests.attacks_harness.attack import NOTHING, Attack, Belief, Form, Knowledge
from tests.attacks_harness.system import System

_QUERIES: Final = (
    asked("everybody", "SELECT COUNT(*) AS n FROM patients"),
    asked("unless", "SELECT COUNT(*) AS n FROM patients WHERE NOT (born = $born AND ill = 1)", day("born")),
)


def guess(system: System, known: Knowledge) -> Belief:
    with system.life() as life:
        everybody = life.run("everybody").row()
        seen = life.run("unless", born=known.target.born)
    if everybody is None or seen.refusal is not None:
        return NOTHING
    row = seen.row()
    return float(row is None or row["n"] < everybody["n"])


_NOISY: Final = noisy(
    "unless",
    "SELECT COUNT(DISTINCT person) AS n FROM patients WHERE NOT (born = $born AND ill = 1)",
    day("born"),
)


def guess_with_noise(system: System, known: Knowledge) -> Belief:
    with system.life() as life:
        answers = ask(life, "unless", born=known.target.born).answers("n")
    everybody = len(known.people)
    return weigh(answers.log_likelihood(everybody - 1), answers.log_likelihood(everybody))


EVERYBODY_UNLESS: Final = Attack(
    "everybody unless",
    (18, 23),
    _QUERIES,
    guess,
    is_stopped=False,
    with_noise=Form((_NOISY,), guess_with_noise),
)
