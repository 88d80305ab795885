"""Differencing over two enclaves: the operator loses the first one, and the clinic sends its data again.

Knows the target's day of birth. Each enclave compares its releases with its own and knows of no other.
"""

from __future__ import annotations

from typing import Final

from tests.attacks_harness.agreements import asked, day, noisy
from tests.attacks_harness.answers import ask, is_ill
from tests.attacks_harness.attack import NOTHING, Attack, Belief, Form, Knowledge, difference
from tests.attacks_harness.system import System

_SUM: Final = "SELECT COUNT(*) AS n, SUM(ill) AS s FROM patients"
_QUERIES: Final = (asked("everybody", _SUM), asked("but", f"{_SUM} WHERE born <> $born", day("born")))


def guess(system: System, known: Knowledge) -> Belief:
    with system.life() as first:
        everybody = first.run("everybody").row()
    with system.life() as second:
        found = difference(everybody, second.run("but", born=known.target.born).row())
    return NOTHING if found is None else found


_NOISY: Final = noisy(
    "but",
    "SELECT ill, COUNT(DISTINCT person) AS n FROM patients WHERE born <> $born GROUP BY ill",
    day("born"),
    domains=[[0, 1]],
)


def guess_with_noise(system: System, known: Knowledge) -> Belief:
    with system.life() as first:
        everybody = ask(first, "but", born=-1).by_illness("n")  # nobody was born then
    with system.life() as second:
        but = ask(second, "but", born=known.target.born).by_illness("n", has_target=False)
    return is_ill([everybody, but], unknown=len(known.others))


TWO_LIVES: Final = Attack(
    "differencing, two enclaves",
    (15, 18, 32),
    _QUERIES,
    guess,
    is_stopped=False,
    with_noise=Form((_NOISY,), guess_with_noise),
    enclaves=2,
)
