"""Cuts record batches into chunks of at most 1 MiB, the same for the same rows.

The cut depends on the rows and the compression alone, so reading the same source again gives the same chunks,
byte for byte: an interrupted upload can be continued without sending other bytes under the same nonce.
Followed: protos/README.md, "Sealed dataset".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import pyarrow as pa

from party_client.datasets.errors import TooMuchDataError
from party_client.datasets.packing import compacted, packed, packed_bytes
from party_client.datasets.sources import Source
from protos.formats.columns import encoded_bytes, write_columns
from protos.formats.limits import CHUNK_MAX_ROWS, CHUNK_PLAINTEXT_MAX_BYTES, KIB
from protos.formats.schema import Dataset

_ZSTD_LEVEL: Final = 1
_ZSTD_LONGER_BYTES: Final = 8 * KIB
"""What cannot be compressed comes out a little longer: by less than this, for 1 MiB."""
_CUT_FROM_BYTES: Final = CHUNK_PLAINTEXT_MAX_BYTES
"""Smaller batches wait for the next ones."""

Arrays = list["pa.Array[Any]"]


@dataclass(frozen=True)
class Chunk:
    """One chunk before it is sealed."""

    plaintext: memoryview
    rows: int
    position_bytes: int = 0
    """How far the source had been read by then (see `Source.position_bytes`)."""


def encode_chunks(
    batches: Iterable[pa.RecordBatch], dataset: Dataset, *, compression: str, source: Source
) -> Iterator[Chunk]:
    """All rows of `batches`, which conform to `dataset`, as chunks.

    `compression` is "none" or "zstd"; the size of a chunk is reckoned before compression. The dataset's
    `max_bytes` bounds all chunks together. Raises `TooMuchDataError` beyond it, and when a single row does
    not fit.
    """
    cutter = _Cutter(dataset, compression, source.name)
    left_bytes = dataset.max_bytes
    for columns in _joined(batches, dataset):
        for plaintext, rows in cutter.cut(columns):
            left_bytes -= len(plaintext)
            if left_bytes < 0:
                raise TooMuchDataError(
                    f"{source.name}: more bytes than the agreement allows for this dataset",
                    hint="send fewer rows, or agree on another limit (max_bytes)",
                )
            yield Chunk(plaintext, rows, source.position_bytes)


def _joined(batches: Iterable[pa.RecordBatch], dataset: Dataset) -> Iterator[Arrays]:
    """The columns of all batches, those of small ones together."""
    waiting: list[Arrays] = []
    waiting_bytes = 0
    for batch in batches:
        columns = list(map(compacted, dataset.columns, batch.columns))
        waiting.append(columns)
        waiting_bytes += sum(map(packed_bytes, dataset.columns, columns))
        if waiting_bytes >= _CUT_FROM_BYTES:
            yield _concatenated(waiting, dataset)
            waiting, waiting_bytes = [], 0
    if waiting:
        yield _concatenated(waiting, dataset)


def _concatenated(parts: Sequence[Arrays], dataset: Dataset) -> Arrays:
    if len(parts) == 1:
        return parts[0]
    return [
        compacted(column, _concatenate(pieces))
        for column, pieces in zip(dataset.columns, zip(*parts, strict=True), strict=True)
    ]


def _concatenate(pieces: Sequence[Any]) -> pa.Array[Any]:
    """One array of all pieces; those of a text column may have dictionaries, different ones, or none."""
    if len({piece.type for piece in pieces}) > 1:
        pieces = [piece.cast(pa.string()) for piece in pieces]
    joined: pa.Array[Any] = pa.concat_arrays(list(pieces))
    return joined


class _Cutter:
    """Cuts columns into equal parts that fit."""

    def __init__(self, dataset: Dataset, compression: str, source: str) -> None:
        self._columns = dataset.columns
        self._source = source
        self._codec = pa.Codec("zstd", _ZSTD_LEVEL) if compression == "zstd" else None
        self._room_bytes = CHUNK_PLAINTEXT_MAX_BYTES - (_ZSTD_LONGER_BYTES if self._codec else 0)
        self._rows = 0

    def cut(self, columns: Arrays) -> Iterator[tuple[memoryview, int]]:
        """(Plaintext, rows) of each part."""
        rows = len(columns[0])
        size = sum(map(packed_bytes, self._columns, columns))
        parts = max(-(-size // self._room_bytes), -(-rows // CHUNK_MAX_ROWS))
        yield from self._cut(columns, -(-rows // parts))

    def _cut(self, columns: Arrays, part_rows: int) -> Iterator[tuple[memoryview, int]]:
        for start in range(0, len(columns[0]), part_rows):
            part = [values.slice(start, part_rows) for values in columns]
            plaintext = self._encoded(part)
            if plaintext is not None:
                self._rows += len(part[0])
                yield plaintext, len(part[0])
            elif len(part[0]) == 1:
                raise TooMuchDataError(
                    f"{self._source}: row {self._rows + 1} needs more than {CHUNK_PLAINTEXT_MAX_BYTES} bytes",
                    hint="a row must fit into one chunk of 1 MiB",
                )
            else:
                # Rows of very different length, or what alignment adds: in halves, then.
                yield from self._cut(part, -(-len(part[0]) // 2))

    def _encoded(self, part: Arrays) -> memoryview | None:
        """The plaintext; None if it does not fit."""
        rows, buffers = len(part[0]), list(map(packed, self._columns, part))
        size = encoded_bytes(self._columns, rows, buffers)
        if size > self._room_bytes:
            return None
        plaintext = memoryview(bytearray(size))
        write_columns(self._columns, rows, buffers, plaintext)
        if self._codec is None:
            return plaintext
        return memoryview(cast(Any, self._codec.compress(plaintext))).cast("B")
