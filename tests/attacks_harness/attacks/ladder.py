"""A ladder of CASE: everybody is behind the row, and the target alone on a rung of it.

Knows the target's day of birth.
"""

from __future__ import annotations

from typing import Final

from tests.attacks_harness.agreements import asked, day, noisy
from tests.attacks_harness.answers import ask, is_ill
from tests.attacks_harness.attack import Attack, Belief, Form, Knowledge, share
from tests.attacks_harness.system import System

_RUNG: Final = "SUM(CASE WHEN born = $born THEN ill ELSE 0 END)"
_QUERY: Final = asked(
    "ladder", f"SELECT COUNT(*) AS n, SUM(ill) AS s, {_RUNG} AS rung FROM patients", day("born")
)


def guess(system: System, known: Knowledge) -> Belief:
    with system.life() as life:
        row = life.run("ladder", born=known.target.born).row()
    if row is None or row["rung"] is None:
        return share(row)
    return float(row["rung"])


_NOISY: Final = noisy(
    "ladder",
    "SELECT ill, COUNT(CASE WHEN born = $born THEN 1 END) AS rung FROM patients GROUP BY ill",
    day("born"),
    domains=[[0, 1]],
    rung=100,
)


def guess_with_noise(system: System, known: Knowledge) -> Belief:
    with system.life() as life:
        return is_ill([ask(life, "ladder", born=known.target.born).by_illness("rung")])


LADDER: Final = Attack(
    "CASE ladder", (30,), (_QUERY,), guess, is_stopped=True, with_noise=Form((_NOISY,), guess_with_noise)
)
