"""Reads a CSV file block by block, typed by the agreement (RFC 4180, UTF-8, header in the first line).

The fast look converts whole blocks in pyarrow and says nothing about cells. When it fails, `csv_second_look`
reads the file again and finds the rows. A quoted cell may hold line breaks; a quotation mark that is never
closed is refused, because the rest of the file would silently become one cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from pyarrow import csv

from party_client.datasets.columns import DICTIONARY, HEX_DIGITS, wire_type
from party_client.datasets.errors import SourceFileError
from party_client.datasets.packing import repeats
from party_client.datasets.sources import CsvSettings, require_columns
from party_client.datasets.stable_file import Fingerprint, StableFile, fingerprint, require_text_file
from protos.formats.limits import MIB
from protos.formats.schema import Column, Dataset

_QUOTE: Final = b'"'
BLOCK_BYTES: Final = 4 * MIB
"""What is parsed at once; bounds memory, and with it the longest row."""


class CsvSource:
    """A CSV file on disk."""

    def __init__(self, path: Path, settings: CsvSettings, *, ignore_extra: bool = False) -> None:
        self.path: Final = path
        self.settings: Final = settings
        self._ignore_extra = ignore_extra
        self.position_bytes = 0

    @property
    def name(self) -> str:
        """The path."""
        return str(self.path)

    @property
    def size_bytes(self) -> int:
        """Of the file as it is now."""
        return self.fingerprint().size_bytes

    def fingerprint(self) -> Fingerprint:
        """Of the file as it is now."""
        return fingerprint(self.path)

    def batches(self, dataset: Dataset) -> Iterator[pa.RecordBatch]:
        """See `Source`. Rows that cannot be read raise `RowsError`."""
        require_text_file(self.path)
        types = self._types(dataset)
        dictionaries = {column.name: DICTIONARY for column in dataset.columns if repeats(column, dataset)}
        rows = 0
        quotes = _QuoteCounter()
        with StableFile(self.path, watch=quotes.count) as file:
            try:
                for batch in open_reader(file, self.settings, types | dictionaries):
                    self.position_bytes = file.tell()
                    yield batch
                    rows += batch.num_rows
            except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
                file.require_unchanged()
                self._raise_what_is_wrong(dataset, types, rows, error)
            file.require_unchanged()
        quotes.require_closed(self.path)

    def _types(self, dataset: Dataset) -> dict[str, pa.DataType]:
        """The type in which each column is read; a look at the first block decides about time zones."""
        times = [column.name for column in dataset.columns if column.kind == "timestamp"]
        with StableFile(self.path) as file:
            try:
                reader = open_reader(
                    file,
                    self.settings,
                    dict.fromkeys(times, pa.binary()),
                    only_these=False,
                    on_bad_row=lambda _: "skip",
                    use_threads=False,
                )
            except pa.ArrowInvalid as error:
                raise SourceFileError(
                    f"{self.path}: the first rows cannot be read as CSV",
                    hint=f"expected column names in the first line, cells separated by "
                    f"{self.settings.delimiter!r}, and rows of at most {BLOCK_BYTES // MIB} MiB",
                ) from error
            require_columns(reader.schema.names, dataset, source=self.name, ignore_extra=self._ignore_extra)
            head = next(iter(reader), None)
        zoned = {name for name in times if head is not None and _first_has_zone(head.column(name))}
        return {column.name: _read_type(column, column.name in zoned) for column in dataset.columns}

    def _raise_what_is_wrong(
        self, dataset: Dataset, types: dict[str, pa.DataType], rows: int, error: Exception
    ) -> None:
        from party_client.datasets.csv_second_look import require_rows  # noqa: PLC0415

        require_rows(self.path, self.settings, dataset, types, rows_read=rows)
        raise SourceFileError(f"{self.path}: cannot be read as CSV ({type(error).__name__})") from error


def open_reader(
    file: StableFile,
    settings: CsvSettings,
    types: Mapping[str, pa.DataType],
    *,
    only_these: bool = True,
    on_bad_row: Any = None,
    use_threads: bool = True,
) -> csv.CSVStreamingReader:
    """A reader of the columns `types`, in that order. `on_bad_row` is pyarrow's `invalid_row_handler`."""
    return csv.open_csv(
        file,
        read_options=csv.ReadOptions(block_size=BLOCK_BYTES, use_threads=use_threads),
        parse_options=csv.ParseOptions(
            delimiter=settings.delimiter, newlines_in_values=True, invalid_row_handler=on_bad_row
        ),
        convert_options=csv.ConvertOptions(
            column_types=dict(types),
            include_columns=list(types) if only_these else None,
            null_values=list(settings.nulls),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def _read_type(column: Column, has_zone: bool) -> pa.DataType:
    if column.kind == "hex128":
        return pa.binary(HEX_DIGITS)
    if has_zone:
        return pa.timestamp("us", "UTC")
    return wire_type(column)


def _first_has_zone(cells: pa.Array[Any]) -> bool:
    """Whether the first time that is there ends in Z or an offset; all others must then do so as well."""
    first: bytes = next((cell.as_py() for cell in cells if cell.is_valid), b"").strip()
    time_of_day = first[len("2013-01-31") :]
    return time_of_day.endswith(b"Z") or b"+" in time_of_day or b"-" in time_of_day


class _QuoteCounter:
    """An odd number of quotation marks: one was never closed (RFC 4180 doubles inner ones)."""

    def __init__(self) -> None:
        self._quotes = 0

    def count(self, block: bytes) -> None:
        if _QUOTE in block:  # faster than counting where there is nothing to count
            # `bytes.count` looks for one after the other, which takes as long as parsing when there are many.
            self._quotes += int(np.count_nonzero(np.frombuffer(block, dtype=np.uint8) == ord(_QUOTE)))

    def require_closed(self, path: Path) -> None:
        if self._quotes % 2:
            raise SourceFileError(
                f"{path}: a quotation mark is opened and never closed",
                hint='cells that contain " must be quoted, with each inner " doubled',
            )
