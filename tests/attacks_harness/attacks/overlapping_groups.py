"""Overlapping groups in one run: the attacker's table puts five people in two groups, the target in one.

Knows everybody's number.
"""

from __future__ import annotations

from typing import Final

from tests.attacks_harness.agreements import JOINED, THRESHOLD, asked, noisy
from tests.attacks_harness.answers import ask, is_ill
from tests.attacks_harness.attack import NOTHING, Attack, Belief, Form, Knowledge, difference, share
from tests.attacks_harness.system import System

_QUERY: Final = asked(
    "labelled", f"SELECT c.label AS label, COUNT(*) AS n, SUM(p.ill) AS s {JOINED} GROUP BY c.label"
)


def _both(known: Knowledge) -> list[int]:
    return [person.number for person in (*known.others[:THRESHOLD], known.target)]


def guess(system: System, known: Knowledge) -> Belief:
    *five, target = _both(known)
    groups = [("both", number) for number in [*five, target]]
    groups += [("five", number) for number in five]
    own = [(account, number, label, 0) for account, (label, number) in enumerate(groups)]
    with system.life(own) as life:
        seen = life.run("labelled")
    both, without = seen.row(label="both"), seen.row(label="five")
    if both is None:
        return NOTHING
    found = difference(both, without) if both["n"] == THRESHOLD + 1 else None
    return share(both) if found is None else found


_NOISY: Final = noisy(
    "labelled",
    f"SELECT c.label AS label, p.ill AS ill, COUNT(DISTINCT p.person) AS n {JOINED} GROUP BY c.label, p.ill",
    domains=[["both"], [0, 1]],
    n=20,
)


def guess_with_noise(system: System, known: Knowledge) -> Belief:
    own = [(number, number, "both", 0) for number in _both(known)]
    with system.life(own) as life:
        return is_ill([ask(life, "labelled").by_illness("n", label="both")], unknown=THRESHOLD)


OVERLAPPING_GROUPS: Final = Attack(
    "overlapping groups, one run",
    (18, 20),
    (_QUERY,),
    guess,
    is_stopped=True,
    with_noise=Form((_NOISY,), guess_with_noise),
)
