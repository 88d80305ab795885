"""An expression that fails if the target is not ill, and what can be seen of that: a code, a missing value.

Knows the target's day of birth.
"""

from __future__ import annotations

from typing import Final

from tests.attacks_harness.agreements import asked, day, noisy
from tests.attacks_harness.answers import ask, weigh
from tests.attacks_harness.attack import NOTHING, Attack, Belief, Form, Knowledge
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


_NOISY: Final = noisy(
    "fails",
    "SELECT COUNT(1 // ill) AS n FROM patients WHERE born = $born",
    day("born"),
    n=100,
)


def guess_with_noise(system: System, known: Knowledge) -> Belief:
    with system.life() as life:
        answers = ask(life, "fails", born=known.target.born).answers("n")
    return weigh(answers.log_likelihood(1), answers.log_likelihood(0))


ERRORS: Final = Attack(
    "errors as an oracle",
    (23,),
    (_QUERY,),
    guess,
    is_stopped=True,
    with_noise=Form((_NOISY,), guess_with_noise),
)
