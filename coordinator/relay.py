"""Datasets on their way in: begin, chunks, finish, each of which may be repeated, interrupted and resumed.

What parties send is opaque: the coordinator checks sizes, numbers and who sends, and lets the enclave judge
the rest. A chunk is acknowledged when it is durable in the spool; the enclave follows as fast as it takes.
"""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coordinator import log
from coordinator.enclaves import Enclaves
from coordinator.errors import ConflictError, CoordinatorError, JobNotRunningError, NotAllowedError
from coordinator.forwarding import forward, forward_while_receiving
from coordinator.jobs import MEANING, Job
from coordinator.quotas import Quotas
from coordinator.spool import Spool, delete_spools
from coordinator.store import Store
from coordinator.store.uploads import UploadRecord, require_same_upload
from coordinator.upload import Stream, Upload

STREAM_IDLE_S: Final = 120.0
_TAKE_OVER_S: Final = 30.0
_SPOOL_FOLDER: Final = "spool"


@dataclass(frozen=True)
class IncomingChunk:
    """One message of an upload stream."""

    number: int
    sealed: bytes
    last: bool


class Relay:
    """All uploads of all living jobs. Safe to use from many threads."""

    def __init__(self, state: Path, store: Store, enclaves: Enclaves, quotas: Quotas) -> None:
        self._folder = state / _SPOOL_FOLDER
        self._store = store
        self._enclaves = enclaves
        self._quotas = quotas
        self._uploads: dict[tuple[str, bytes], Upload] = {}
        self._streams: Counter[str] = Counter()
        self._lock = threading.Lock()

    def recover(self, living: list[Job]) -> None:
        """Open the spools of living jobs as the last process left them, and remove all others."""
        delete_spools(self._folder, but_of={job.job_id for job in living})
        for job in living:
            for record in self._store.uploads.of_job(job.job_id):
                self._upload(record)

    def resume(self, job: Job) -> None:
        """Bring what the spool holds to an enclave that was found again."""
        for upload in self._of_job(job.job_id):
            if upload.record.acceptance is None:
                self._forward_in_background(upload)

    def begin(self, caller: str, job_id: str, *, dataset: str, upload_id: bytes, signed_header: bytes) -> int:
        """Start or resume an upload; the number of the first chunk that is not stored."""
        job = self._store.jobs.get(job_id)
        job.require_running()
        known = self._store.uploads.find(job_id, upload_id)
        if known is not None:
            _require_sender(known, caller)
            require_same_upload(known, dataset=dataset, signed_header=signed_header)
            return self._upload(known).spool.commit()
        self._enclaves.begin(job, dataset=dataset, upload_id=upload_id, signed_header=signed_header)
        record = UploadRecord(job_id, upload_id, dataset, caller, signed_header)
        for given_up in self._store.uploads.add(record):
            self._forget(given_up, ConflictError(f"upload {given_up.name} gave way to {record.name}"))
        log.event("upload-begun", job=job_id, dataset=dataset, upload=record.name, caller=caller)
        return self._upload(record).spool.durable

    def receive(
        self,
        caller: str,
        job_id: str,
        upload_id: bytes,
        chunks: Iterator[IncomingChunk],
        cancel: Callable[[], object],
    ) -> Iterator[int]:
        """Store `chunks`; yields the number below which all are durable, each time that it has grown.

        `cancel` makes the call that brings the chunks end, from any thread.
        """
        self._store.jobs.get(job_id).require_running()
        record = self._store.uploads.get(job_id, upload_id)
        _require_sender(record, caller)
        if record.acceptance is not None:
            raise ConflictError(f"upload {record.name} is finished and accepted")
        upload = self._upload(record)
        with self._stream_of(caller, upload, cancel) as stream:
            threading.Thread(
                target=self._read, args=(upload, stream, chunks), name=f"read-{record.name}", daemon=True
            ).start()
            self._forward_in_background(upload)
            while (durable := upload.commit(stream, idle_s=STREAM_IDLE_S)) is not None:
                yield durable
            # Says where the upload stands even if all chunks were stored before.
            yield upload.spool.durable

    def finish(self, caller: str, job_id: str, *, upload_id: bytes, signed_manifest: bytes) -> bytes:
        """Bring the rest to the enclave and have it accept the dataset; the acceptance is kept."""
        record = self._store.uploads.get(job_id, upload_id)
        _require_sender(record, caller)
        if record.acceptance is not None:
            if record.signed_manifest != signed_manifest:
                raise ConflictError(f"upload {record.name} was finished before, with another manifest")
            return record.acceptance
        job = self._store.jobs.get(job_id)
        job.require_running()
        upload = self._upload(record)
        upload.require_all_chunks()
        forward(upload, self._enclaves, job)
        acceptance = self._enclaves.finish(job, upload_id=upload_id, signed_manifest=signed_manifest)
        self._store.uploads.set_accepted(record, signed_manifest=signed_manifest, acceptance=acceptance)
        log.event("upload-accepted", job=job_id, dataset=record.dataset, upload=record.name)
        return acceptance

    def drop(self, job: Job) -> None:
        """The job is over: end its streams and remove its spool, which nobody can open any more."""
        over = JobNotRunningError(
            f"job {job.job_id} is {job.state.value}: {job.detail or MEANING[job.state]}",
        )
        for upload in self._of_job(job.job_id):
            self._forget(upload.record, over)
        shutil.rmtree(self._folder / job.job_id, ignore_errors=True)

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
            log.event("stream-ended", upload=upload.record.name, caller=caller, stored_bytes=sizes)

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
        sender = upload.record.sent_by
        self._quotas.require_bytes("upload_bytes", in_use=upload.spool.stored_bytes, more=n_bytes)
        with self._lock:
            kept = sum(
                other.spool.stored_bytes for other in self._uploads.values() if other.record.sent_by == sender
            )
        self._quotas.require_bytes("spool_bytes", in_use=kept, more=n_bytes)

    def _forward_in_background(self, upload: Upload) -> None:
        job_id = upload.record.job_id
        threading.Thread(
            target=forward_while_receiving,
            args=(upload, self._enclaves, lambda: self._store.jobs.get(job_id)),
            name=f"forward-{upload.record.name}",
            daemon=True,
        ).start()

    def _upload(self, record: UploadRecord) -> Upload:
        """The one object that stands for this upload, its spool opened if it was not."""
        key = (record.job_id, record.upload_id)
        with self._lock:
            if key not in self._uploads:
                spool = Spool(self._folder / record.job_id, record.name)
                self._uploads[key] = Upload(record, spool)
            return self._uploads[key]

    def _of_job(self, job_id: str) -> list[Upload]:
        with self._lock:
            return [upload for (owner, _), upload in self._uploads.items() if owner == job_id]

    def _forget(self, record: UploadRecord, why: CoordinatorError) -> None:
        with self._lock:
            upload = self._uploads.pop((record.job_id, record.upload_id), None)
        if upload is not None:
            upload.stop(why)
            upload.spool.delete()


def _require_sender(record: UploadRecord, caller: str) -> None:
    if record.sent_by != caller:
        raise NotAllowedError(
            f"upload {record.name} was begun by another caller than {caller}",
        )
