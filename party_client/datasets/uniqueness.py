"""Finds rows whose key stands twice, before the enclave refuses the whole dataset for it.

One pass keeps 8 bytes a row, a 64-bit hash of the key columns, and twice that for a moment at the end.
Equal hashes are only suspects; a second pass compares the keys themselves. Rows with a null in the key are
not compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from party_client.datasets.buffers import fixed_width_octets, text_bounds, text_octets, valid
from party_client.datasets.conform import conform
from party_client.datasets.errors import PROBLEMS_MAX, RowProblem, RowsError
from party_client.datasets.sources import Source
from protos.formats.limits import CELL_MAX_BYTES
from protos.formats.schema import Dataset

Hashes = npt.NDArray[np.uint64]

# Multilinear hashing: a fixed odd multiplier for each byte position. Nobody attacks the owner's own check,
# and suspects are compared exactly, so the multipliers need not be secret.
_MULTIPLIERS: Final = np.random.Generator(np.random.PCG64(1)).integers(
    0, 2**64, size=CELL_MAX_BYTES + 1, dtype=np.uint64
) | np.uint64(1)
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX_1: Final = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2: Final = np.uint64(0x94D049BB133111EB)


class KeysSeen:
    """The hashes of all keys so far, by row."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns: Final = tuple(columns)
        self._hashes: list[Hashes] = []
        self._nulls: list[npt.NDArray[np.int64]] = []
        self._rows = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """The next rows. Their columns have wire types."""
        hashes = np.zeros(batch.num_rows, dtype=np.uint64)
        complete = np.ones(batch.num_rows, dtype=np.bool_)
        for name in self.columns:
            values = batch.column(name)
            if pa.types.is_dictionary(values.type):
                values = values.cast(pa.string())
            hashes = _mixed(hashes + _GOLDEN) ^ _words(values)
            if values.null_count:
                complete &= valid(values)
        self._hashes.append(hashes)
        self._nulls.append(self._rows + np.flatnonzero(~complete))
        self._rows += batch.num_rows

    def suspects(self) -> list[tuple[int, int]]:
        """Pairs of rows (0 is the first), at most `PROBLEMS_MAX`, whose hashes are equal."""
        hashes = np.concatenate(self._hashes)
        self._hashes = [hashes]  # a second copy is enough, and that is the sorted one
        nulls = np.concatenate(self._nulls)
        ordered = np.delete(hashes, nulls) if len(nulls) else hashes.copy()
        ordered.sort()
        if not (ordered[1:] == ordered[:-1]).any():
            return []
        rows = np.delete(np.arange(self._rows), nulls)
        rows = rows[np.argsort(hashes[rows], kind="stable")]
        ordered = hashes[rows]
        twice = np.flatnonzero(ordered[1:] == ordered[:-1])[:PROBLEMS_MAX]
        return [(int(rows[at]), int(rows[at + 1])) for at in twice]


def require_unique(keys: KeysSeen, source: Source, dataset: Dataset) -> None:
    """Raises `RowsError` naming rows whose key an earlier row has; reads again if there are suspects."""
    suspects = keys.suspects()
    if not suspects:
        return
    found = _keys_at({row for pair in suspects for row in pair}, keys.columns, source, dataset)
    problems = [
        RowProblem(later + 1, ", ".join(keys.columns), f"a key of its own; row {earlier + 1} has the same")
        for earlier, later in suspects
        if found[earlier] == found[later]
    ]
    if problems:
        raise RowsError(
            source.name, problems, hint="the agreement says that this key is unique: keep one row of each"
        )


def _keys_at(
    rows: set[int], columns: Sequence[str], source: Source, dataset: Dataset
) -> dict[int, tuple[Any, ...]]:
    found: dict[int, tuple[Any, ...]] = {}
    first = 0
    for batch in source.batches(dataset):
        here = sorted(row for row in rows if first <= row < first + batch.num_rows)
        if here:
            positions = pa.array([row - first for row in here])
            parts = [conform(dataset.column(name), batch.column(name).take(positions))[0] for name in columns]
            found |= dict(zip(here, zip(*(part.to_pylist() for part in parts), strict=True), strict=True))
        first += batch.num_rows
    return found


def _words(values: Any) -> Hashes:
    """One 64-bit word for each value; equal values give equal words."""
    if pa.types.is_string(values.type):
        return _text_words(values)
    if pa.types.is_boolean(values.type):
        return np.asarray(values.cast(pa.uint8()).fill_null(0), dtype=np.uint64)
    width = values.type.bit_width // 8
    octets = fixed_width_octets(values, width)
    if width == 4:
        return octets.view(np.uint32).astype(np.uint64)
    words = octets.view(np.uint64)
    return words if width == 8 else words[0::2] ^ _mixed(words[1::2])


def _text_words(values: pa.Array[Any]) -> Hashes:
    bounds = text_bounds(values)
    lengths = np.diff(bounds)
    octets = text_octets(values)[bounds[0] : bounds[-1]]
    within = np.arange(len(octets)) - np.repeat(bounds[:-1] - bounds[0], lengths)
    products = (octets.astype(np.uint64) + np.uint64(1)) * _MULTIPLIERS[within]
    sums = np.zeros(len(values), dtype=np.uint64)
    filled = lengths > 0
    if filled.any():
        sums[filled] = np.add.reduceat(products, bounds[:-1][filled] - bounds[0])
    return _mixed(sums)


def _mixed(words: Hashes) -> Hashes:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every input bit reaches every output bit."""
    words = (words ^ (words >> np.uint64(30))) * _MIX_1
    words = (words ^ (words >> np.uint64(27))) * _MIX_2
    return words ^ (words >> np.uint64(31))
