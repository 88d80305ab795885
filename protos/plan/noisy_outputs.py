"""Which exact numbers a query with noise is made of: those it names, and those that owners' thresholds need.

Reads a plan and whose units it protects. Each aggregate becomes an output of the noise accounting and the
columns that the engine has to measure for it. An owner's threshold becomes a floor for a *noisy* number of
units, behind every row and behind every value that not all rows support: so hidden outputs count those, and
cost a part of the share like any other. A threshold of 1 needs none. Raises `QueryRefusedError` for
aggregates that noise cannot cover.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from protos.plan.clamps import is_clamped
from protos.plan.errors import QueryRefusedError
from protos.plan.expressions import Aggregate, ColumnRef, Expression, Reference, columns_of
from protos.plan.hidden import support_column, units_column
from protos.plan.plan import Measured, Plan
from protos.plan.relations import first_equal
from protos.plan.stakes import Protected
from protos.plan.value_bounds import bounds_of
from protos.privacy import NoisyOutput, mean_rows_column, mean_sum_column
from protos.privacy.outputs import DECIMAL_MAX, INT64_MAX


@dataclass
class Measurements:
    """What `measurements_of` found."""

    required_units: int
    noisy: list[NoisyOutput] = field(default_factory=list)
    measured: list[Measured] = field(default_factory=list)
    units_output: str = ""
    """The output that counts the protected units of a whole cell, if there is one."""
    row_floors: tuple[str, ...] = ()
    value_floors: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def outputs(self) -> tuple[NoisyOutput, ...]:
        """For the noise accounting, in the order of the query and hidden ones after."""
        return tuple(self.noisy)

    @property
    def columns(self) -> tuple[Measured, ...]:
        """For the engine, one for each exact column."""
        return tuple(self.measured)

    def add(self, output: NoisyOutput, *measured: Measured) -> None:
        """One more output and what it is made of."""
        self.noisy.append(output)
        self.measured += measured


def measurements_of(
    plan: Plan, protected: Protected, *, is_selecting: bool, weights: Mapping[str, int]
) -> Measurements:
    """See the module. `is_selecting`: whether groups are shown by their noisy number of units."""
    aggregates = {
        output.name: output.expression for output in plan.outputs if isinstance(output.expression, Aggregate)
    }
    if not aggregates:
        raise QueryRefusedError(
            "a query with noise has at least one aggregate", hint="noise is added to numbers: output COUNT(*)"
        )
    if strangers := sorted(weights.keys() - aggregates.keys()):
        raise QueryRefusedError(
            f"`noise` gives a weight to {strangers[0]}, which is not an aggregate of the query",
            hint=f"the aggregates are {', '.join(aggregates)}",
        )
    found = Measurements(plan.thresholds[0].required_units)
    for name, aggregate in aggregates.items():
        if aggregate.function == "count_distinct":
            _require_unit(name, aggregate.argument, plan, protected)
            found.units_output = found.units_output or name
        output, columns = _measured(name, aggregate, protected, weights.get(name, 1), aggregates)
        found.add(output, *columns)
    if is_selecting or found.required_units > 1:
        _add_row_floors(found, plan, protected)
    if found.required_units > 1:
        _add_value_floors(found, aggregates, plan, protected)
    return found


def _measured(
    name: str,
    aggregate: Aggregate,
    protected: Protected,
    weight: int,
    aggregates: Mapping[str, Aggregate],
) -> tuple[NoisyOutput, list[Measured]]:
    """One aggregate of the query as an output with noise, and what the engine measures for it."""
    argument = aggregate.argument
    match aggregate.function:
        case "count_rows" | "count":
            return NoisyOutput(name, "rows", weight=weight), [Measured(name, "rows", argument)]
        case "count_distinct":
            output = NoisyOutput(name, "units", owner=protected.owner, weight=weight)
            return output, [Measured(name, "units", protected.unit)]
        case "sum" if argument is not None:
            low, high = _clamp(name, argument)
            limit = DECIMAL_MAX if aggregate.type.kind == "decimal" else INT64_MAX
            output = NoisyOutput(name, "sum", low=low, high=high, limit=limit, weight=weight)
            return output, [Measured(name, "sum", argument)]
        case "avg" if argument is not None:
            return _mean(name, argument, weight, aggregates)
    raise QueryRefusedError(
        f"{name}: {aggregate.function.upper()} is a value of one unit, and {protected.owner} has a privacy "
        "budget: no noise hides it",
        hint="with noise there are COUNT, COUNT(DISTINCT privacy unit), SUM and AVG",
    )


def _mean(
    name: str, argument: Expression, weight: int, aggregates: Mapping[str, Aggregate]
) -> tuple[NoisyOutput, list[Measured]]:
    """A noisy sum divided by a noisy number of rows, which is one of the query's counts where it has it."""
    low, high = _clamp(name, argument, is_mean=True)
    counts = {
        _rows_of(other.argument): output
        for output, other in aggregates.items()
        if other.function in ("count_rows", "count")
    }
    rows = _rows_of(argument)
    counted_by = "" if rows == _UNKNOWN else counts.get(rows, "")
    columns = [Measured(mean_sum_column(name), "sum", argument)]
    if not counted_by:
        columns.append(Measured(mean_rows_column(name), "rows", argument))
    scale = argument.type.scale
    return NoisyOutput(
        name, "mean", low=low, high=high, scale=scale, counted_by=counted_by, weight=weight
    ), columns


