"""Which rows of a CSV file are at fault, after a fast look has failed: slower, and by the same parser.

Every cell is read as bytes first, so that nothing fails; then each column of each block is converted on its
own, exactly as the fast look would, and halved until the single cells stand alone. Rows with a wrong number
of cells are reported by the parser itself.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv

from party_client.datasets.columns import HEX_DIGITS, expected
from party_client.datasets.conform import failing_positions
from party_client.datasets.csv_file import BLOCK_BYTES, open_reader
from party_client.datasets.errors import PROBLEMS_MAX, RowProblem, RowsError
from party_client.datasets.sources import CsvSettings
from party_client.datasets.stable_file import StableFile
from protos.formats.limits import CELL_MAX_BYTES, MIB
from protos.formats.schema import Column, Dataset


def require_rows(
    path: Path,
    settings: CsvSettings,
    dataset: Dataset,
    types: dict[str, Any],
    *,
    rows_read: int,
) -> None:
    """Raises `RowsError` with the first rows that cannot be read; returns if all can.

    The fast look has read the first `rows_read` rows without a fault.
    """
    problems: list[RowProblem] = []
    wrong_length = _WrongLength(problems)
    rows = 0
    with StableFile(path) as file:
        try:
            as_bytes = {column.name: pa.binary() for column in dataset.columns}
            reader = open_reader(file, settings, as_bytes, on_bad_row=wrong_length, use_threads=False)
            for batch in reader:
                if rows + batch.num_rows > rows_read:
                    found = _problems(batch, dataset, types)
                    problems += [replace(one, row=wrong_length.row(rows + one.row)) for one in found]
                rows += batch.num_rows
                if len(problems) >= PROBLEMS_MAX:
                    break
        except pa.ArrowInvalid:
            problems.append(
                RowProblem(
                    wrong_length.row(rows),
                    "",
                    f"at this row or soon after it: a row of more than {BLOCK_BYTES // MIB} MiB, "
                    f"or a quotation mark that is never closed (a cell holds at most {CELL_MAX_BYTES} bytes)",
                )
            )
    if problems:
        raise RowsError(str(path), problems, hint=_hint(problems))


def _problems(batch: pa.RecordBatch, dataset: Dataset, types: dict[str, Any]) -> list[RowProblem]:
    """What is wrong in one block; rows are counted from 0 in it."""
    found: list[RowProblem] = []
    for column in dataset.columns:
        convert = _conversion(types[column.name])
        cells = batch.column(column.name)
        for position in failing_positions(convert, cells):
            what = _expected(column, types[column.name], cells[position].as_py())
            found.append(RowProblem(position, column.name, what))
    return found


def _conversion(wanted: pa.DataType) -> Callable[[pa.Array[Any]], object]:
    if wanted == pa.string():
        return lambda cells: cells.cast(pa.string())
    return lambda cells: _reparse(cells, wanted)


def _reparse(cells: pa.Array[Any], wanted: pa.DataType) -> pa.Table:
    """A file of this one column, read by the parser of the fast look."""
    lines = [b"cell", *(_quoted(cell) for cell in cells.to_pylist() if cell is not None)]
    return csv.read_csv(
        BytesIO(b"\n".join(lines)),
        read_options=csv.ReadOptions(use_threads=False, block_size=4 * BLOCK_BYTES + sum(map(len, lines))),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types={"cell": wanted}, null_values=[], strings_can_be_null=False
        ),
    )


def _quoted(cell: bytes) -> bytes:
    return b'"' + cell.replace(b'"', b'""') + b'"'


def _expected(column: Column, wanted: Any, cell: bytes) -> str:
    """What was expected there; nothing of `cell` but its encoding and length is told."""
    if column.kind == "text":
        return f"text in UTF-8, this cell is in another encoding ({_encoding(cell)})"
    if column.kind == "hex128" and len(cell) != HEX_DIGITS:
        return f"{expected(column)}, got {len(cell)} characters"
    if column.kind == "timestamp" and wanted.tz is not None:
        return f"{expected(column)}, with Z or an offset as in the first row"
    if column.kind == "timestamp":
        return f"{expected(column)}, without a zone as in the first row"
    return expected(column)


def _encoding(cell: bytes) -> str:
    # Latin-1 leaves 0x80..0x9f to control characters; Windows puts quotes, dashes and the euro sign there.
    return "Windows-1252" if any(0x80 <= byte < 0xA0 for byte in cell) else "Latin-1 or similar"


def _hint(problems: list[RowProblem]) -> str | None:
    if any("another encoding" in problem.expected for problem in problems):
        return "convert the file: iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW"
    if any(not problem.column for problem in problems):
        return 'cells that contain the delimiter, a line break or " must be quoted'
    return None


class _WrongLength:
    """Notes rows with too many or too few cells, and keeps the numbering right after they were skipped."""

    def __init__(self, problems: list[RowProblem]) -> None:
        self._problems = problems
        self._skipped: list[int] = []

    def __call__(self, bad: Any) -> str:
        row = bad.number - 1  # the parser counts the header as row 1
        self._skipped.append(row)
        if len(self._problems) < PROBLEMS_MAX:
            what = f"{bad.expected_columns} cells expected, got {bad.actual_columns}"
            self._problems.append(RowProblem(row, "", what))
        return "skip"

    def row(self, position: int) -> int:
        """The row number of the good row at `position` (0 is the first good one)."""
        row = position + 1
        while (moved := position + 1 + bisect_right(self._skipped, row)) != row:
            row = moved
        return row
