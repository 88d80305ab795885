"""Packs conforming Arrow columns into the buffers of a chunk, whole columns at a time.

Values travel as narrow as the agreement lets them, and texts that repeat travel once with a code of one byte
a row. Followed: protos/README.md, "Sealed dataset"; `protos.formats.columns`.
"""

from __future__ import annotations

from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from party_client.datasets.buffers import fixed_width_octets, text_bounds, text_octets, valid
from protos.formats.columns import DICTIONARY_MAX_ENTRIES, Buffers, Texts, Values, width_bits
from protos.formats.schema import Column, Dataset

_BATCH_BYTES: Final = 4 * 2**20
_BATCH_ROWS_MIN, _BATCH_ROWS_MAX = 1024, 131_072
_TEXT_BITS: Final = 128
"""What a text is taken to need where it is not known yet."""


def repeats(column: Column, dataset: Dataset) -> bool:
    """Whether the texts of `column` are likely few: it names groups, and nobody."""
    is_identity = column.uses & {"join", "count_distinct"} or column.name == dataset.privacy_unit
    return column.kind == "text" and bool(column.uses & {"group", "filter"}) and not is_identity


def batch_rows(dataset: Dataset) -> int:
    """How many rows a source should give at once: a few chunks' worth, whatever the number of columns."""
    row_bits = sum(_TEXT_BITS if column.kind == "text" else width_bits(column) for column in dataset.columns)
    return max(_BATCH_ROWS_MIN, min(_BATCH_ROWS_MAX, _BATCH_BYTES * 8 // row_bits))


def compacted(column: Column, values: Any) -> pa.Array[Any]:
    """`values` as they are packed: texts with a dictionary where it pays, as plain texts elsewhere."""
    if column.kind != "text":
        return cast("pa.Array[Any]", values)
    if not pa.types.is_dictionary(values.type):
        if "group" not in column.uses:
            return cast("pa.Array[Any]", values)
        values = values.dictionary_encode()
    entries = len(values.dictionary)
    if not 1 <= entries <= DICTIONARY_MAX_ENTRIES or values.dictionary.null_count:
        values = values.cast(pa.string())
    return cast("pa.Array[Any]", values)


def packed_bytes(column: Column, values: Any) -> int:
    """How many bytes the buffers of `values`, which are compacted, take without their alignment."""
    rows = len(values)
    nulls = rows // 8 + 1 if values.null_count else 0
    if column.kind != "text":
        return nulls + rows * width_bits(column) // 8 + 1
    if pa.types.is_dictionary(values.type):
        bounds = text_bounds(values.dictionary)
        return nulls + rows + 4 * len(bounds) + int(bounds[-1] - bounds[0])
    bounds = text_bounds(values)
    return nulls + 4 * (rows + 1) + int(bounds[-1] - bounds[0])


def packed(column: Column, values: Any) -> Buffers:
    """The buffers of `values`, which are compacted; most of them are views of the same memory."""
    validity = _view(np.packbits(valid(values), bitorder="little")) if values.null_count else None
    if column.kind == "text":
        return _texts(values, validity)
    return Values(_view(_values(column, values)), validity)


def _values(column: Column, values: pa.Array[Any]) -> npt.NDArray[Any]:
    if column.kind == "bool":
        bits = values.fill_null(False).to_numpy(zero_copy_only=False)
        return np.packbits(np.asarray(bits, dtype=np.bool_), bitorder="little")
    octets = fixed_width_octets(values, values.type.bit_width // 8)
    if column.decimal is not None and width_bits(column) == 64:
        # The low words: what fits into 18 digits is the same number in both.
        return octets.view(np.int64)[0::2]
    return octets


def _texts(values: Any, validity: memoryview | None) -> Texts:
    if not pa.types.is_dictionary(values.type):
        return Texts(*_bounds_and_text(values), valid=validity)
    codes = np.asarray(values.indices.fill_null(0)).astype(np.uint8)
    return Texts(*_bounds_and_text(values.dictionary), codes=_view(codes), valid=validity)


def _bounds_and_text(values: pa.Array[Any]) -> tuple[memoryview, memoryview]:
    bounds = text_bounds(values)
    return _view(bounds - bounds[0]), _view(text_octets(values)[bounds[0] : bounds[-1]])


def _view(values: npt.NDArray[Any]) -> memoryview:
    return memoryview(cast(Any, np.ascontiguousarray(values))).cast("B")
