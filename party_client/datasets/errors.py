"""Why a dataset is refused before anything leaves: by file, by column or by row, and never by value.

The messages are for the dataset's owner, but they end up in tickets and logs: they name rows, columns and
what was expected. What stood there instead is the owner's to look up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from protos.formats.errors import ConcordatError

PROBLEMS_MAX: Final = 20
"""Rows that are named before reading stops: enough to see the pattern."""
_SHOWN: Final = 20


class DatasetError(ConcordatError):
    """A dataset is not what the agreement says."""

    code = "dataset/refused"


class SourceFileError(DatasetError):
    """The file as such cannot be read: missing, empty, of another kind or in another encoding."""

    code = "dataset/file"


class SourceChangedError(DatasetError):
    """The file was written to while it was read, or since an interrupted upload began."""

    code = "dataset/changed"


class ColumnsError(DatasetError):
    """Columns are missing, left over, or of a type that cannot be carried over exactly."""

    code = "dataset/columns"


class TooMuchDataError(DatasetError):
    """More rows or bytes than the agreement allows, or a row that does not fit into a chunk."""

    code = "dataset/too-much"


@dataclass(frozen=True, order=True)
class RowProblem:
    """One cell, or one row, that is not as agreed."""

    row: int
    """1 is the first row of data; a header is not counted."""
    column: str
    """Empty when the row as such is at fault."""
    expected: str

    def __str__(self) -> str:
        where = f"row {self.row}, {self.column}" if self.column else f"row {self.row}"
        return f"{where}: {self.expected}"


class RowsError(DatasetError):
    """Some rows are not as agreed; `problems` holds the first of them, in order."""

    code = "dataset/rows"

    def __init__(self, source: str, problems: Sequence[RowProblem], *, hint: str | None = None) -> None:
        self.problems: Final = tuple(sorted(problems))[:PROBLEMS_MAX]
        more = "; reading stopped there" if len(problems) >= PROBLEMS_MAX else ""
        shown = "\n  ".join(str(problem) for problem in self.problems[:_SHOWN])
        super().__init__(
            f"{source}: {len(self.problems)} {'rows are' if len(self.problems) > 1 else 'row is'} not as "
            f"agreed{more}\n  {shown}",
            hint=hint or "correct these rows at the source; nothing has been accepted by the enclave",
        )
