"""Writes the statements that compare the units behind one release with those behind an earlier one.

Like `protos.plan.sql`, from plans alone. For every row that the thresholds let through, and for all of them
together, the distinct privacy units of each dataset are a set. Of every set its size and its print are laid
down: the XOR of a secret pseudo-random number of each unit, the same for equal sets and, but for a chance of
about one in 2^96, for no others. Sizes and prints settle many pairs; for the rest the sets themselves are
laid down, and it is counted how many units stand in one and not in the other.
Follows `protos/plan/README.md`, "Differences".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from protos.plan.expressions import references_of
from protos.plan.hidden import COMPUTED, group_column, print_column, row_condition, units_column
from protos.plan.plan import Plan
from protos.plan.quoting import quoted
from protos.plan.sql import expression_sql, group_values, print_sql, rows_sql

WHOLE: Final = 0
"""The number of the set of all released rows together; rows count from 1."""
UNSETTLED: Final = "_unsettled"
"""The table with the numbers of new sets that sizes and prints do not settle."""


@dataclass(frozen=True)
class UnitSets:
    """Names of the tables that hold what is known of the sets of one release."""

    name: str

    @property
    def rows(self) -> str:
        """(_row, groups, sizes and prints): the rows that the thresholds let through, numbered."""
        return quoted(f"_{self.name}_rows")

    @property
    def whole(self) -> str:
        """(sizes and prints): one row, of all of them together."""
        return quoted(f"_{self.name}_whole")

    def members(self, unit: int) -> str:
        """(_row, _unit): the sets, of the unit with this index in `Plan.counted`."""
        return quoted(f"_{self.name}_members_{unit}")


def rows_statement(plan: Plan, sets: UnitSets) -> str:
    """Lays down the rows with their sizes and prints, from what was computed with sets."""
    columns = ", ".join([*_groups(plan), *_sizes(plan)])
    # The rows of a list have one set behind them all, and count as one row.
    distinct = "DISTINCT " if plan.analysis == "list" else ""
    return (
        f"CREATE OR REPLACE TABLE {sets.rows} AS SELECT row_number() OVER () AS _row, * FROM "  # noqa: S608
        f"(SELECT {distinct}{columns} FROM {COMPUTED} WHERE {row_condition(plan)})"
    )


def whole_statement(plan: Plan, sets: UnitSets) -> str:
    """Lays down size and print of all rows together; parameters stand as $name."""
    units = ", ".join(f"({_whole(plan, sets, unit)})" for unit in range(len(plan.counted)))
    return f"CREATE OR REPLACE TABLE {sets.whole} AS SELECT * FROM {units}"  # noqa: S608


def unsettled_statement(
    new: UnitSets, new_unit: int, old: UnitSets, old_unit: int, *, required_units: int
) -> str:
    """Lays down which new sets an old one may be too like: nearly as large, and not the same."""
    least, most = f"sizes._size - {required_units - 1}", f"sizes._size + {required_units - 1}"
    return f"""
CREATE OR REPLACE TEMP TABLE {UNSETTLED} AS
WITH new AS ({_all_sizes(new, new_unit)}),
     old AS (SELECT _size, MIN(_print) AS low, MAX(_print) AS high FROM ({_all_sizes(old, old_unit)}) GROUP BY _size),
     sizes AS (SELECT DISTINCT _size FROM new),
     near AS (SELECT sizes._size, MIN(low) AS low, MAX(high) AS high
              FROM sizes JOIN old ON old._size BETWEEN {least} AND {most} GROUP BY sizes._size)
SELECT new._row FROM new JOIN near ON new._size = near._size
WHERE NOT (near.low = new._print AND near.high = new._print)
"""  # noqa: S608, E501


def members_statement(plan: Plan, sets: UnitSets, unit: int) -> str:
    """Lays down the sets themselves, from the datasets; parameters stand as $name."""
    return (
        f"CREATE TEMP TABLE {sets.members(unit)} AS "  # noqa: S608
        f"WITH members AS ({_released_units(plan, sets, unit)}) "
        f"SELECT * FROM members UNION ALL SELECT DISTINCT {WHOLE}, _unit FROM members"
    )


def too_similar_statement(
    new: UnitSets, new_unit: int, old: UnitSets, old_unit: int, *, required_units: int
) -> str:
    """Which unsettled sets differ from an old one by at least 1 and fewer than `required_units`."""
    return f"""
