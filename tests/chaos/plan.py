"""Which process is killed at which moment: drawn from a seed, so that a plan can be played again."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

DOWN_MAX_S: Final = 1.5
"""How long what was killed stays away, at most."""


class Victim(StrEnum):
    """Whose process gets SIGKILL."""

    COORDINATOR = "coordinator"
    PARTY = "party"
    """Whoever acts at that moment: the publisher who sends, or the analyst who asks."""
    ENCLAVE = "enclave"
    MACHINE = "machine"
    """The simulated one around the enclave."""


class Stage(StrEnum):
    """What is going on when it happens."""

    START = "start"
    UPLOAD = "upload"
    RUN = "run"
    RELEASED = "released"


_DECK: Final = (
    *((Stage.UPLOAD, victim) for victim in Victim),
    *((Stage.UPLOAD, victim) for victim in Victim),
    *((Stage.RUN, victim) for victim in Victim),
    *((Stage.START, victim) for victim in Victim if victim is not Victim.PARTY),
    *((Stage.RELEASED, victim) for victim in Victim if victim is not Victim.PARTY),
)


@dataclass(frozen=True)
class Round:
    """One kill."""

    number: int
    victim: Victim
    stage: Stage
    fraction: float
    """How much of the stage has passed by then, 0 to 1."""
    down_s: float
    """Pause before what was killed is started again."""

    @property
    def loses_the_enclave(self) -> bool:
        """Whether an enclave's keys are gone afterwards."""
        return self.victim in (Victim.ENCLAVE, Victim.MACHINE)


def draw(seed: int, rounds: int) -> list[Round]:
    """`rounds` kills. Every stage and victim comes up as often as in the deck, give or take one."""
    source = random.Random(seed)
    return [
        Round(number, victim, stage, source.random(), source.uniform(0, DOWN_MAX_S))
        for number, (stage, victim) in zip(range(1, rounds + 1), _cards(source), strict=False)
    ]


def _cards(source: random.Random) -> Iterator[tuple[Stage, Victim]]:
    while True:
        yield from source.sample(_DECK, len(_DECK))
