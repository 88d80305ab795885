"""What an attack is: queries that are agreed, what it knows beforehand, what it believes afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from protos.formats.query import Query
from tests.attacks_harness.population import Person, Population, Secret
from tests.attacks_harness.system import System

Belief = float
"""How likely the attacker takes the secret to be true: 0 to 1. At one half it guesses blindly."""
NOTHING: Belief = 0.5
KNOWN_SECRETS = Literal["nobody's", "four", "all but the target's"]


@dataclass(frozen=True)
class Knowledge:
    """What the attacker knows before it begins."""

    people: tuple[Person, ...]
    """The register: everybody whose data the clinic may hold, the target included."""
    target: Person
    ill: Mapping[int, int]
    """The secrets that it knows anyhow, by person; never the target's."""

    @property
    def others(self) -> tuple[Person, ...]:
        """Without the target."""
        return tuple(person for person in self.people if person != self.target)


Guess: TypeAlias = Callable[[System, Knowledge], Belief]


@dataclass(frozen=True)
class Form:
    """What is asked, and what is believed afterwards."""

    queries: tuple[Query, ...]
    guess: Guess


@dataclass(frozen=True)
class Attack:
    """One attack. A trial gives it a population, an agreement of some strictness and a real enclave."""

    name: str
    rows: tuple[int, ...]
    """Of the threat model."""
    queries: tuple[Query, ...]
    guess: Guess
    is_stopped: bool
    """Whether an ordinary agreement's rules stop it; checked by the tests both ways."""
    secret: Secret = "ill"
    known: KNOWN_SECRETS = "nobody's"
    with_noise: Form | None = None
    """How it attacks where the clinic has a privacy budget; None: no query of the kind exists with noise."""
    enclaves: int = 1
    """How many lives it uses; each of them has the whole budget again."""

    def form(self, *, has_noise: bool) -> Form:
        """The queries and the guess for an agreement with or without a privacy budget of the clinic."""
        if has_noise and self.with_noise is not None:
            return self.with_noise
        return Form(self.queries, self.guess)

    def knowledge(self, population: Population) -> Knowledge:
        """What it knows of these people."""
        others = [person.number for person in population.people if person != population.target]
        numbers = {"nobody's": [], "four": others[:4], "all but the target's": others}[self.known]
        return Knowledge(
            population.people, population.target, {number: population.ill[number] for number in numbers}
        )


def share(row: Mapping[str, Any] | None) -> Belief:
    """What the share `s` of `n` says of one of the `n`: the statistic that was agreed, and no more."""
    if row is None or not row["n"] or row["s"] is None:
        return NOTHING
    return min(1.0, max(0.0, float(row["s"]) / float(row["n"])))


def difference(larger: Mapping[str, Any] | None, smaller: Mapping[str, Any] | None) -> Belief | None:
    """The target's part of a sum, when both are there."""
    if larger is None or smaller is None or larger["s"] is None or smaller["s"] is None:
        return None
    return float(larger["s"]) - float(smaller["s"])
