"""Plays a scenario from the first key to the checked receipt, every role by its own commands.

There are no short cuts: whatever a party does here, it does with `concordat` in a process and a home of its
own, and what it checks is checked by that command, which fails if it must. A run that comes to its end has
released exactly what pandas computes in clear, or with noise what is as close as the noise allows; everything
else is a `ScenarioError`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

import pandas as pd

from scenarios.acts import Acts, Note
from scenarios.catalogue import Scenario
from scenarios.offline_parties.acts import OfflineActs
from scenarios.stage import Stage


@dataclass(frozen=True)
class Step:
    """One step that was taken."""

    title: str
    notes: tuple[Note, ...]
    duration_s: float


class Observer(Protocol):
    """Is told what happens, as it happens."""

    def begins(self, title: str) -> None:
        """A step has begun."""

    def ends(self, step: Step) -> None:
        """It has come to its end."""


@dataclass(frozen=True)
class Outcome:
    """What came out."""

    steps: tuple[Step, ...]
    released: pd.DataFrame
    """The rows as a receiver opened them; every receiver's are the same."""
    suppressed: tuple[str, ...]
    """The rules under which groups were held back, as the receipt has them."""
    is_noisy: bool = False
    """Whether what was released is off by noise, as it was agreed."""


def play(
    scenario: Scenario,
    stage: Stage,
    observer: Observer,
    *,
    rows: int | None = None,
    kind: type[Acts] | None = None,
) -> Outcome:
    """Plays `scenario` with `rows` rows on `stage`. Raises `ScenarioError` at the first fault.

    `kind` of acts is given where no query runs; else it follows from the scenario.
    """
    chosen = kind or (OfflineActs if scenario.key_services else Acts)
    acts = chosen(scenario, stage, rows)
    steps = []
    for title, act in acts.in_order():
        observer.begins(title)
        began_s = time.monotonic()
        notes = tuple(act())
        steps.append(Step(title, notes, time.monotonic() - began_s))
        observer.ends(steps[-1])
    return Outcome(tuple(steps), acts.released, tuple(acts.suppressed), scenario.is_noisy)
