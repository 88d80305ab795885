"""The chunks in flight: sent, and kept until the coordinator says that they are stored.

A broken stream is followed by another one, which sends again what was not acknowledged. gRPC takes the chunks
from a thread of its own, where nothing may be raised; failures are kept and raised in the caller's thread.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from party_client.transport import Coordinator, TransportError, UnavailableError
from party_client.upload_pipeline import SealedChunk
from protos.v1 import concordat_pb2 as wire

WINDOW_CHUNKS: Final = 32
"""Sent and not yet acknowledged, at most. The coordinator acknowledges sooner than that."""


class Window:
    """What is between the sealed chunks and the coordinator. `send` in one thread, one stream at a time."""

    def __init__(
        self, chunks: Iterable[SealedChunk], *, wanted: int, progress: Callable[[int], None]
    ) -> None:
        self.acknowledged = wanted
        """All chunks below this number are stored, by the coordinator's word."""
        self._fresh: Final = iter(chunks)
        self._pulling: Final = threading.Lock()
        """Held while a fresh chunk is taken: the thread of a broken stream may still be waiting for one."""
        self._in_flight: Final[deque[SealedChunk]] = deque()
        self._changed: Final = threading.Condition()
        self._stream = 0
        self._exhausted = False
        self._failure: BaseException | None = None
        self._progress: Final = progress
        self._position_bytes = 0

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to send or to wait for."""
        return self._exhausted and not self._in_flight

    def send(self, coordinator: Coordinator, names: Mapping[str, Any]) -> None:
        """One stream, until all chunks are acknowledged; its first message has the fields `names` as well.

        Raises what reading or sealing raised, `UnavailableError` when the stream broke, `TransportError`.
        """
        call = coordinator.upload_chunks(self._requests(names))
        try:
            for number in call:
                self._acknowledge(number)
        finally:
            with self._changed:
                self._stream += 1
                self._changed.notify_all()
            call.cancel()
            if self._failure is not None:
                raise self._failure
        if not self.is_done:
            raise UnavailableError("the coordinator ended the stream before all chunks had arrived")

    def rewind(self, wanted: int) -> None:
        """A new stream begins at chunk `wanted`. Raises `TransportError` if that one is not kept any more."""
        if wanted < self.acknowledged:
            raise TransportError(
                f"the coordinator has lost chunks: it wants {wanted} again and had all below "
                f"{self.acknowledged}",
                hint="run the same command again: what is missing is made again from the source",
            )
        self._acknowledge(wanted)

    def _requests(self, names: Mapping[str, Any]) -> Iterator[wire.Chunk]:
        stream, number = self._stream, 0
        try:
            while (chunk := self._next(stream, number)) is not None:
                number = chunk.number + 1
                yield wire.Chunk(number=chunk.number, last=chunk.last, sealed=chunk.sealed, **names)
                names = {}  # on the first message of a stream only
        except Exception as failure:  # raised again by `send`
            self._failure = failure

    def _next(self, stream: int, number: int) -> SealedChunk | None:
        """The first chunk from `number` on that is to be sent; None when the stream is over."""
        with self._pulling:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._is_movable(stream, number))
                    if self._stream != stream:
                        return None
                    if (waiting := self._waiting(number)) is not None:
                        return waiting
                fresh = next(self._fresh, None)
                with self._changed:
                    if fresh is None:
                        self._exhausted = True
                        return None
                    if fresh.number < self.acknowledged:
                        self._advance(fresh)
                    else:
                        self._in_flight.append(fresh)

    def _is_movable(self, stream: int, number: int) -> bool:
        has_room = len(self._in_flight) < WINDOW_CHUNKS
        return has_room or self._waiting(number) is not None or self._stream != stream

    def _waiting(self, number: int) -> SealedChunk | None:
        return next((chunk for chunk in self._in_flight if chunk.number >= number), None)

    def _acknowledge(self, number: int) -> None:
        with self._changed:
            self.acknowledged = max(self.acknowledged, number)
            while self._in_flight and self._in_flight[0].number < self.acknowledged:
                self._advance(self._in_flight.popleft())
            self._changed.notify_all()

    def _advance(self, chunk: SealedChunk) -> None:
        self._progress(chunk.position_bytes - self._position_bytes)
        self._position_bytes = chunk.position_bytes
