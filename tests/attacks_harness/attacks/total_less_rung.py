"""A total, and beside it in the same row the sum over everybody but the target.

Knows the target's day of birth. One run; no group in it is small, only their difference is.
"""

from __future__ import annotations

from typing import Final

from tests.attacks_harness.agreements import asked, day, noisy
from tests.attacks_harness.answers import ask, is_ill
from tests.attacks_harness.attack import Attack, Belief, Form, Knowledge, share
from tests.attacks_harness.system import System

_REST: Final = "SUM(CASE WHEN born <> $born THEN ill ELSE 0 END)"
_QUERY: Final = asked(
    "rest", f"SELECT COUNT(*) AS n, SUM(ill) AS s, {_REST} AS rest FROM patients", day("born")
)


def guess(system: System, known: Knowledge) -> Belief:
    with system.life() as life:
        row = life.run("rest", born=known.target.born).row()
    if row is None or row["s"] is None or row["rest"] is None:
        return share(row)
    return float(row["s"] - row["rest"])


_NOISY: Final = noisy(
    "rest",
    "SELECT ill, COUNT(DISTINCT person) AS n, COUNT(CASE WHEN born <> $born THEN 1 END) AS rest "
    "FROM patients GROUP BY ill",
    day("born"),
    domains=[[0, 1]],
    n=6,
    rest=6,
)


def guess_with_noise(system: System, known: Knowledge) -> Belief:
    with system.life() as life:
        found = ask(life, "rest", born=known.target.born)
    groups = [found.by_illness("n"), found.by_illness("rest", has_target=False)]
    return is_ill(groups, unknown=len(known.others))


TOTAL_LESS_RUNG: Final = Attack(
    "total less all but one",
    (18, 30),
    (_QUERY,),
    guess,
    is_stopped=False,
    with_noise=Form((_NOISY,), guess_with_noise),
)
