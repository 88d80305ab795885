"""The people of one trial, and what the attacker knows of them: a register, and not the target's secret.

Everything is drawn from a seed. The secret is one fair bit, so whoever guesses without the system is right
half of the time.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import pyarrow as pa

Secret: TypeAlias = Literal["cost", "ill", "member"]
"""What the bit says of the target: an extreme cost, an illness, or being in the clinic's data at all."""

PEOPLE: Final = 60
TOWNS: Final = ("ash", "beech", "cedar")
COST_HIGH: Final = 100
"""Of ordinary people, who cost 0 to this much."""
COST_EXTREME: Final = 10_000
BASELINE: Final = 0.5
"""The success of a guess without the system."""


@dataclass(frozen=True)
class Person:
    """One person as the register has it, which everybody may read."""

    number: int
    town: str
    born: int
    """A day. No two people have the same."""


@dataclass(frozen=True)
class Population:
    """Everybody in the clinic's data, with what only the clinic knows."""

    people: tuple[Person, ...]
    target: Person
    ill: Mapping[int, int]
    cost: Mapping[int, int]
    """By the number of the person."""
    members: frozenset[int]
    secret: bool

    def patients(self) -> pa.Table:
        """What the clinic uploads."""
        rows = [person for person in self.people if person.number in self.members]
        return pa.table(
            {
                "person": pa.array([person.number for person in rows], pa.int64()),
                "town": [person.town for person in rows],
                "born": pa.array([person.born for person in rows], pa.int64()),
                "ill": pa.array([self.ill[person.number] for person in rows], pa.int64()),
                "cost": pa.array([self.cost[person.number] for person in rows], pa.int64()),
            }
        )


def draw(seed: str, secret: Secret) -> Population:
    """The people of the trial with this seed."""
    chance = random.Random(seed)
    days = chance.sample(range(20_000), PEOPLE)
    towns = [TOWNS[index % len(TOWNS)] for index in range(PEOPLE)]
    people = tuple(Person(*fields) for fields in zip(range(PEOPLE), towns, days, strict=True))
    target = chance.choice(people)
    ill = {person.number: chance.randrange(2) for person in people}
    cost = {person.number: chance.randint(0, COST_HIGH) for person in people}
    bit = chance.random() < BASELINE
    members = frozenset(person.number for person in people)
    if secret == "ill":
        ill[target.number] = int(bit)
    elif secret == "cost":
        cost[target.number] = COST_EXTREME if bit else cost[target.number]
    elif not bit:
        members -= {target.number}
    return Population(people, target, ill, cost, members, bit)
