"""The hidden columns of a computed result: their names, and what must stand in them for a row to leave.

A name in a query begins with a letter, these with an underscore, so no query can name them.
"""

from __future__ import annotations

from typing import Final

from protos.plan.plan import Plan
from protos.plan.quoting import quoted

COMPUTED: Final = "_computed"
"""The table that a result is computed into, before anything of it may leave."""


def group_column(number: int) -> str:
    """The value of one GROUP BY expression."""
    return f"_group_{number}"


def units_column(unit: int) -> str:
    """The number of distinct values of the unit with this index in `Plan.counted`."""
    return f"_units_{unit}"


def support_column(support: int, unit: int) -> str:
    """As `units_column`, over the rows that support an aggregate; `support` is its index in the plan."""
    return f"_units_{unit}_support_{support}"


def print_column(unit: int) -> str:
    """The print of the set that `units_column` counts; see `protos.plan.unit_sets`."""
    return f"_print_{unit}"


def row_condition(plan: Plan) -> str:
    """SQL: whether so many distinct units of every dataset are behind a row as its owners ask for."""
    return " AND ".join(
        f"{quoted(units_column(plan.counted.index(threshold.counted)))} >= {threshold.required_units}"
        for threshold in plan.thresholds
    )
