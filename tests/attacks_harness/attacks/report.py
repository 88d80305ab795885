"""The report of what was held back: a group of the target alone is held back if there is one.

Knows the target's day of birth. Looks at the receipt, which the operator can read as well.
"""

from __future__ import annotations

from typing import Final

from tests.attacks_harness.agreements import asked, day, noisy
from tests.attacks_harness.answers import ask, weigh
from tests.attacks_harness.attack import NOTHING, Attack, Belief, Form, Knowledge
from tests.attacks_harness.population import TOWNS
from tests.attacks_harness.system import System

_QUERY: Final = asked(
    "there",
    "SELECT town, COUNT(*) AS n FROM patients WHERE born = $born AND ill = 1 GROUP BY town",
    day("born"),
)


def guess(system: System, known: Knowledge) -> Belief:
    with system.life() as life:
        control = life.run("there", born=-1)  # nobody was born then
        seen = life.run("there", born=known.target.born)
    if seen.refusal is not None:
        return NOTHING
    return float(bool(seen.rows) or seen.held_back > control.held_back)


_NOISY: Final = noisy(
    "there",
    "SELECT town, COUNT(DISTINCT person) AS n FROM patients WHERE born = $born AND ill = 1 GROUP BY town",
    day("born"),
    domains=[TOWNS],
)


def guess_with_noise(system: System, known: Knowledge) -> Belief:
    with system.life() as life:
        answers = ask(life, "there", born=known.target.born).answers("n", town=known.target.town)
    return weigh(answers.log_likelihood(1), answers.log_likelihood(0))


REPORT: Final = Attack(
    "report of what is held back",
    (23, 26),
    (_QUERY,),
    guess,
    is_stopped=True,
    with_noise=Form((_NOISY,), guess_with_noise),
)
