"""Which groups exist: by day of birth and illness, there is one group of the target or the other.

Knows the target's day of birth and town. By town there are more people in a group, whose
shares are what is left.
"""

from __future__ import annotations

from typing import Final

from tests.attacks_harness.agreements import asked, noisy
from tests.attacks_harness.answers import ask, is_ill
from tests.attacks_harness.attack import NOTHING, Attack, Belief, Form, Knowledge
from tests.attacks_harness.population import TOWNS
from tests.attacks_harness.system import System

_QUERIES: Final = (
    asked("days", "SELECT born, ill, COUNT(*) AS n FROM patients GROUP BY born, ill"),
    asked("towns", "SELECT town, ill, COUNT(*) AS n FROM patients GROUP BY town, ill"),
)


def guess(system: System, known: Knowledge) -> Belief:
    with system.life() as life:
        row = life.run("days").row(born=known.target.born)
        if row is not None:
            return float(row["ill"])
        towns = life.run("towns")
    well, ill = (towns.row(town=known.target.town, ill=value) for value in (0, 1))
    counts = [0 if row is None else int(row["n"]) for row in (well, ill)]
    return counts[1] / sum(counts) if sum(counts) else NOTHING


_NOISY: Final = noisy(
    "towns",
    "SELECT town, ill, COUNT(DISTINCT person) AS n FROM patients GROUP BY town, ill",
    domains=[TOWNS, [0, 1]],
)


def guess_with_noise(system: System, known: Knowledge) -> Belief:
    town = known.target.town
    with system.life() as life:
        found = ask(life, "towns").by_illness("n", town=town)
    return is_ill([found], unknown=sum(person.town == town for person in known.others))


GROUPS: Final = Attack(
    "which groups exist",
    (26,),
    _QUERIES,
    guess,
    is_stopped=True,
    with_noise=Form((_NOISY,), guess_with_noise),
)
