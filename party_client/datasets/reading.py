"""Reads a source from start to end as the agreement wants it: conforming batches, or the first bad rows.

A `Reading` is one pass. It yields record batches with exactly the agreed columns and wire types; after the
first bad row it yields nothing more, looks for some further ones and raises. Limits on rows are part of it,
and the uniqueness of keys unless it is left out. The enclave checks all of this again; here the owner gets
row numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa

from party_client.datasets.conform import conform
from party_client.datasets.errors import (
    PROBLEMS_MAX,
    RowProblem,
    RowsError,
    SourceFileError,
    TooMuchDataError,
)
from party_client.datasets.sources import Source
from party_client.datasets.uniqueness import KeysSeen, require_unique
from protos.formats.schema import Dataset


class Reading:
    """One pass over `source` as `dataset`. Iterate once; `rows` counts what has been yielded.

    Without `uniqueness` a key that stands twice is left for the enclave to refuse, which says less about it.
    """

    def __init__(self, source: Source, dataset: Dataset, *, uniqueness: bool = True) -> None:
        self.source: Final = source
        self.dataset: Final = dataset
        self._keys = KeysSeen(dataset.unique) if dataset.unique and uniqueness else None
        self.rows = 0

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Conforming batches. Raises `DatasetError`; see `errors` for the kinds."""
        problems: list[RowProblem] = []
        for batch in self.source.batches(self.dataset):
            if batch.num_rows == 0:
                continue
            arrays = self._conform(batch, problems)
            self.rows += batch.num_rows
            self._require_row_limit()
            if len(problems) >= PROBLEMS_MAX:
                break
            if problems:
                continue
            fields = [
                pa.field(column.name, array.type, nullable=column.nullable)
                for column, array in zip(self.dataset.columns, arrays, strict=True)
            ]
            conforming = pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))
            if self._keys is not None:
                self._keys.add(conforming)
            yield conforming
        if problems:
            raise RowsError(self.source.name, problems)
        if self.rows == 0:
            raise SourceFileError(
                f"{self.source.name}: there are column names and no rows", hint="export the data again"
            )
        if self._keys is not None:
            require_unique(self._keys, self.source, self.dataset)

    def _conform(self, batch: pa.RecordBatch, problems: list[RowProblem]) -> list[pa.Array[Any]]:
        arrays = []
        for column, values in zip(self.dataset.columns, batch.columns, strict=True):
            array, findings = conform(column, values)
            arrays.append(array)
            for finding in findings:
                problems += [
                    RowProblem(self.rows + int(position) + 1, column.name, finding.expected)
                    for position in finding.positions[:PROBLEMS_MAX]
                ]
        return arrays

    def _require_row_limit(self) -> None:
        if self.rows > self.dataset.max_rows:
            raise TooMuchDataError(
                f"{self.source.name}: more than {self.dataset.max_rows} rows, which the agreement allows for "
                f"dataset {self.dataset.id}",
                hint="send fewer rows, or agree on another limit (max_rows)",
            )
