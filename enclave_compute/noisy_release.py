"""What leaves of a query with noise: values with fresh noise, in cells that do not depend on single units.

Works on exact whole numbers that the engine computed for every cell. All that is shown (which rows, which
values, how many bytes) follows from numbers that noise was added to, and from the agreement. Owners'
thresholds are floors for noisy numbers of units; how much is held back below them is not told. Charge the
plan's costs before anything of it can be fetched; draw once for each run. Follows `docs/privacy.md`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import nanoarrow as na
from nanoarrow.c_array_stream import CArrayStream

from enclave_compute.engine import Computed
from enclave_compute.errors import RefusedError
from enclave_compute.noise import NoisyCells, add_noise
from enclave_compute.samplers import Sampler
from enclave_compute.table import columns_sql, write_table
from protos.formats.calls import Refusal
from protos.formats.receipt import Suppression
from protos.plan import Output, Plan
from protos.plan.noise_sql import CELL, NOISY, numbers_select, shown_select
from protos.plan.plan import Noise
from protos.plan.quoting import quoted

Value = int | float | None
SELECTED_CELLS_MAX: Final = 2**21
"""Groups that exist in the data, shown or not, where keys are selected. Declared ones are fewer by format."""


@dataclass(frozen=True)
class NoisyTable:
    """What may leave of one run with noise."""

    table_ipc: bytes
    suppressed: tuple[Suppression, ...]
    """The rules, the same for any data: what they held back is not told."""
    rows: int


def draw(computed: Computed, plan: Plan, noise: Noise, sampler: Sampler) -> NoisyTable:
    """The result of one run; `computed` are the cells of `plan`. Another call draws other noise."""
    _require_few_enough(computed)
    cells = add_noise(noise.plan, _exact(computed, noise), sampler)
    shown, values = _above_floors(noise, cells)
    computed.lay_down(NOISY, _Stream(_noisy_array(plan, shown, values)))
    order = ", ".join(f"{quoted(output.name)} ASC NULLS LAST" for output in plan.outputs)
    select = f"SELECT {columns_sql(plan.outputs)} FROM ({shown_select(plan)}) ORDER BY {order}"  # noqa: S608
    return NoisyTable(write_table(plan.outputs, computed.batches(select)), rules_of(noise), len(shown))


def rules_of(noise: Noise) -> tuple[Suppression, ...]:
    """What holds something back of a query with noise, whether it did or not."""
    rules = [
        f"a group with a noisy number of units below {threshold.least}, for {threshold.owner}"
        for threshold in noise.plan.thresholds
    ]
    if noise.row_floors:
        rules.append(f"a row or value with a noisy number of units below {noise.required_units} behind it")
    return tuple(Suppression(rule, None) for rule in rules)


def _require_few_enough(computed: Computed) -> None:
    """Numbers under noise are not in the engine's memory. A run that fails here is charged."""
    (cells,) = computed.numbers(["COUNT(*)"])
    if cells > SELECTED_CELLS_MAX:
        raise RefusedError(Refusal.OVER_LIMIT, f"more than {SELECTED_CELLS_MAX} groups to add noise to")


def _exact(computed: Computed, noise: Noise) -> Mapping[str, Sequence[int]]:
    rows = computed.texts(numbers_select(noise))
    columns = list(zip(*rows, strict=True)) or [()] * len(noise.measured)
    return {item.name: list(map(int, column)) for item, column in zip(noise.measured, columns, strict=True)}


def _above_floors(noise: Noise, cells: NoisyCells) -> tuple[list[int], dict[str, list[Value]]]:
    """The cells that are shown, and the values of each, None where one does not reach a floor.

    Selected rows below a floor are not shown at all; declared ones are, without values.
    """
    enough = [_reach(noise, cells, noise.row_floors, index) for index in range(len(cells.shown))]
    kept = [index for index, is_enough in enumerate(enough) if is_enough or noise.domains is not None]
    floors = dict(noise.value_floors)
    values = {
        name: [
            cells.values[name][index]
            if enough[index] and _reach(noise, cells, floors.get(name, ()), index)
            else None
            for index in kept
        ]
        for name in noise.visible
    }
    return [cells.shown[index] for index in kept], values


def _reach(noise: Noise, cells: NoisyCells, names: Sequence[str], index: int) -> bool:
    numbers = (cells.values[name][index] for name in names)
    return all(number is not None and number >= noise.required_units for number in numbers)


def _noisy_array(plan: Plan, shown: Sequence[int], values: Mapping[str, Sequence[Value]]) -> Any:
    """`CELL` and the values, as one Arrow array of structs."""
    columns = {CELL: na.c_array(list(shown), na.int64())}
    for output in plan.outputs:
        if output.kind == "aggregate":
            columns[output.name] = _column(output, values[output.name])
    schema = na.struct({name: column.schema for name, column in columns.items()})
    return na.c_array_from_buffers(schema, len(shown), [None], null_count=0, children=list(columns.values()))


def _column(output: Output, values: Sequence[Value]) -> Any:
    kind = output.type
    if kind.kind == "decimal":
        texts = [None if value is None else _decimal_text(int(value), kind.scale) for value in values]
        return na.c_array(texts, na.string())
    return na.c_array(list(values), na.float64() if kind.kind == "float64" else na.int64())


def _decimal_text(smallest_units: int, scale: int) -> str:
    digits = str(abs(smallest_units)).rjust(scale + 1, "0")
    sign, whole = "-" if smallest_units < 0 else "", len(digits) - scale
    return f"{sign}{digits[:whole]}.{digits[whole:]}" if scale else f"{sign}{digits}"


@dataclass(frozen=True)
class _Stream:
    """One array, exported to the engine as often as it asks."""

    array: Any

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The Arrow PyCapsule interface; a requested schema is advice and is not taken."""
        stream = CArrayStream.from_c_arrays([self.array], self.array.schema, validate=False)
        return stream.__arrow_c_stream__()
