"""Keeps the sealed state of enclaves, and offers it to the next enclave of a job.

Where an agreement lets state outlive its enclave, there is a record for every entry of its ledger. They are
fetched in order after everything that writes one, and before anybody is told of what it was about. None can
be read here, and one that was left out or swapped would be noticed, by the enclave or by witnesses.
"""

from __future__ import annotations

import threading
from typing import Final

from coordinator import log
from coordinator.enclaves import Enclaves, KeptRecord
from coordinator.jobs import Job, RunState
from coordinator.store import Store
from coordinator.store.records import Released
from protos.formats.limits import STATE_RECORDS_MAX

_FIRST: Final = 1


class Keeping:
    """The states of all jobs. Safe to use from many threads."""

    def __init__(self, store: Store, enclaves: Enclaves) -> None:
        self._store = store
        self._enclaves = enclaves
        self._jobs: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def has_state(self, job_id: str) -> bool:
        """Whether another enclave could go on with a job."""
        return self._store.records.count(job_id) >= _FIRST

    def offer(self, job: Job) -> None:
        """Bring everything that is kept for `job` to its enclave, which takes what it had as it is."""
        for sequence in range(_FIRST, self._store.records.count(job.job_id) + 1):
            self._enclaves.restore(job, self._store.records.get(job.job_id, sequence))

    def fetch_first(self, job: Job) -> None:
        """`fetch`, from an enclave that has just taken a state up."""
        self._fetch(job)

    def fetch(self, job: Job) -> None:
        """Fetch what the enclave of `job` has written since, if it has a state at all."""
        if self.has_state(job.job_id):
            self._fetch(job)

    def _fetch(self, job: Job) -> None:
        with self._alone(job.job_id):
            sequence = self._store.records.count(job.job_id) + 1
            # An enclave that is full has no place to ask for, and one that never ends does not fill the disk.
            while sequence <= STATE_RECORDS_MAX:
                kept = self._enclaves.record(job, sequence)
                if kept is None:
                    return
                self._store.records.add(job.job_id, sequence, kept.record, self._released(job, kept))
                log.event("state-record-kept", job=job.job_id, sequence=sequence)
                sequence += 1

    def _released(self, job: Job, kept: KeptRecord) -> Released | None:
        """What the run in a record released; None if it is of no run, or of one that nobody waits for."""
        if kept.run_id is None:
            return None
        run = self._store.runs.find(job.job_id, kept.run_id)
        if run is None or run.state is not RunState.RUNNING:
            return None
        receipt = self._enclaves.receipt(job, run_id=run.run_id)
        sealed = {
            receiver: self._enclaves.result(job, run_id=run.run_id, receiver=receiver)
            for receiver in kept.receivers
        }
        return Released(run, receipt, sealed)

    def _alone(self, job_id: str) -> threading.Lock:
        with self._lock:
            return self._jobs.setdefault(job_id, threading.Lock())