_UNKNOWN: Final = "rows that no count is known to be over"


def _rows_of(argument: Expression | None) -> ColumnRef | str | None:
    """Over which rows a count or a mean is: all (None), or those in which a column has a value."""
    if argument is None:
        return None
    if is_clamped(argument):
        (argument,) = columns_of(argument)
    if not isinstance(argument, ColumnRef):
        return _UNKNOWN
    return argument if argument.nullable else None


def _clamp(name: str, argument: Expression, *, is_mean: bool = False) -> tuple[int, int]:
    low, high = bounds_of(argument, what=name)
    if (low, high) == (0, 0) or (is_mean and low == high):
        raise QueryRefusedError(
            f"{name} is over values that can only be one number", hint="count them, or widen the clamp"
        )
    return low, high


def _require_unit(name: str, argument: Expression | None, plan: Plan, protected: Protected) -> None:
    if not isinstance(argument, ColumnRef) or first_equal(argument, plan.sources) != protected.unit:
        raise QueryRefusedError(
            f"{name}: COUNT(DISTINCT …) of something else than the privacy unit of {protected.owner}, who "
            "has a privacy budget",
            place=argument.place if isinstance(argument, ColumnRef) else None,
            hint="count the distinct privacy units, or COUNT(x) for the rows that have a value",
        )


def _add_row_floors(found: Measurements, plan: Plan, protected: Protected) -> None:
    """The numbers of units behind a cell: of the protected ones, to select by; of all, for thresholds."""
    names = []
    for index, unit in enumerate(plan.counted):
        if unit == protected.unit and found.units_output:
            names.append(found.units_output)
        elif unit == protected.unit or found.required_units > 1:
            names.append(units_column(index))
            _add_units(found, units_column(index), unit, protected)
            if unit == protected.unit:
                found.units_output = units_column(index)
    if found.required_units > 1:
        found.row_floors = tuple(names)


def _add_value_floors(
    found: Measurements, aggregates: Mapping[str, Aggregate], plan: Plan, protected: Protected
) -> None:
    """The same over the rows that support an aggregate, for each of its supports."""
    for number, support in enumerate(plan.supports):
        for index, unit in enumerate(plan.counted):
            _add_units(found, support_column(number, index), unit, protected, support)
    found.value_floors = tuple(
        (
            name,
            tuple(
                support_column(plan.supports.index(support), index)
                for support in aggregate.supports
                for index in range(len(plan.counted))
            ),
        )
        for name, aggregate in aggregates.items()
        if aggregate.supports
    )


def _add_units(
    found: Measurements, name: str, unit: Reference, protected: Protected, support: Expression | None = None
) -> None:
    # Distinct units of somebody else change by at most one with each row, like rows.
    is_protected = unit == protected.unit
    output = NoisyOutput(
        name, "units" if is_protected else "rows", owner=protected.owner if is_protected else ""
    )
    found.add(output, Measured(name, "units", unit, support))
