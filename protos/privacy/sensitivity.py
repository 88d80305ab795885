"""How much one unit can change a column of the result: the number that noise is measured by.

The neighbour of an owner's data is the same without all rows of one unit (a person), or with those of one
more. `Contribution` says by how much the rows behind the result then differ, *after joins, filters and
bounding*; the statement that computes the exact values has to see to it, nothing here can
(`docs/privacy.md`, "What the statement must guarantee"). Values are whole numbers: counts, and sums of
decimals in their smallest unit (cents).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from protos.privacy.errors import PrivacyParameterError

Measure = Literal["rows", "units", "sum"]
"""rows: COUNT(*), COUNT(x), COUNT(DISTINCT x), where a row more or less moves a cell by at most 1.
units: the distinct units of one owner, where that owner's unit moves a cell by at most 1 however many rows it
has, and another owner's unit counts as under `rows`.
sum: SUM(x), where a row moves a cell by at most the largest absolute value that x is clamped to."""

CONTRIBUTION_MAX: Final = 10**6
LARGEST_MAX: Final = 10**26
"""Of one clamped value in its smallest unit; sums take decimals of at most 26 digits."""


@dataclass(frozen=True)
class Contribution:
    """The most by which one unit of one owner changes the rows behind a result.

    A row that is there only with the unit counts, and so does a row that is there only without it, such as
    one for which a LEFT JOIN no longer finds a match. Rows of the second kind belong to no unit of the owner.
    """

    rows: int
    """Rows that differ, over all groups and all of the owner's datasets in the query."""
    groups: int
    """Groups (output rows) that they fall into."""
    rows_per_group: int
    """Of them in one group."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 1 <= value <= CONTRIBUTION_MAX:
                raise PrivacyParameterError(
                    f"contribution bound {name}: got {value}, expected from 1 to {CONTRIBUTION_MAX}"
                )


@dataclass(frozen=True)
class Sensitivity:
    """The largest change of a column over all cells, in two norms."""

    l1: int
    l2_squared: int


def sensitivity(measure: Measure, contribution: Contribution, *, own: bool, largest: int) -> Sensitivity:
    """Of one column, to one unit of the owner with `contribution`.

    `own`: for "units", whether it is this owner's units that are counted. `largest`: for "sum", of a value.
    """
    groups = min(contribution.groups, contribution.rows)
    if measure == "units" and own:
        return Sensitivity(groups, groups)
    per_group = min(contribution.rows_per_group, contribution.rows)
    rows = min(contribution.rows, groups * per_group)
    # The sum of squares is largest with as many full groups as possible and the rest in one more.
    full, rest = divmod(rows, per_group)
    squares = full * per_group**2 + rest**2
    each = largest if measure == "sum" else 1
    return Sensitivity(rows * each, squares * each**2)
