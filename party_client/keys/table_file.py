"""The party's own table that has a column of identifiers, and the one that has their tokens.

Reads CSV (UTF-8, header in the first line) or Parquet by the name of the file, and of it only the columns
that were asked for. Raises `KeyInputError` and `FileAccessError`.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from pyarrow import csv, parquet

from party_client import files
from party_client.keys.errors import KeyInputError

TOKENS: Final = "token"
"""The column of the tokens."""
_PARQUET: Final = {".parquet", ".pq"}


def read_columns(path: Path, names: Sequence[str]) -> pa.Table:
    """These columns of the table, of a CSV file all as text; an unquoted empty cell of it is null."""
    wanted = list(dict.fromkeys(names))
    if TOKENS in wanted[1:]:
        raise KeyInputError(f"{path}: a kept column is called {TOKENS}, as that of the tokens")
    try:
        if path.suffix.lower() in _PARQUET:
            return parquet.read_table(path, columns=wanted).select(wanted)
        convert = csv.ConvertOptions(
            include_columns=wanted,
            column_types=dict.fromkeys(wanted, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )
        parse = csv.ParseOptions(newlines_in_values=True)
        return csv.read_csv(path, parse_options=parse, convert_options=convert)
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError) as error:
        raise KeyInputError(
            f"{path}: cannot be read as a table with the columns {', '.join(wanted)}",
            hint="CSV in UTF-8 with the names in its first line, or Parquet",
        ) from error


def write_table(path: Path, tokens: pa.Array[Any], kept: pa.Table) -> None:
    """A new file for its owner alone: the tokens, and beside them what was kept."""
    table = (
        kept.add_column(0, TOKENS, pa.chunked_array([tokens]))
        if kept.num_columns
        else pa.table({TOKENS: tokens})
    )
    file = io.BytesIO()
    if path.suffix.lower() in _PARQUET:
        parquet.write_table(table, file)
    else:
        csv.write_csv(table, file)
    files.create(path, file.getvalue())
