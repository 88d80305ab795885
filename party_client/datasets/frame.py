"""Reads a pandas DataFrame in slices; the index is not data and is left out.

What pandas marks as missing (None, NaN, NaT, NA) is a null, also in float columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from party_client.datasets.columns import expected, wire_type
from party_client.datasets.conform import failing_positions
from party_client.datasets.errors import ColumnsError, RowProblem, RowsError
from party_client.datasets.packing import batch_rows
from party_client.datasets.sources import require_columns
from protos.formats.schema import Column, Dataset


class FrameSource:
    """A DataFrame in memory. It must not be written to while it is read."""

    name: Final = "DataFrame"

    def __init__(self, frame: pd.DataFrame, *, ignore_extra: bool = False) -> None:
        self._frame = frame
        self._ignore_extra = ignore_extra
        self.size_bytes: Final = None
        self.position_bytes: Final = 0

    def fingerprint(self) -> None:
        """None: nothing but the content tells whether a DataFrame was changed."""

    def batches(self, dataset: Dataset) -> Iterator[pa.RecordBatch]:
        """See `Source`."""
        names = [str(name) for name in self._frame.columns]
        require_columns(names, dataset, source=self.name, ignore_extra=self._ignore_extra)
        slice_rows = batch_rows(dataset)
        for start in range(0, len(self._frame), slice_rows):
            rows = self._frame.iloc[start : start + slice_rows]
            arrays = [self._array(rows[column.name], column, start) for column in dataset.columns]
            yield pa.RecordBatch.from_arrays(arrays, names=[column.name for column in dataset.columns])

    def _array(self, values: Any, column: Column, first_row: int) -> pa.Array[Any]:
        try:
            return _to_arrow(values, column)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            positions = list(_mixed(values, column))
            problems = [
                RowProblem(first_row + position + 1, column.name, expected(column)) for position in positions
            ]
            if not problems:
                raise ColumnsError(
                    f"DataFrame: column {column.name}: the cells are of different types, "
                    f"expected {column.type} ({expected(column)})"
                ) from error
            raise RowsError(self.name, problems) from error


def _to_arrow(values: Any, column: Column) -> pa.Array[Any]:
    # An object column may hold anything: there the agreement says what it should be. Elsewhere the column
    # knows its own type, and `conform` decides whether that carries over exactly.
    wanted = wire_type(column) if values.dtype == np.dtype(object) and column.kind != "hex128" else None
    array = pa.array(values, type=wanted, from_pandas=True)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _mixed(values: Any, column: Column) -> Iterator[int]:
    def convert(positions: pa.Array[Any]) -> object:
        try:
            return _to_arrow(values.iloc[positions.to_numpy()], column)
        except (pa.ArrowTypeError, OverflowError) as error:
            raise pa.ArrowInvalid(str(type(error))) from error

    return failing_positions(convert, pa.array(np.arange(len(values))))
