"""Averaging: the same question about the target, as often as runs are left, and the mean of the answers.

Knows the target's day of birth. Without noise one answer is as good as many.
"""

from __future__ import annotations

from typing import Final

from tests.attacks_harness.agreements import RUNS, asked, day, noisy
from tests.attacks_harness.answers import ask, is_ill
from tests.attacks_harness.attack import NOTHING, Attack, Belief, Form, Knowledge
from tests.attacks_harness.system import System

_QUERY: Final = asked(
    "one", "SELECT COUNT(*) AS n, SUM(ill) AS s FROM patients WHERE born = $born", day("born")
)


def guess(system: System, known: Knowledge) -> Belief:
    with system.life() as life:
        answers = [
            row["s"] for _ in range(RUNS) for row in life.run("one", born=known.target.born).rows if row["n"]
        ]
    return sum(answers) / len(answers) if answers else NOTHING


_NOISY: Final = noisy(
    "one",
    "SELECT ill, COUNT(DISTINCT person) AS n FROM patients WHERE born = $born GROUP BY ill",
    day("born"),
    domains=[[0, 1]],
)


def guess_with_noise(system: System, known: Knowledge) -> Belief:
    with system.life() as life:
        return is_ill([ask(life, "one", born=known.target.born).by_illness("n")])


REPETITION: Final = Attack(
    "averaging", (18, 32), (_QUERY,), guess, is_stopped=True, with_noise=Form((_NOISY,), guess_with_noise)
)
