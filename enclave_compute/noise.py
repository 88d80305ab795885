"""What of exact aggregates may be shown under differential privacy: noisy values, and which cells at all.

Reads a plan that depends on no data (`protos.privacy.plan_noise`) and exact whole numbers that the engine
computed, one for each cell and column. It assumes of them what the plan was made for: that one unit changes
them by no more than its owner's `Contribution` and the clamps allow. Guarantees that what it gives back
depends on the exact numbers through noisy values alone, and that it fails on none: numbers saturate, a mean
over a noisy number of rows below 1 is None. Charge `plan.costs` before calling it, and never show anything
else of the exact numbers, such as how many cells were left out.

Follows `docs/privacy.md`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from enclave_compute.errors import RefusedError
from enclave_compute.samplers import Sampler
from protos.formats.calls import Refusal
from protos.privacy import Noise, NoisePlan, NoisyOutput, mean_sum_column

ExactColumns = Mapping[str, Sequence[int]]
"""By name of `ExactColumn`: a number for each cell, 0 where SQL would say NULL. Sums of means as they are."""
Values = list[int] | list[float | None]


@dataclass(frozen=True)
class NoisyCells:
    """What may leave: values with noise, of the cells that are shown."""

    shown: Sequence[int]
    """Positions among the exact cells, ascending: to pick their keys by, and not to be shown themselves."""
    values: Mapping[str, Values]
    """By output, one for each of `shown`."""


def add_noise(plan: NoisePlan, exact: ExactColumns, sampler: Sampler) -> NoisyCells:
    """Fresh noise on every value of every cell that is shown."""
    cells = _cells(plan, exact)
    noisy: dict[str, list[int]] = {}
    shown: Sequence[int] = range(cells)
    for threshold in plan.thresholds:
        column = plan.column(threshold.column)
        noisy[threshold.column] = _with_noise(exact[threshold.column], column.noise, sampler)
    if plan.thresholds:
        shown = [cell for cell in range(cells) if _passes(plan, noisy, cell)]
        noisy = {name: [values[cell] for cell in shown] for name, values in noisy.items()}
    for column in plan.columns:
        name = column.exact.name
        if name not in noisy:
            chosen = _centred(plan, exact, name, shown)
            noisy[name] = _with_noise(chosen, column.noise, sampler)
    return NoisyCells(shown, {output.name: _released(output, noisy) for output in plan.outputs})


def _cells(plan: NoisePlan, exact: ExactColumns) -> int:
    lengths = {len(exact[column.exact.name]) for column in plan.columns if column.exact.name in exact}
    missing = [column.exact.name for column in plan.columns if column.exact.name not in exact]
    if missing or len(lengths) != 1:
        raise RefusedError(Refusal.INTERNAL, "the exact columns are not those of the noise plan")
    return lengths.pop()


def _with_noise(values: Sequence[int], noise: Noise, sampler: Sampler) -> list[int]:
    draw = sampler.gaussian if noise.mechanism == "gaussian" else sampler.laplace
    return [value + drawn for value, drawn in zip(values, draw(noise.scale, len(values)), strict=True)]


def _passes(plan: NoisePlan, noisy: Mapping[str, Sequence[int]], cell: int) -> bool:
    return all(noisy[threshold.column][cell] >= threshold.least for threshold in plan.thresholds)


def _centred(plan: NoisePlan, exact: ExactColumns, name: str, shown: Sequence[int]) -> list[int]:
    """The exact column in the shown cells; of a mean's sum, what is above or below its centre."""
    column = exact[name]
    for output in plan.outputs:
        if mean_sum_column(output.name) == name:
            rows = exact[output.rows_column()]
            return [column[cell] - output.centre * rows[cell] for cell in shown]
    return [column[cell] for cell in shown]


def _released(output: NoisyOutput, noisy: Mapping[str, Sequence[int]]) -> Values:
    if output.kind == "mean":
        sums, rows = noisy[mean_sum_column(output.name)], noisy[output.rows_column()]
        return [_mean(output, total, number) for total, number in zip(sums, rows, strict=True)]
    return [max(-output.limit, min(output.limit, value)) for value in noisy[output.name]]


def _mean(output: NoisyOutput, total: int, rows: int) -> float | None:
    """Within the clamp; one division of whole numbers, rounded correctly."""
    if rows < 1:
        return None
    lowest, highest = (output.low - output.centre) * rows, (output.high - output.centre) * rows
    distance = max(lowest, min(highest, total))
    unit: int = 10**output.scale
    return (output.centre * rows + distance) / (rows * unit)
