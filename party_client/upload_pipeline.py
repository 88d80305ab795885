"""Makes sealed chunks while others travel: one thread reads and encodes, one seals and notes.

A chunk comes out of `SealedChunks` only after its tag is on the disk; the disk is asked for a whole group at
once. Both queues are bounded, so a slow network stops the reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from party_client.channel import Channel, produce
from party_client.datasets import Chunk
from party_client.sealing import DatasetSealer, tag_of
from party_client.upload_journal import Journal

_READ_AHEAD_CHUNKS: Final = 8
_GROUP_CHUNKS: Final = 16
"""So many tags are brought to the disk together."""


@dataclass(frozen=True)
class SealedChunk:
    """One chunk, ready to leave."""

    number: int
    last: bool
    sealed: bytes
    position_bytes: int
    """How far the source had been read when the chunk was cut."""


class SealedChunks:
    """All chunks of an upload, in order, made in the background; a context manager that ends the threads."""

    def __init__(self, chunks: Iterable[Chunk], sealer: DatasetSealer, journal: Journal) -> None:
        self._sealer: Final = sealer
        self._journal: Final = journal
        self._plain: Final[Channel[tuple[Chunk, bool]]] = Channel(_READ_AHEAD_CHUNKS)
        self._sealed: Final[Channel[SealedChunk]] = Channel(_GROUP_CHUNKS)
        self._threads: Final = (
            produce(self._plain, lambda: with_last(chunks), name="read and encode"),
            produce(self._sealed, self._seal_all, name="seal and note"),
        )

    def __iter__(self) -> Iterator[SealedChunk]:
        """Raises what reading, encoding, sealing or noting raised."""
        return iter(self._sealed)

    def close(self) -> None:
        """Ends the threads, whatever they were doing."""
        self._sealed.abandon()
        self._plain.abandon()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> SealedChunks:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _seal_all(self) -> Iterator[SealedChunk]:
        while group := self._plain.take(_GROUP_CHUNKS):
            sealed = [self._seal(chunk, last=last) for chunk, last in group]
            self._journal.sync()
            yield from sealed

    def _seal(self, chunk: Chunk, *, last: bool) -> SealedChunk:
        number = self._sealer.chunks
        sealed = self._sealer.seal(chunk.plaintext, rows=chunk.rows, last=last)
        self._journal.record(number, tag_of(sealed))
        return SealedChunk(number, last, sealed, chunk.position_bytes)


def with_last(chunks: Iterable[Chunk]) -> Iterator[tuple[Chunk, bool]]:
    """Each chunk and whether it is the last, which is known when the source has ended well."""
    held: Chunk | None = None
    for chunk in chunks:
        if held is not None:
            yield held, False
        held = chunk
    if held is not None:
        yield held, True
