"""Fan-out: the attacker's table has two rows of everybody and one of the target, whose value makes a sum odd.

Knows everybody's number.
"""

from __future__ import annotations

from typing import Final

from tests.attacks_harness.agreements import JOINED, asked, noisy
from tests.attacks_harness.answers import ask, is_ill
from tests.attacks_harness.attack import NOTHING, Attack, Belief, Form, Knowledge, share
from tests.attacks_harness.system import System

_QUERY: Final = asked("total", f"SELECT COUNT(*) AS n, SUM(p.ill) AS s {JOINED}")


def guess(system: System, known: Knowledge) -> Belief:
    numbers = [known.target.number, *(person.number for person in known.others for _ in range(2))]
    own = [(account, number, "all", 0) for account, number in enumerate(numbers)]
    with system.life(own) as life:
        row = life.run("total").row()
    if row is None or row["s"] is None:
        return NOTHING
    return float(row["s"] % 2) if row["n"] == len(numbers) else share(row)


_NOISY: Final = noisy(
    "total",
    f"SELECT p.ill AS ill, COUNT(DISTINCT p.person) AS n {JOINED} GROUP BY p.ill",
    domains=[[0, 1]],
    n=4,
)


def guess_with_noise(system: System, known: Knowledge) -> Belief:
    own = [(person.number, person.number, "all", 0) for person in known.people]
    with system.life(own) as life:
        return is_ill([ask(life, "total").by_illness("n")], unknown=len(known.others))


FAN_OUT: Final = Attack(
    "fan-out", (20,), (_QUERY,), guess, is_stopped=True, with_noise=Form((_NOISY,), guess_with_noise)
)
