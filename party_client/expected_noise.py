"""What an epsilon means for the result, before any of it is spent: the error of every column.

Computed from the plan alone, without data. Whoever asks says how large a group they expect. Figures are for
people: bounds for counts and sums, an approximation (first order) for means.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from protos.privacy.errors import PrivacyParameterError
from protos.privacy.outputs import NoisyOutput, mean_sum_column
from protos.privacy.plan import NoisePlan
from protos.privacy.tails import reach_of

_OUTSIDE: Final = Fraction(5, 200)
"""On each side of the 95 % interval."""
_NORMAL_95: Final = 1.96


@dataclass(frozen=True)
class Expected:
    """How large the noise of one output will be."""

    output: str
    standard_deviation: float
    """In the unit of the output; for sums the smallest unit of the values."""
    half_width_95: float
    """At least 95 of 100 cells are off by no more than this."""
    relative: float | None
    """`half_width_95` as a part of the value that was expected; None where that is 0."""


@dataclass(frozen=True)
class Preview:
    """What analysts will see of the noise, and which groups they will not see at all."""

    outputs: tuple[Expected, ...]
    least_units: Mapping[str, int]
    """By owner: distinct units that a group shows at least, after noise; empty where keys are declared."""


def preview(plan: NoisePlan, *, rows: int, typical: Mapping[str, Fraction] | None = None) -> Preview:
    """The error in a group of `rows` rows (for "units": that many units).

    `typical`: by output, the size of one value of a sum or mean in whole units; else the middle of its clamp.
    """
    if rows < 1:
        raise PrivacyParameterError(f"got an expected size of {rows} rows, expected at least 1")
    sizes = typical or {}
    expected = tuple(_expected(plan, output, rows, sizes.get(output.name)) for output in plan.outputs)
    return Preview(expected, {threshold.owner: threshold.least for threshold in plan.thresholds})


def _expected(plan: NoisePlan, output: NoisyOutput, rows: int, size: Fraction | None) -> Expected:
    unit = 10**output.scale
    middle = Fraction(output.low + output.high, 2 * unit) if size is None else size
    if output.kind == "mean":
        return _expected_mean(plan, output, rows, middle)
    noise = plan.column(output.name).noise
    half_width = reach_of(noise, _OUTSIDE) - 1
    value = rows * middle * unit if output.kind == "sum" else Fraction(rows)
    return Expected(output.name, math.sqrt(noise.variance), half_width, _relative(half_width, value))


def _expected_mean(plan: NoisePlan, output: NoisyOutput, rows: int, middle: Fraction) -> Expected:
    """(centred sum + noise) / (rows + noise), to first order in the noise."""
    unit = 10**output.scale
    total = plan.column(mean_sum_column(output.name)).noise.variance
    number = plan.column(output.rows_column()).noise.variance
    distance = middle * unit - output.centre
    deviation = math.sqrt(total + distance**2 * number) / rows / unit
    half_width = _NORMAL_95 * deviation
    return Expected(output.name, deviation, half_width, _relative(half_width, middle))


def _relative(half_width: float, value: Fraction) -> float | None:
    return None if value == 0 else half_width / abs(float(value))
