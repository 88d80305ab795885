"""An outlier in a sum: one extreme value is more than those of all others together.

Knows that nobody else costs more than 100, evenly from 0 on.
"""

from __future__ import annotations

import math
from typing import Final

from tests.attacks_harness.agreements import asked, noisy
from tests.attacks_harness.answers import ask, weigh
from tests.attacks_harness.attack import NOTHING, Attack, Belief, Form, Knowledge
from tests.attacks_harness.population import COST_HIGH
from tests.attacks_harness.system import System

_QUERY: Final = asked("costs", "SELECT COUNT(*) AS n, SUM(cost) AS s FROM patients")


def guess(system: System, known: Knowledge) -> Belief:
    with system.life() as life:
        row = life.run("costs").row()
        (cost,) = (column for column in life.agreed.dataset("patients").columns if column.name == "cost")
    if row is None or row["s"] is None:
        return NOTHING
    if cost.clamp is None:
        return float(row["s"] > COST_HIGH * row["n"])
    # The target adds 100 rather than about 50: a little more than half of what is expected of the others.
    expected = COST_HIGH * (row["n"] - 1) / 2 + COST_HIGH * 3 / 4
    return float(row["s"] > expected)


_NOISY: Final = noisy(
    "costs",
    "SELECT SUM(cost) AS s FROM patients",
    s=6,
)
_VARIANCE: Final = ((COST_HIGH + 1) ** 2 - 1) / 12
"""Of an ordinary cost."""


def guess_with_noise(system: System, known: Knowledge) -> Belief:
    with system.life() as life:
        answers = ask(life, "costs").answers("s")
    values = [value for value in answers.values if value is not None]
    if not values:
        return NOTHING
    mean, ordinary = sum(values) / len(values), COST_HIGH / 2
    noise = answers.deviation**2 / len(values) + _VARIANCE * len(known.others)
    others = ordinary * len(known.others)

    def log_likelihood(cost: float, variance: float) -> float:
        return -((mean - others - cost) ** 2) / variance / 2 - math.log(variance) / 2

    return weigh(log_likelihood(COST_HIGH, noise), log_likelihood(ordinary, noise + _VARIANCE))


OUTLIER: Final = Attack(
    "outlier in a sum",
    (29,),
    (_QUERY,),
    guess,
    is_stopped=True,
    secret="cost",
    with_noise=Form((_NOISY,), guess_with_noise),
)
