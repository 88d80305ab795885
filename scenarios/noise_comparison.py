"""Whether a noisy table is as close to the exact one as the noise of its agreement says.

Every figure has bounds that noise leaves with a probability which, for all figures together, is at most
`FALSE_ALARMS`; they follow from the plan that the enclave ran and from the exact answer. Raises
`MismatchError`, which names rows and columns but no value.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

import pandas as pd

from protos.plan import Plan
from protos.plan.plan import Noise
from protos.privacy import NoisyOutput, mean_sum_column
from protos.privacy.tails import reach_of
from scenarios.errors import MismatchError

FALSE_ALARMS: Final = Fraction(1, 10**9)


def require_close(released: pd.DataFrame, exact: pd.DataFrame, plan: Plan) -> int:
    """Returns how many figures were compared, all of which were close enough.

    Rows are those of declared groups, the same in both tables. Blank figures are compared with nothing.
    """
    noise = plan.noise
    if noise is None or noise.domains is None:
        raise MismatchError("the query has no noise over declared groups: compare it exactly")
    if list(released.columns) != list(exact.columns):
        raise MismatchError(f"columns: got {list(released.columns)}, expected {list(exact.columns)}")
    keys = [output.name for output in plan.outputs if output.kind == "group"]
    got = released.set_index(keys) if keys else released
    wanted = exact.set_index(keys) if keys else exact
    if len(got) != len(wanted) or set(got.index) != set(wanted.index):
        raise MismatchError(f"groups: got {len(got)} rows that are not the {len(wanted)} expected")
    wanted = wanted.reindex(got.index)
    compared = 0
    allowed = _Allowed(noise, len(exact))
    for number in range(len(got)):
        row = wanted.iloc[number]
        for output in (item for item in noise.plan.outputs if item.name in noise.visible):
            value = got.iloc[number][output.name]
            if pd.isna(value):
                continue
            compared += 1
            if not allowed.is_close(plan, output, value, row):
                raise MismatchError(f"row {number + 1}: {output.name} is further off than noise explains")
    if not compared:
        raise MismatchError("every figure is blank: there is nothing to compare")
    return compared


class _Allowed:
    """How far off a figure may be. A mean has two noises, so twice as many draws are counted as figures."""

    def __init__(self, noise: Noise, rows: int) -> None:
        self._noise = noise
        # Two sides of every draw.
        self._each = FALSE_ALARMS / (2 * rows * len(noise.plan.columns))

    def reach(self, column: str) -> int:
        return reach_of(self._noise.plan.column(column).noise, self._each) - 1

    def is_close(self, plan: Plan, output: NoisyOutput, value: Any, row: pd.Series[Any]) -> bool:
        if output.kind == "mean":
            return self._is_mean_close(output, value, row)
        (scale,) = (item.type.scale for item in plan.outputs if item.name == output.name)
        distance = abs(Fraction(str(value)) - Fraction(str(row[output.name]))) * 10**scale
        return bool(distance <= self.reach(output.name))

    def _is_mean_close(self, output: NoisyOutput, value: Any, row: pd.Series[Any]) -> bool:
        """(S + s) / (n + r) is between its ends for the largest s and r of either sign, within the clamp."""
        unit, rows = int(10**output.scale), int(row[output.counted_by])
        exact = Fraction(float(row[output.name])) if rows else Fraction(0)
        centred = (exact * unit - output.centre) * rows
        total, number = self.reach(mean_sum_column(output.name)), self.reach(output.counted_by)
        shown = Fraction(float(value)) * unit
        if rows - number < 1:
            return output.low <= shown <= output.high
        ends = [(centred + s) / (rows + r) for s in (-total, total) for r in (-number, number)]
        return min(ends) - _ROUNDING <= shown - output.centre <= max(ends) + _ROUNDING


_ROUNDING: Final = Fraction(1, 10**6)
"""Of a mean, which is a double, in smallest units."""
