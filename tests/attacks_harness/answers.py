"""What noisy answers say: how likely they are if the target is ill, and how likely if it is not.

The attacker knows the agreement, so it knows how much noise there is, which numbers of people have a floor,
and how often a number stays below it. Secrets of people that it does not know are fair bits, over which
likelihoods are summed. Nothing is lost that the answers tell, but for rounding to whole numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from protos.formats.query import ParameterValue
from protos.plan import compile_query
from tests.attacks_harness.agreements import RUNS
from tests.attacks_harness.attack import NOTHING, Belief
from tests.attacks_harness.system import Life


@dataclass(frozen=True)
class Answers:
    """One number, asked for several times."""

    values: tuple[float | None, ...]
    """None where it did not reach a floor."""
    deviation: float
    """Standard deviation of its noise."""
    floors: tuple[float, ...] = ()
    """Those of hidden numbers, equal to this one, that have to reach the threshold as well."""
    threshold: int = 0
    """What this number has to reach itself; 0: nothing, and a blank says nothing."""

    def log_likelihood(self, number: float) -> float:
        """Of these answers if the exact number is `number`, up to a constant."""
        total = 0.0
        reach = sum(math.log(self._shown(number, deviation)) for deviation in self.floors)
        for value in self.values:
            if value is not None:
                total += reach - ((value - number) / self.deviation) ** 2 / 2
            elif self.threshold:
                shown = self._shown(number, self.deviation) * math.exp(reach)
                total += math.log(max(1 - shown, 1e-300))
        return total

    def _shown(self, number: float, deviation: float) -> float:
        least = self.threshold - 0.5
        return max(math.erfc((least - number) / deviation / math.sqrt(2)) / 2, 1e-300)


@dataclass(frozen=True)
class Asked:
    """All answers to one query with the same parameters, and the noise that was agreed for it."""

    life: Life
    query: str
    rows: tuple[tuple[dict[str, Any], ...], ...]

    def answers(self, output: str, **cell: ParameterValue) -> Answers:
        """Those of one output in one cell."""
        if self.life.keys is None:
            return Answers((), 1.0)
        query = next(query for query in self.life.agreed.queries if query.id == self.query)
        noise = compile_query(self.life.agreed, query).noise
        assert noise is not None

        def deviation(name: str) -> float:
            return math.sqrt(noise.plan.column(name).noise.variance)

        values = [
            row[output]
            for run in self.rows
            for row in run
            if all(row[name] == value for name, value in cell.items())
        ]
        is_floor = output in noise.row_floors
        floors = [deviation(name) for name in noise.row_floors if name != output] if is_floor else []
        threshold = noise.required_units if is_floor else 0
        return Answers(tuple(values), deviation(output), tuple(floors), threshold)

    def by_illness(self, output: str, *, has_target: bool = True, **cell: ParameterValue) -> ByIllness:
        """The number of people in a group who are well, and of those who are ill."""
        well, ill = (self.answers(output, ill=value, **cell) for value in (0, 1))
        return ByIllness(well, ill, has_target)


@dataclass(frozen=True)
class ByIllness:
    """A group of people, counted by whether they are ill."""

    well: Answers
    ill: Answers
    has_target: bool


def ask(life: Life, query: str, *, runs: int = RUNS, **parameters: ParameterValue) -> Asked:
    """The same question so many times."""
    rows = (life.run(query, **parameters).rows for _ in range(runs))
    return Asked(life, query, tuple(tuple(map(dict, run)) for run in rows))


def weigh(if_true: float, if_false: float) -> Belief:
    """The belief after two log likelihoods."""
    if if_true == if_false:
        return NOTHING
    return 1 / (1 + math.exp(max(-700.0, min(700.0, if_false - if_true))))


def is_ill(groups: Sequence[ByIllness], *, unknown: int = 0, known: Sequence[int] = ()) -> Belief:
    """Whether the target is. In every group are the same people beside it: some whose illnesses are `known`,
    and so many `unknown` ones."""
    likelihoods = []
    for target in (1, 0):
        each = []
        for others_ill in range(unknown + 1):
            ill, well = sum(known) + others_ill, len(known) - sum(known) + unknown - others_ill
            total = math.log(math.comb(unknown, others_ill))
            for group in groups:
                total += group.ill.log_likelihood(ill + (target if group.has_target else 0))
                total += group.well.log_likelihood(well + (1 - target if group.has_target else 0))
            each.append(total)
        most = max(each)
        likelihoods.append(most + math.log(sum(math.exp(one - most) for one in each)))
    return weigh(*likelihoods)
