"""Cuts record batches into chunks: each one Arrow IPC stream of at most 1 MiB, the same for the same rows.

The cut depends on the rows and the compression alone, so reading the same source again gives the same chunks,
byte for byte: an interrupted upload can be continued without sending other bytes under the same nonce.
Followed: protos/README.md, "Sealed datasets"; Arrow columnar format, "IPC streaming format".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, cast

import pyarrow as pa
from pyarrow import ipc

from party_client.datasets.errors import TooMuchDataError
from party_client.datasets.sources import Source
from protos.formats.limits import CHUNK_MAX_ROWS, CHUNK_PLAINTEXT_MAX_BYTES

_END_BYTES: Final = 8
_ZSTD_LEVEL: Final = 1
_NOT_COMPRESSED: Final = ipc.IpcWriteOptions(use_threads=False)


@dataclass(frozen=True)
class Chunk:
    """One chunk before it is sealed."""

    plaintext: memoryview
    rows: int
    position_bytes: int = 0
    """How far the source had been read by then (see `Source.position_bytes`)."""


def encode_chunks(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, *, compression: str, source: Source, max_bytes: int
) -> Iterator[Chunk]:
    """All rows of `batches` as chunks, each filled as far as whole rows go.

    `compression` is "none" or "zstd"; the size of a chunk is reckoned before compression. `max_bytes` bounds
    all chunks together. Raises `TooMuchDataError` beyond it, and when a single row does not fit.
    """
    cutter = _Cutter(schema, compression)
    for plaintext, rows in _cut(batches, cutter, source.name):
        max_bytes -= len(plaintext)
        if max_bytes < 0:
            raise TooMuchDataError(
                f"{source.name}: more bytes than the agreement allows for this dataset",
                hint="send fewer rows, or agree on another limit (max_bytes)",
            )
        yield Chunk(plaintext, rows, source.position_bytes)


def _cut(batches: Iterable[pa.RecordBatch], cutter: _Cutter, source: str) -> Iterator[tuple[memoryview, int]]:
    row = 0
    for batch in batches:
        rest = batch
        while rest.num_rows:
            taken = cutter.add(rest)
            if taken == 0 and cutter.rows == 0:
                raise TooMuchDataError(
                    f"{source}: row {row + 1} needs more than {CHUNK_PLAINTEXT_MAX_BYTES} bytes",
                    hint="a row must fit into one chunk of 1 MiB",
                )
            row += taken
            rest = rest.slice(taken)
            if rest.num_rows:
                yield cutter.cut()
    if cutter.rows:
        yield cutter.cut()


class _Cutter:
    """Collects rows until the next one would not fit."""

    def __init__(self, schema: pa.Schema, compression: str) -> None:
        self._schema = schema
        codec = pa.Codec("zstd", _ZSTD_LEVEL) if compression == "zstd" else None
        self._options = ipc.IpcWriteOptions(compression=codec, use_threads=False)
        self._room_bytes = CHUNK_PLAINTEXT_MAX_BYTES - _END_BYTES - schema.serialize().size
        self._batches: list[pa.RecordBatch] = []
        self._used_bytes = 0
        self.rows = 0

    def add(self, batch: pa.RecordBatch) -> int:
        """Takes as many leading rows of `batch` as fit; how many that were."""
        room = self._room_bytes - self._used_bytes
        rows = min(batch.num_rows, CHUNK_MAX_ROWS - self.rows)
        while rows and (size := ipc.get_record_batch_size(batch.slice(0, rows))) > room:
            # Aim a little below the room; rows of very different length may need another round.
            rows = min(rows - 1, int(rows * max(room, 0) / size * 0.99))
        if rows:
            self._batches.append(batch.slice(0, rows))
            self._used_bytes += size
            self.rows += rows
        return rows

    def cut(self) -> tuple[memoryview, int]:
        """(Bytes, rows) of what was collected so far; the next chunk begins empty."""
        encoded = self._encode(self._options) or self._encode(_NOT_COMPRESSED)
        if encoded is None:
            raise AssertionError("the size of a record batch was reckoned wrongly")
        rows = self.rows
        self._batches, self._used_bytes, self.rows = [], 0, 0
        return encoded, rows

    def _encode(self, options: ipc.IpcWriteOptions) -> memoryview | None:
        """The stream; None if it does not fit: what cannot be compressed comes out a little longer."""
        space = pa.allocate_buffer(CHUNK_PLAINTEXT_MAX_BYTES)
        sink = pa.FixedSizeBufferWriter(space)
        try:
            with ipc.new_stream(sink, self._schema, options=options) as writer:
                for batch in self._batches:
                    writer.write_batch(batch)
        except OSError:
            return None
        return memoryview(cast(Any, space)).cast("B")[: sink.tell()]
