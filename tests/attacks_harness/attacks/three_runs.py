"""Intersection: three overlapping groups that are unlike each other, and whose sums leave the target alone.

Knows days of birth. With cuts between people in order of birth, a group from one cut to another is worth the
difference of the two; three groups lead from the cut before the target to the cut after it.
"""

from __future__ import annotations

from typing import Final

from tests.attacks_harness.agreements import RUNS, THRESHOLD, asked, day, noisy
from tests.attacks_harness.answers import ask, is_ill
from tests.attacks_harness.attack import NOTHING, Attack, Belief, Form, Knowledge
from tests.attacks_harness.system import Life, System

_QUERY: Final = asked(
    "between",
    "SELECT COUNT(*) AS n, SUM(ill) AS s FROM patients WHERE born BETWEEN $first AND $last",
    day("first"),
    day("last"),
)
_STEP: Final = THRESHOLD + 1


def guess(system: System, known: Knowledge) -> Belief:
    days = sorted(person.born for person in known.people)
    place = days.index(known.target.born)
    with system.life() as life:
        if place + 2 * _STEP <= len(days):
            near, far, both = place, place + _STEP, place + 2 * _STEP
            sums = [_sum(life, days[near:far]), _sum(life, days[far:both]), _sum(life, days[near + 1 : both])]
        else:
            near, far, both = place + 1, place + 1 - _STEP, place + 1 - 2 * _STEP
            sums = [_sum(life, days[far:near]), _sum(life, days[both:far]), _sum(life, days[both : near - 1])]
    first, second, without = sums
    if first is None or second is None or without is None:
        return NOTHING
    return first + second - without


def _sum(life: Life, days: list[int]) -> int | None:
    row = life.run("between", first=days[0], last=days[-1]).row()
    return None if row is None else int(row["s"])


_NOISY: Final = noisy(
    "between",
    "SELECT ill, COUNT(DISTINCT person) AS n FROM patients WHERE born BETWEEN $first AND $last GROUP BY ill",
    day("first"),
    day("last"),
    domains=[[0, 1]],
)


def guess_with_noise(system: System, known: Knowledge) -> Belief:
    """Nothing is compared where there is noise: two groups do, with the target at the end of one."""
    days = sorted(person.born for person in known.people)
    place = days.index(known.target.born)
    is_early = place + 2 * _STEP <= len(days)
    chosen = days[place : place + 2 * _STEP] if is_early else days[place + 1 - 2 * _STEP : place + 1]
    others = chosen[1:] if is_early else chosen[:-1]
    with system.life() as life:
        groups = [
            ask(life, "between", runs=RUNS // 2, first=group[0], last=group[-1]).by_illness(
                "n", has_target=group is chosen
            )
            for group in (chosen, others)
        ]
    return is_ill(groups, unknown=len(others))


THREE_RUNS: Final = Attack(
    "intersection, three runs",
    (18,),
    (_QUERY,),
    guess,
    is_stopped=False,
    with_noise=Form((_NOISY,), guess_with_noise),
)
