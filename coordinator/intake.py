"""Sealed chunks on their way to the disk, whatever they are for: streams, their quotas, and open spools.

Reads what callers stream. Says nothing about who may send what, and brings nothing to an enclave: `relay`
does that for the uploads of a job, `deposits` for what waits under an agreement. Both share the bounds kept
here.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coordinator import log
from coordinator.errors import CoordinatorError
from coordinator.quotas import Quotas
from coordinator.spool import Spool, stored_bytes
from coordinator.upload import Announced, Stream, Upload

STREAM_IDLE_S: Final = 120.0
_TAKE_OVER_S: Final = 30.0


@dataclass(frozen=True)
class IncomingChunk:
    """One message of an upload stream."""

    number: int
    sealed: bytes
    last: bool


@dataclass(frozen=True)
class Place:
    """Where an upload's two files are: one place, one upload."""

    folder: Path
    name: str


class Intake:
    """All uploads that are open, and how much disk those take that are not. Safe to use from many threads."""

    def __init__(self, quotas: Quotas) -> None:
        self._quotas = quotas
        self._uploads: dict[Place, Upload] = {}
        self._resting: dict[Place, tuple[str, int]] = {}
        """Sender and sealed bytes of uploads whose files are closed."""
        self._streams: Counter[str] = Counter()
        self._lock = threading.Lock()

    def open(self, place: Place, announced: Announced) -> Upload:
        """The one object that stands for the upload at `place`, its spool opened if it was not."""
        with self._lock:
            if place not in self._uploads:
                self._uploads[place] = Upload(announced, Spool(place.folder, place.name))
                self._resting.pop(place, None)
            return self._uploads[place]

    def rest(self, place: Place, announced: Announced) -> None:
        """Close the files at `place`, which stay and count for their sender."""
        with self._lock:
            self._uploads.pop(place, None)
            self._resting[place] = (announced.sent_by, stored_bytes(place.folder, place.name))

    def forget(self, place: Place, why: CoordinatorError) -> None:
        """End what is being received at `place`; its files are the caller's to delete."""
        with self._lock:
            upload = self._uploads.pop(place, None)
            self._resting.pop(place, None)
        if upload is not None:
            upload.stop(why)

    def open_in(self, folder: Path) -> list[Upload]:
        """The open uploads with their files in `folder`."""
        with self._lock:
            return [upload for place, upload in self._uploads.items() if place.folder == folder]

    def receive(
        self,
        caller: str,
        upload: Upload,
        chunks: Iterator[IncomingChunk],
        cancel: Callable[[], object],
        *,
        on_open: Callable[[], None] = lambda: None,
    ) -> Iterator[int]:
        """Store `chunks`; yields the number below which all are durable, each time that it has grown.

        `cancel` makes the call that brings the chunks end, from any thread. `on_open` is called when the
        stream is the upload's only one.
        """
        with self._stream_of(caller, upload, cancel) as stream:
            threading.Thread(
                target=self._read, args=(upload, stream, chunks), name=f"read-{upload.name}", daemon=True
            ).start()
            on_open()
            while (durable := upload.commit(stream, idle_s=STREAM_IDLE_S)) is not None:
                yield durable
            # Says where the upload stands even if all chunks were stored before.
            yield upload.spool.durable

    @contextmanager
    def _stream_of(self, caller: str, upload: Upload, cancel: Callable[[], object]) -> Iterator[Stream]:
        """A stream that is the only one of its upload and counts against its caller's quota."""
        stream = Stream(cancel)
        upload.take_over(stream, timeout_s=_TAKE_OVER_S)
        try:
            with self._counted(caller):
                yield stream
        finally:
            upload.leave(stream)
            sizes = log.bucketed(upload.spool.stored_bytes)
            log.event("stream-ended", upload=upload.name, caller=caller, stored_bytes=sizes)

    @contextmanager
    def _counted(self, caller: str) -> Iterator[None]:
        with self._lock:
            self._quotas.require("streams", self._streams[caller])
            self._streams[caller] += 1
        try:
            yield
        finally:
            with self._lock:
                self._streams[caller] -= 1

    def _read(self, upload: Upload, stream: Stream, chunks: Iterator[IncomingChunk]) -> None:
        """Thread: from the caller's stream to the spool, until the stream ends or a chunk is refused."""
        error: Exception | None = None
        try:
            for chunk in chunks:
                self._require_space(upload, len(chunk.sealed))
                upload.append(chunk.number, chunk.sealed, last=chunk.last)
        except Exception as failure:  # whatever it is, the thread that answers the caller raises it
            error = failure
        upload.end(stream, error)

    def _require_space(self, upload: Upload, n_bytes: int) -> None:
        sender = upload.announced.sent_by
        self._quotas.require_bytes("upload_bytes", in_use=upload.spool.stored_bytes, more=n_bytes)
        with self._lock:
            kept = sum(
                other.spool.stored_bytes
                for other in self._uploads.values()
                if other.announced.sent_by == sender
            )
            kept += sum(n_kept for owner, n_kept in self._resting.values() if owner == sender)
        self._quotas.require_bytes("spool_bytes", in_use=kept, more=n_bytes)
