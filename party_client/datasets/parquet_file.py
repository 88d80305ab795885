"""Reads a Parquet file row group by row group, in bounded batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa
from pyarrow import parquet

from party_client.datasets.errors import SourceFileError
from party_client.datasets.packing import batch_rows, repeats
from party_client.datasets.sources import require_columns
from party_client.datasets.stable_file import Fingerprint, StableFile, fingerprint
from protos.formats.schema import Dataset


class ParquetSource:
    """A Parquet file on disk."""

    def __init__(self, path: Path, *, ignore_extra: bool = False) -> None:
        self.path: Final = path
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
        """See `Source`."""
        names = [column.name for column in dataset.columns]
        # Most Parquet files hold repeated texts as dictionaries already: they are passed on as they are.
        dictionaries = [column.name for column in dataset.columns if repeats(column, dataset)]
        self.position_bytes = 0
        with StableFile(self.path) as file:
            try:
                opened = parquet.ParquetFile(file, pre_buffer=False, read_dictionary=dictionaries)
                require_columns(
                    opened.schema_arrow.names, dataset, source=self.name, ignore_extra=self._ignore_extra
                )
                for batch in opened.iter_batches(batch_size=batch_rows(dataset), columns=names):
                    self.position_bytes = max(self.position_bytes, file.tell())
                    yield batch.select(names)
            except (pa.ArrowException, OSError) as error:
                file.require_unchanged()
                raise SourceFileError(
                    f"{self.path}: cannot be read as Parquet ({type(error).__name__})",
                    hint="the file is damaged, encrypted or not Parquet; export it again",
                ) from error
            file.require_unchanged()
