"""Padding: the target's group is filled with rows of the attacker's own, of nobody and of the target.

Knows the target's number.
"""

from __future__ import annotations

from typing import Final

from tests.attacks_harness.agreements import JOINED, asked
from tests.attacks_harness.attack import NOTHING, Attack, Belief, Knowledge
from tests.attacks_harness.system import System

_COUNTS: Final = "COUNT(*) AS n, COUNT(DISTINCT c.account) AS accounts, SUM(p.ill) AS s"
_QUERY: Final = asked("padded", f"SELECT c.label AS label, {_COUNTS} {JOINED} GROUP BY c.label")
_FAKES: Final = 30


def guess(system: System, known: Knowledge) -> Belief:
    target, nobody = known.target.number, -1_000
    own = [(number, target, "group", 0) for number in range(_FAKES)]
    own += [(_FAKES + number, nobody - number, "group", 0) for number in range(_FAKES)]
    with system.life(own) as life:
        row = life.run("padded").row(label="group")
    return NOTHING if row is None else float(row["s"] / row["n"])


FAKE_ROWS: Final = Attack("padding with fake rows", (21,), (_QUERY,), guess, is_stopped=True)
