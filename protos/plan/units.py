"""Whose units the rows of some joined sources are, and which columns keep rows of one unit together.

A column fixes a unit when all rows that agree in it are of that one unit, or of none. The privacy unit fixes
itself; so does a column that a join compares with it. Of a LEFT JOIN only the earlier side does: the joined
side is NULL for everybody who found no match. Pure; `protos/plan/README.md`, "Derived tables".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from protos.formats.schema import Dataset
from protos.plan.expressions import Reference
from protos.plan.relations import AnySource, first_equal


@dataclass(frozen=True)
class UnitInScope:
    """The privacy unit of one dataset in the rows of some sources."""

    dataset: Dataset
    reference: Reference
    fixed_by: frozenset[tuple[str, str]]
    """(source, column) of every column that fixes it."""
    may_miss: bool
    """Whether a row can be of no unit of this dataset."""

    def is_fixed_by(self, columns: Iterable[Reference]) -> bool:
        """Whether rows that agree in all of `columns` are of one unit, or of none."""
        return any(name_of(column) in self.fixed_by for column in columns)


def units_in(sources: tuple[AnySource, ...]) -> tuple[UnitInScope, ...]:
    """One for each dataset, in the order of the sources."""
    return tuple(
        UnitInScope(
            dataset=unit.dataset,
            reference=first_equal(source.reference(unit.column), sources),
            fixed_by=_closed({(source.alias, name) for name in (*unit.fixed_by, unit.column)}, sources),
            may_miss=unit.may_miss or (source.join is not None and source.join.is_left),
        )
        for source in sources
        for unit in source.units
    )


def name_of(column: Reference) -> tuple[str, str]:
    """By what a column is told from the others of its scope."""
    return column.source, column.column


def _closed(fixing: set[tuple[str, str]], sources: tuple[AnySource, ...]) -> frozenset[tuple[str, str]]:
    """`fixing` and what the joins compare with it, until nothing is added."""
    joins = [source.join for source in sources if source.join is not None]
    size = 0
    while size != len(fixing):
        size = len(fixing)
        for join in joins:
            for earlier, new in join.equalities:
                if name_of(new) in fixing:
                    fixing.add(name_of(earlier))
                if name_of(earlier) in fixing and not join.is_left:
                    fixing.add(name_of(new))
    return frozenset(fixing)
