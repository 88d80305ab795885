"""One dataset on its way: what is received, what is durable, what the enclave took, who waits for what.

Three threads meet here. One reads the caller's stream and appends to the spool; one commits the spool and
acknowledges; one forwards what is durable to the enclave. So the enclave never holds a chunk that a crash
could take from the spool, and how much memory an upload needs does not depend on its size.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, Protocol

from coordinator.errors import ConflictError, CoordinatorError, OutOfOrderError, StreamIdleError
from coordinator.spool import Spool

BEHIND_MAX_CHUNKS: Final = 64
"""So many received chunks may wait for the disk, and so many for an enclave that takes them; then we stop
reading, and the caller stops sending."""


class Announced(Protocol):
    """What is known of an upload before its chunks come; the signed header is opaque here."""

    @property
    def upload_id(self) -> bytes:
        """As in the signed header."""
        ...

    @property
    def dataset(self) -> str:
        """Whose slot it is for."""
        ...

    @property
    def sent_by(self) -> str:
        """The caller who announced it."""
        ...

    @property
    def signed_header(self) -> bytes:
        """Opens it to an enclave."""
        ...


class Stream:
    """One call that brings chunks."""

    def __init__(self, cancel: Callable[[], object]) -> None:
        self.cancel = cancel
        """Makes the call end, from any thread."""
        self.ended = False
        """No more chunks will come from it."""
        self.error: Exception | None = None
        """Why its reader gave up; None if the caller just ended."""


class Upload:
    """The state that the threads share; every change wakes all who wait."""

    def __init__(self, announced: Announced, spool: Spool) -> None:
        self.announced = announced
        self.spool = spool
        self.forwarding = threading.Lock()
        """Held by whoever brings chunks to the enclave."""
        self._changed = threading.Condition()
        self._stream: Stream | None = None
        self._held_back = False
        self._taken = 0
        self._enclave_takes = False
        self._stopped_by: CoordinatorError | None = None

    @property
    def name(self) -> str:
        """The upload in logs and messages."""
        return self.announced.upload_id.hex()

    # --- The caller's side ------------------------------------------------------------------------------

    def take_over(self, stream: Stream, *, timeout_s: float) -> None:
        """Make `stream` the one that may append. An older one, of a broken connection, is ended first."""
        with self._changed:
            if self._stream is not None:
                self._stream.cancel()
            if not self._changed.wait_for(lambda: self._stream is None, timeout_s):
                raise ConflictError(
                    f"upload {self.name} is being received on another stream",
                )
            self._stream, self._stopped_by = stream, None

    def append(self, number: int, sealed: bytes, *, last: bool) -> None:
        """Store a chunk when there is room; one that was stored before is left as it is."""
        with self._changed:
            self._held_back = True
            self._changed.wait_for(self._has_room)
            self._held_back = False
            self._require_going_on()
        if number >= self.spool.appended:
            self.spool.append(number, sealed, last=last)
            self._wake()

    def end(self, stream: Stream, error: Exception | None) -> None:
        """No more chunks will come from `stream`."""
        with self._changed:
            stream.ended, stream.error = True, error
            self._changed.notify_all()

    def leave(self, stream: Stream) -> None:
        """The call is over: another stream may take over."""
        with self._changed:
            if self._stream is stream:
                self._stream = None
            self._changed.notify_all()

    def commit(self, stream: Stream, *, idle_s: float) -> int | None:
        """Wait for chunks, bring them to the disk, return the next number; None when the stream is over.

        Raises whatever ended the stream, or `StreamIdleError` if the caller sends nothing for `idle_s`.
        """
        with self._changed:
            while not self._changed.wait_for(lambda: self._has_news(stream), idle_s):
                if not self._held_back:
                    raise StreamIdleError(
                        f"upload {self.name}: no chunk in {idle_s:.0f} s",
                    )
        if self.spool.durable < self.spool.appended:
            durable = self.spool.commit()
            self._wake()
            return durable
        self._require_going_on()
        if stream.error is not None:
            raise stream.error
        return None

    def require_all_chunks(self) -> None:
        """Raise `OutOfOrderError` unless the last chunk has come; what has come is durable then."""
        if not self.spool.complete:
            raise OutOfOrderError(
                f"upload {self.name} has no last chunk yet, expected chunk {self.spool.appended}",
            )
        self.spool.commit()

    # --- The enclave's side -----------------------------------------------------------------------------

    def wait_for_chunk(self, number: int, *, timeout_s: float) -> bool:
        """Whether chunk `number` may be forwarded, after waiting for it while it can still come."""
        with self._changed:
            self._changed.wait_for(lambda: self.spool.durable > number or not self.is_receiving, timeout_s)
            return self.spool.durable > number

    @property
    def is_receiving(self) -> bool:
        """Whether more chunks may become durable: a stream is open, and the last one has not come."""
        has_all = self.spool.complete and self.spool.durable == self.spool.appended
        return self._stream is not None and self._stopped_by is None and not has_all

    def taken(self, next_chunk: int) -> None:
        """The enclave took everything below `next_chunk`."""
        with self._changed:
            self._taken, self._enclave_takes = next_chunk, True
            self._changed.notify_all()

    def not_taking(self) -> None:
        """The enclave is not to be reached: receive on, it catches up from the spool."""
        with self._changed:
            self._enclave_takes = False
            self._changed.notify_all()

    def stop(self, error: CoordinatorError) -> None:
        """The enclave refused a chunk, or the job is over: whoever sends is told so."""
        with self._changed:
            self._stopped_by = error
            self._changed.notify_all()

    def _has_room(self) -> bool:
        behind_disk = self.spool.appended - self.spool.durable
        behind_enclave = self.spool.durable - self._taken if self._enclave_takes else 0
        return max(behind_disk, behind_enclave) < BEHIND_MAX_CHUNKS or self._stopped_by is not None

    def _has_news(self, stream: Stream) -> bool:
        return self.spool.durable < self.spool.appended or stream.ended or self._stopped_by is not None

    def _require_going_on(self) -> None:
        if self._stopped_by is not None:
            raise self._stopped_by

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()