WITH new_sizes AS ({_all_sizes(new, new_unit)}), old_sizes AS ({_all_sizes(old, old_unit)}),
     new AS (SELECT * FROM {new.members(new_unit)} WHERE _row IN (SELECT _row FROM {UNSETTLED})),
     common AS (SELECT new._row AS new_row, old._row AS old_row, COUNT(*) AS _size
                FROM new JOIN {old.members(old_unit)} AS old ON new._unit = old._unit
                GROUP BY new._row, old._row)
SELECT DISTINCT common.new_row FROM common
JOIN new_sizes ON new_sizes._row = common.new_row JOIN old_sizes ON old_sizes._row = common.old_row
WHERE new_sizes._size + old_sizes._size - 2 * common._size BETWEEN 1 AND {required_units - 1}
"""  # noqa: S608


def remove_statement(plan: Plan, sets: UnitSets, rows: list[int]) -> str:
    """Takes the numbered rows, with `WHOLE` all that were let through, out of what was computed."""
    numbers = ", ".join(map(str, rows))
    which = "TRUE" if WHOLE in rows else f"released._row IN ({numbers})"
    return (
        f"DELETE FROM {COMPUTED} AS computed USING {sets.rows} AS released "  # noqa: S608
        f"WHERE {which} AND {_same_groups(plan, 'computed', 'released')}"
    )


def _whole(plan: Plan, sets: UnitSets, unit: int) -> str:
    size, print_ = quoted(units_column(unit)), quoted(print_column(unit))
    if _is_in_one_row(plan, unit):
        parts, one_size, one_print = sets.rows, f"CAST(COALESCE(SUM({size}), 0) AS BIGINT)", print_
    else:
        parts = f"(SELECT DISTINCT _unit FROM ({_released_units(plan, sets, unit)}))"  # noqa: S608
        one_size, one_print = "COUNT(*)", print_sql("_unit")
    return f"SELECT {one_size} AS {size}, bit_xor({one_print}) AS {print_} FROM {parts}"  # noqa: S608


def _is_in_one_row(plan: Plan, unit: int) -> bool:
    """Whether no unit can be behind two rows: it is a key of its source, and all groups are of that."""
    counted = plan.counted[unit]
    if plan.analysis == "list" or not plan.groups:
        return True
    (source,) = [source for source in plan.sources if source.alias == counted.source]
    is_key = frozenset({counted.column}) in source.keys
    return is_key and all(
        reference.source == counted.source for group in plan.groups for reference in references_of(group)
    )


def _released_units(plan: Plan, sets: UnitSets, unit: int) -> str:
    values = [f"{value} AS {name}" for value, name in zip(group_values(plan), _groups(plan), strict=True)]
    everybody = f"SELECT {', '.join(values)}, {expression_sql(plan.counted[unit])} AS _unit\n{rows_sql(plan)}"
    return (
        f"SELECT DISTINCT released._row, everybody._unit FROM ({everybody}) AS everybody "  # noqa: S608
        f"JOIN {sets.rows} AS released ON {_same_groups(plan, 'everybody', 'released')} "
        "WHERE everybody._unit IS NOT NULL"
    )


def _all_sizes(sets: UnitSets, unit: int) -> str:
    """(_row, _size, _print) of every set. The print of the empty set is 0, as XOR has it."""
    columns = f"{quoted(units_column(unit))} AS _size, COALESCE({quoted(print_column(unit))}, 0) AS _print"
    return (
        f"SELECT _row, {columns} FROM {sets.rows} "  # noqa: S608
        f"UNION ALL SELECT {WHOLE}, {columns} FROM {sets.whole}"
    )


def _groups(plan: Plan) -> list[str]:
    return [quoted(group_column(index)) for index in range(len(group_values(plan)))]


def _sizes(plan: Plan) -> Iterator[str]:
    for unit in range(len(plan.counted)):
        yield quoted(units_column(unit))
        yield quoted(print_column(unit))


def _same_groups(plan: Plan, left: str, right: str) -> str:
    # NULL is a group like any other.
    return " AND ".join(f"{left}.{name} IS NOT DISTINCT FROM {right}.{name}" for name in _groups(plan))
