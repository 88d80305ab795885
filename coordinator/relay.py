"""Datasets on their way in: begin, chunks, finish, each of which may be repeated, interrupted and resumed.

What parties send is opaque: the coordinator checks sizes, numbers and who sends, and lets the enclave judge
the rest. A chunk is acknowledged when it is durable in the spool; the enclave follows as fast as it takes.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from coordinator import log
from coordinator.enclaves import Enclaves
from coordinator.errors import ConflictError, CoordinatorError, JobNotRunningError, NotAllowedError
from coordinator.forwarding import forward, forward_while_receiving
from coordinator.intake import IncomingChunk, Intake, Place
from coordinator.jobs import MEANING, Job
from coordinator.keeping import Keeping
from coordinator.spool import delete_spool, delete_spools
from coordinator.store import Store
from coordinator.store.uploads import UploadRecord, require_same_upload
from coordinator.upload import Upload

_SPOOL_FOLDER: Final = "spool"
_AGAIN_S: Final = 1.0


class Relay:
    """All uploads of all living jobs. Safe to use from many threads."""

    def __init__(
        self, state: Path, store: Store, enclaves: Enclaves, intake: Intake, keeping: Keeping
    ) -> None:
        self._folder = state / _SPOOL_FOLDER
        self._store = store
        self._enclaves = enclaves
        self._intake = intake
        self._keeping = keeping

    def recover(self, living: list[Job]) -> None:
        """Open the spools of living jobs as the last process left them, and remove all others."""
        delete_spools(self._folder, but_of={job.job_id for job in living})
        for job in living:
            for record in self._store.uploads.of_job(job.job_id):
                self._upload(record)

    def resume(self, job: Job) -> None:
        """Bring what the spool holds to an enclave that was found again, or that goes on for another one."""
        for record in self._store.uploads.of_job(job.job_id):
            if record.acceptance is None:
                self._forward_in_background(job.job_id, self._upload(record))
            elif self._keeping.has_state(job.job_id):
                threading.Thread(
                    target=self._bring_again, args=(job, record), name=f"again-{record.name}", daemon=True
                ).start()

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
        yield from self._intake.receive(
            caller, upload, chunks, cancel, on_open=lambda: self._forward_in_background(job_id, upload)
        )

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
        self._keeping.fetch(job)
        self._store.uploads.set_accepted(record, signed_manifest=signed_manifest, acceptance=acceptance)
        log.event("upload-accepted", job=job_id, dataset=record.dataset, upload=record.name)
        return acceptance

    def drop(self, job: Job) -> None:
        """The job is over: end its streams and remove its spool, which nobody can open any more."""
        over = JobNotRunningError(
            f"job {job.job_id} is {job.state.value}: {job.detail or MEANING[job.state]}",
        )
        for record in self._store.uploads.of_job(job.job_id):
            self._intake.forget(self._place(record), over)
        shutil.rmtree(self._folder / job.job_id, ignore_errors=True)

    def is_receiving(self, job_id: str, dataset: str) -> bool:
        """Whether a dataset is on its way to a job's enclave now, on a stream that is open."""
        return any(
            upload.is_receiving and upload.announced.dataset == dataset
            for upload in self._intake.open_in(self._folder / job_id)
        )

    def _bring_again(self, job: Job, record: UploadRecord) -> None:
        """Thread: an accepted dataset, until this enclave has it or the job has another one or none."""
        manifest = record.signed_manifest or b""
        while self._store.jobs.get(job.job_id) == job:
            try:
                forward(self._upload(record), self._enclaves, job)
                self._enclaves.finish(job, upload_id=record.upload_id, signed_manifest=manifest)
            except CoordinatorError as error:
                # Its key may have to come first, or the enclave may be gone again.
                log.problem("bringing-interrupted", job=job.job_id, upload=record.name, code=error.code)
                time.sleep(_AGAIN_S)
            else:
                log.event("upload-brought-again", job=job.job_id, upload=record.name)
                return

    def _forward_in_background(self, job_id: str, upload: Upload) -> None:
        threading.Thread(
            target=forward_while_receiving,
            args=(upload, self._enclaves, lambda: self._store.jobs.get(job_id)),
            name=f"forward-{upload.name}",
            daemon=True,
        ).start()

    def _upload(self, record: UploadRecord) -> Upload:
        return self._intake.open(self._place(record), record)

    def _place(self, record: UploadRecord) -> Place:
        return Place(self._folder / record.job_id, record.name)

    def _forget(self, record: UploadRecord, why: CoordinatorError) -> None:
        self._intake.forget(self._place(record), why)
        delete_spool(self._folder / record.job_id, record.name)


def _require_sender(record: UploadRecord, caller: str) -> None:
    if record.sent_by != caller:
        raise NotAllowedError(
            f"upload {record.name} was begun by another caller than {caller}",
        )
