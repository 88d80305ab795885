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
from coordinator.jobs import Job, RunState
from coordinator.store import Store
from coordinator.store.runs import RunRecord
from protos.formats.errors import ConcordatError

_RETRY_S: Final = 1.0


class Runs:
    """Asks enclaves for runs, each in a thread of its own; quotas bound how many there are."""

    def __init__(self, store: Store, enclaves: Enclaves) -> None:
        self._store = store
        self._enclaves = enclaves
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
        """Ask again for what was unanswered when the last process ended."""
        for run in self._store.runs.waiting(job.job_id):
            self._ask_in_background(run)

    def stop(self) -> None:
        """Ask for nothing more; the next coordinator does."""
        self._stopping.set()

    def _ask_in_background(self, run: RunRecord) -> None:
        threading.Thread(target=self._ask, args=(run,), name=f"run-{run.run_id.hex()}", daemon=True).start()

    def _ask(self, run: RunRecord) -> None:
        """Thread: until there is an answer, or the job is over and the run with it."""
        while not self._stopping.is_set():
            try:
                job = self._store.jobs.get(run.job_id)
                if job.is_living:
                    self._ask_once(job, run)
            except EnclaveRefusedError as error:
                self._store.runs.set_refused(run, error.refusal)
                log.event("run-refused", job=run.job_id, run=run.run_id.hex(), code=error.refusal.value)
            except ConcordatError as error:  # out of reach, speaks nonsense, or our disk is full
                log.problem("run-interrupted", job=run.job_id, run=run.run_id.hex(), code=error.code)
                self._stopping.wait(_RETRY_S)
                continue
            return

    def _ask_once(self, job: Job, run: RunRecord) -> None:
        receivers = self._enclaves.run(job, run_id=run.run_id, signed_request=run.signed_request)
        receipt = self._enclaves.receipt(job, run_id=run.run_id)
        sealed = {
            receiver: self._enclaves.result(job, run_id=run.run_id, receiver=receiver)
            for receiver in receivers
        }
        self._store.runs.set_released(run, receipt=receipt, sealed=sealed)
        sizes = log.bucketed(max(map(len, sealed.values())))
        log.event("run-released", job=run.job_id, run=run.run_id.hex(), receivers=len(sealed), bytes=sizes)
