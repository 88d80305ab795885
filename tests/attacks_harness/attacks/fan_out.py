"""Fan-out: the attacker's table has two rows of everybody and one of the target, whose value makes a sum odd.

Knows everybody's number.
"""

from __future__ import annotations

from typing import Final

from tests.attacks_harness.agreements import JOINED, asked
from tests.attacks_harness.attack import NOTHING, Attack, Belief, Knowledge, share
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


FAN_OUT: Final = Attack("fan-out", (20,), (_QUERY,), guess, is_stopped=True)
