"""Which columns of a result get noise, and which exact whole numbers each is made of.

A mean is not measured: it is a noisy sum divided by a noisy number of rows. Its sum is taken of the distances
to the middle of the clamp, which are at most half as large as the values, so it needs half the noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from protos.privacy.errors import PrivacyParameterError
from protos.privacy.sensitivity import LARGEST_MAX, Measure

OutputKind = Literal["rows", "units", "sum", "mean"]
INT64_MAX: Final = 2**63 - 1
DECIMAL_MAX: Final = 10**38 - 1
WEIGHT_MAX: Final = 1000


@dataclass(frozen=True)
class NoisyOutput:
    """One aggregate of the query as its plan describes it."""

    name: str
    kind: OutputKind
    owner: str = ""
    """For "units": whose distinct units are counted."""
    low: int = 0
    """For "sum" and "mean": what each value is clamped to from below, in its smallest unit."""
    high: int = 0
    """And from above."""
    scale: int = 0
    """For "mean": decimal places of the values; the mean is released as a number of whole units."""
    counted_by: str = ""
    """For "mean": a "rows" output over exactly the same rows, whose noise is then shared; or none."""
    limit: int = INT64_MAX
    """Released whole numbers are saturated to -limit … limit."""
    weight: int = 1
    """Its part of the run's share beside the other outputs: twice the weight, half the rho (or epsilon)."""

    def __post_init__(self) -> None:
        if not 1 <= self.weight <= WEIGHT_MAX:
            raise PrivacyParameterError(
                f"{self.name}: got weight {self.weight}, expected from 1 to {WEIGHT_MAX}"
            )
        if (self.kind == "units") != bool(self.owner):
            raise PrivacyParameterError(f"{self.name}: an owner belongs to the kind units, and to no other")
        if self.kind in ("sum", "mean"):
            self._require_clamp()

    @property
    def centre(self) -> int:
        """For "mean": what is subtracted from every value before it is summed."""
        return (self.low + self.high) // 2

    def columns(self) -> tuple[ExactColumn, ...]:
        """The exact columns that are to be measured for this output."""
        if self.kind == "mean":
            largest = max(self.high - self.centre, self.centre - self.low)
            total = ExactColumn(mean_sum_column(self.name), "sum", self.weight, largest=largest)
            rows = ExactColumn(mean_rows_column(self.name), "rows", self.weight)
            return (total,) if self.counted_by else (total, rows)
        if self.kind == "sum":
            return (ExactColumn(self.name, "sum", self.weight, largest=max(abs(self.low), abs(self.high))),)
        return (ExactColumn(self.name, self.kind, self.weight, owner=self.owner),)

    def rows_column(self) -> str:
        """For "mean": the column that says over how many rows."""
        return self.counted_by or mean_rows_column(self.name)

    def _require_clamp(self) -> None:
        largest = max(abs(self.low), abs(self.high))
        if not self.low <= self.high or not 1 <= largest <= LARGEST_MAX:
            raise PrivacyParameterError(
                f"{self.name}: got a clamp from {self.low} to {self.high}, expected low <= high, not both 0, "
                f"of at most {LARGEST_MAX}",
                hint="clamp every summed value to a range that most values are in",
            )
        if self.kind == "mean" and self.low == self.high:
            raise PrivacyParameterError(f"{self.name}: the clamp of a mean has two ends")


@dataclass(frozen=True)
class ExactColumn:
    """A column that the engine computes exactly, a whole number for each cell, and never shows."""

    name: str
    measure: Measure
    weight: int
    owner: str = ""
    largest: int = 1
    """For "sum": the largest absolute value of one row."""
    is_everybodys: bool = False
    """For "units": whether the units of every owner with a stake are this one column."""


def mean_sum_column(output: str) -> str:
    """The exact SUM of clamped values under the mean `output`; centred before noise is added."""
    return f"{output}.sum"


def mean_rows_column(output: str) -> str:
    """The exact number of rows with a value under the mean `output`."""
    return f"{output}.rows"


def key_units_column(owner: str) -> str:
    """The exact number of distinct units of `owner` behind a cell, for selecting keys."""
    return f"{owner}.units"
