"""Overlapping groups in one run: the attacker's table puts five people in two groups, the target in one.

Knows everybody's number.
"""

from __future__ import annotations

from typing import Final

from tests.attacks_harness.agreements import JOINED, THRESHOLD, asked
from tests.attacks_harness.attack import NOTHING, Attack, Belief, Knowledge, difference, share
from tests.attacks_harness.system import System

_QUERY: Final = asked(
    "labelled", f"SELECT c.label AS label, COUNT(*) AS n, SUM(p.ill) AS s {JOINED} GROUP BY c.label"
)


def guess(system: System, known: Knowledge) -> Belief:
    five = [person.number for person in known.others[:THRESHOLD]]
    groups = [("both", number) for number in [*five, known.target.number]]
    groups += [("five", number) for number in five]
    own = [(account, number, label, 0) for account, (label, number) in enumerate(groups)]
    with system.life(own) as life:
        seen = life.run("labelled")
    both, without = seen.row(label="both"), seen.row(label="five")
    if both is None:
        return NOTHING
    found = difference(both, without) if both["n"] == THRESHOLD + 1 else None
    return share(both) if found is None else found


OVERLAPPING_GROUPS: Final = Attack("overlapping groups, one run", (18, 20), (_QUERY,), guess, is_stopped=True)
