"""Writes the statements that compare the units behind one release with those behind an earlier one.

Like `protos.plan.sql`, from plans alone. For every row that the thresholds let through, and for all of them
together, the distinct privacy units of each dataset are laid down as a set. All that is asked of two sets is
how many units stand in one of them and not in the other. Follows `protos/plan/README.md`, "Differences".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protos.plan.plan import Plan
from protos.plan.quoting import quoted
from protos.plan.sql import expression_sql, group_column, group_values, rows_sql

WHOLE: Final = 0
"""The number of the set of all released rows together; rows count from 1."""


@dataclass(frozen=True)
class UnitSets:
    """Names of the temporary tables that hold the sets of one release."""

    name: str

    @property
    def rows(self) -> str:
        """(_row, _group_0, _group_1, …): the rows that the thresholds let through, numbered."""
        return quoted(f"_{self.name}_rows")

    def members(self, unit: int) -> str:
        """(_group_0, _group_1, …, _unit): the distinct units behind every row, let through or not."""
        return quoted(f"_{self.name}_members_{unit}")

    def units(self, unit: int) -> str:
        """(_row, _unit): the sets, of the unit with this index in `Plan.counted`."""
        return quoted(f"_{self.name}_units_{unit}")

    def tables(self, plan: Plan) -> list[str]:
        """All of them."""
        units = range(len(plan.counted))
        return [self.rows, *map(self.members, units), *map(self.units, units)]


def members_statements(plan: Plan, sets: UnitSets) -> list[str]:
    """What lays down the members, from the datasets; parameters stand as $name."""
    return [_members(plan, sets, unit) for unit in range(len(plan.counted))]


def sets_statements(plan: Plan, sets: UnitSets) -> list[str]:
    """What makes rows and sets out of the members."""
    return [_rows(plan, sets), *(_units(plan, sets, unit) for unit in range(len(plan.counted)))]


def too_similar_statement(
    new: UnitSets, new_unit: int, old: UnitSets, old_unit: int, *, required_units: int
) -> str:
    """The numbers of new sets that differ from an old one by at least 1 and fewer than `required_units`."""
    sizes = "SELECT _row, COUNT(*) AS _size FROM {0} GROUP BY _row"
    return f"""
WITH new_sizes AS ({sizes.format(new.units(new_unit))}), old_sizes AS ({sizes.format(old.units(old_unit))}),
     common AS (SELECT new._row AS new_row, old._row AS old_row, COUNT(*) AS _size
                FROM {new.units(new_unit)} AS new JOIN {old.units(old_unit)} AS old ON new._unit = old._unit
                GROUP BY new._row, old._row)
SELECT DISTINCT common.new_row FROM common
JOIN new_sizes ON new_sizes._row = common.new_row JOIN old_sizes ON old_sizes._row = common.old_row
WHERE new_sizes._size + old_sizes._size - 2 * common._size BETWEEN 1 AND {required_units - 1}
"""  # noqa: S608


def remove_statement(plan: Plan, sets: UnitSets, rows: list[int]) -> str:
    """Takes the numbered rows, or with `WHOLE` all that were let through, out of the table {computed}.

    That table has the hidden group columns.
    """
    numbers = ", ".join(map(str, rows))
    which = "TRUE" if WHOLE in rows else f"released._row IN ({numbers})"
    return (
        f"DELETE FROM {{computed}} AS computed USING {sets.rows} AS released "  # noqa: S608
        f"WHERE {which} AND {_same_groups(plan, 'computed', 'released')}"
    )


def _members(plan: Plan, sets: UnitSets, unit: int) -> str:
    values = [f"{value} AS {name}" for value, name in zip(group_values(plan), _groups(plan), strict=True)]
    everybody = f"SELECT {', '.join(values)}, {expression_sql(plan.counted[unit])} AS _unit\n{rows_sql(plan)}"
    return (
        f"CREATE TEMP TABLE {sets.members(unit)} AS "  # noqa: S608
        f"SELECT DISTINCT * FROM ({everybody}) WHERE _unit IS NOT NULL"
    )


def _rows(plan: Plan, sets: UnitSets) -> str:
    """A row is let through when enough units of every dataset are behind it."""
    groups = ", ".join(_groups(plan))
    enough = [
        f"SELECT {groups} FROM {sets.members(plan.counted.index(threshold.counted))} "  # noqa: S608
        f"GROUP BY {groups} HAVING COUNT(*) >= {threshold.required_units}"
        for threshold in plan.thresholds
    ]
    return (
        f"CREATE TEMP TABLE {sets.rows} AS "  # noqa: S608
        f"SELECT row_number() OVER () AS _row, {groups} FROM ({' INTERSECT '.join(enough)})"
    )


def _units(plan: Plan, sets: UnitSets, unit: int) -> str:
    joined = (
        f"{sets.members(unit)} AS members JOIN {sets.rows} AS released "
        f"ON {_same_groups(plan, 'members', 'released')}"
    )
    return (
        f"CREATE TEMP TABLE {sets.units(unit)} AS "  # noqa: S608
        f"SELECT released._row, members._unit FROM {joined} "
        f"UNION ALL SELECT DISTINCT {WHOLE}, members._unit FROM {joined}"
    )


def _groups(plan: Plan) -> list[str]:
    return [quoted(group_column(index)) for index in range(len(group_values(plan)))]


def _same_groups(plan: Plan, left: str, right: str) -> str:
    # NULL is a group like any other.
    return " AND ".join(f"{left}.{name} IS NOT DISTINCT FROM {right}.{name}" for name in _groups(plan))
