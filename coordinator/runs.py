"""Runs: asked for once, however often the call is repeated, and kept whole when they are released.

The enclave decides whether a run is allowed and what comes out; it gives the same answer to the same run id.
So a run whose answer was lost on the way is asked for again until it is there or the enclave is gone.
"""

from __future__ import annotations

import threading
from typing import Final

from coordinator import log
from coordinator.enclaves import Enclaves
from coordinator.errors import EnclaveRefusedError
from coordinator.jobs import Job, JobState, RunState
from coordinator.keeping import Keeping
from coordinator.store import Store
from coordinator.store.runs import RunRecord
from protos.formats.calls import Refusal
from protos.formats.errors import ConcordatError

_RETRY_S: Final = 1.0
_NOT_YET: Final = frozenset({Refusal.NOT_READY, Refusal.STATE_WANTED, Refusal.WRONG_PHASE})
"""What an enclave says that goes on for another one, and has not been brought everything again."""


class Runs:
    """Asks enclaves for runs, each in a thread of its own; quotas bound how many there are."""

    def __init__(self, store: Store, enclaves: Enclaves, keeping: Keeping) -> None:
        self._store = store
        self._enclaves = enclaves
        self._keeping = keeping
        self._asking: set[tuple[str, bytes]] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    def request(self, caller: str, job_id: str, *, run_id: bytes, signed_request: bytes) -> RunRecord:
        """Note a run and start asking for it, or give what is known of it."""
        job = self._store.jobs.get(job_id)
        if self._store.runs.find(job_id, run_id) is None:
            job.require_running()
        run, is_new = self._store.runs.add(
            RunRecord(job_id, run_id, caller, signed_request, RunState.RUNNING)
        )
        if is_new:
            log.event("run-requested", job=job_id, run=run_id.hex(), caller=caller)
            self._ask_in_background(run)
        return run

    def resume(self, job: Job) -> None:
        """Ask again for what was unanswered when the last process, or the job's last enclave, ended."""
        for run in self._store.runs.waiting(job.job_id):
            self._ask_in_background(run, again=True)

    def stop(self) -> None:
        """Ask for nothing more; the next coordinator does."""
        self._stopping.set()

    def _ask_in_background(self, run: RunRecord, *, again: bool = False) -> None:
        with self._lock:
            if (run.job_id, run.run_id) in self._asking:
                return
            self._asking.add((run.job_id, run.run_id))
        threading.Thread(
            target=self._ask, args=(run, again), name=f"run-{run.run_id.hex()}", daemon=True
        ).start()

    def _ask(self, run: RunRecord, again: bool) -> None:
        """Thread: until there is an answer, or the job is over and the run with it."""
        try:
            while not self._stopping.is_set() and not self._is_answered(run, again):
                again = True
                self._stopping.wait(_RETRY_S)
        finally:
            with self._lock:
                self._asking.discard((run.job_id, run.run_id))

    def _is_answered(self, run: RunRecord, again: bool) -> bool:
        """Whether there is nothing more to ask. `again`: it was asked before, of this enclave or another."""
        try:
            job = self._store.jobs.get(run.job_id)
            if job.state is not JobState.RUNNING:
                return not job.is_living
            self._ask_once(job, run)
        except EnclaveRefusedError as error:
            if again and error.refusal in _NOT_YET:
                return False
            self._store.runs.set_refused(run, error.refusal)
            log.event("run-refused", job=run.job_id, run=run.run_id.hex(), code=error.refusal.value)
        except ConcordatError as error:  # out of reach, speaks nonsense, or our disk is full
            log.problem("run-interrupted", job=run.job_id, run=run.run_id.hex(), code=error.code)
            return False
        return True

    def _ask_once(self, job: Job, run: RunRecord) -> None:
        receivers = self._enclaves.run(job, run_id=run.run_id, signed_request=run.signed_request)
        self._keeping.fetch(job)
        if self._store.runs.get(job.job_id, run.run_id).state is RunState.RELEASED:
            return
        receipt = self._enclaves.receipt(job, run_id=run.run_id)
        sealed = {
            receiver: self._enclaves.result(job, run_id=run.run_id, receiver=receiver)
            for receiver in receivers
        }
        self._store.runs.set_released(run, receipt=receipt, sealed=sealed)
        sizes = log.bucketed(max(map(len, sealed.values())))
        log.event("run-released", job=run.job_id, run=run.run_id.hex(), receivers=len(sealed), bytes=sizes)
