"""Enclaves from start to end: one thread for each living job launches, binds, watches and ends it.

An enclave outlives the coordinator, so a restarted one finds it at the address in the store and goes on.
An enclave that is gone is gone with its keys: its job is lost, and everybody who waits is told so. Where its
state may outlive it, another enclave is started for the job and offered what was kept; witnesses decide.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coordinator import log
from coordinator.enclave_link import EnclaveLink
from coordinator.enclaves import Enclaves, bind, status_of
from coordinator.errors import CannotServeError, CoordinatorError, EnclaveUnreachableError, LaunchError
from coordinator.jobs import GOES_ON, Job, JobEvent, JobState
from coordinator.keeping import Keeping
from coordinator.launchers import Launcher
from coordinator.store import Store
from protos.formats.calls import Op
from protos.formats.errors import ConcordatError

_REACH_AGAIN_S: Final = 5.0
_CLOSE_DEADLINE_S: Final = 5.0
_END_WAIT_S: Final = 30.0
_WATCH_S: Final = 1.0
_POLL_S: Final = 0.05
_LOOK_S: Final = 0.2
_RESTARTS_MAX: Final = 5
_RESTART_PAUSE_S: Final = 5.0
_CONSOLE_TAIL_BYTES: Final = 4096
_CONSOLE_LINE_CHARACTERS: Final = 200


class _Watch:
    """What a job's thread and those who want it to end share."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.ending = threading.Event()
        self.keep_enclave = False
        self.goes_on = False
        """The enclave ends and the job does not: the next coordinator goes on with its state."""
        self.restarts = 0
        """Enclaves in a row that did not come to run."""
        self.link: EnclaveLink | None = None
        self.thread: threading.Thread | None = None


@dataclass(frozen=True)
class Hears:
    """Who hears of a job."""

    waiting: Callable[[Job], None]
    """When its enclave waits for its state."""
    running: Callable[[Job], None]
    """When it takes work (again)."""
    restarting: Callable[[Job], None]
    """When its enclave is gone, and another one is to go on."""
    over: Callable[[Job], None]
    """When it never will take work any more."""


class Supervisor:
    """Keeps the job table true. Safe to use from many threads."""

    def __init__(
        self,
        store: Store,
        launcher: Launcher,
        enclaves: Enclaves,
        keeping: Keeping,
        *,
        consoles: Path,
        hears: Hears,
    ) -> None:
        """`consoles`: folder for what launchers print, a file per job."""
        self._store = store
        self._launcher = launcher
        self._enclaves = enclaves
        self._consoles = consoles
        self._keeping = keeping
        self._hears = hears
        self._watches: dict[str, _Watch] = {}
        self._lock = threading.Lock()

    def recover(self) -> None:
        """Take up every job where the last process left it; end what is left of those that are over.

        Raises `CannotServeError` for jobs of another launcher.
        """
        self._consoles.mkdir(mode=0o700, parents=True, exist_ok=True)
        jobs = self._store.jobs.all()
        _require_launcher(self._launcher.name, jobs)
        for job in jobs:
            if job.is_living:
                self.keep(job)
            elif job.address:
                self._end_enclave(job)

    def keep(self, job: Job) -> None:
        """Start the thread that keeps this job, unless there is one."""
        with self._lock:
            if job.job_id not in self._watches:
                watch = _Watch(job)
                watch.thread = threading.Thread(
                    target=self._keep, args=(job, watch), name=f"job-{job.job_id}", daemon=True
                )
                self._watches[job.job_id] = watch
                watch.thread.start()

    def end(self, job_id: str) -> None:
        """End the enclave of a job that the store says is over, and wait for that."""
        self._leave([job_id], keep_enclaves=False)

    def stop(self, *, keep_enclaves: bool) -> None:
        """Stop watching. Enclaves end, or all is left for the next coordinator.

        A job whose enclave ends is closed, unless another one can go on with its state: to stop in order must
        not cost the keys and counts that a crash leaves.
        """
        with self._lock:
            watches = dict(self._watches)
        if not keep_enclaves:
            for job_id, watch in watches.items():
                watch.goes_on = self._keeping.has_state(job_id)
                if not watch.goes_on:
                    self._store.jobs.advance(job_id, JobEvent.CLOSED, detail="the coordinator was stopped")
        self._leave(list(watches), keep_enclaves=keep_enclaves)

    # --- The thread of one job --------------------------------------------------------------------------

    def _keep(self, job: Job, watch: _Watch) -> None:
        """From wherever the job stands to its end, or until the coordinator stops and leaves it."""
        event, detail = JobEvent.ENCLAVE_GONE, ""
        try:
            while not watch.ending.is_set():
                try:
                    self._serve(job, watch)
                    event = JobEvent.CLOSED
                except ConcordatError as error:
                    event, detail = self._what_happened(job.job_id, error)
                    if not self._may_go_on(watch):
                        break
                    job = self._restart(job.job_id, watch, detail)
        finally:
            if watch.link is not None:
                watch.link.close()
            if watch.goes_on and self._store.jobs.get(job.job_id).is_living:
                self._end_for_another(job.job_id, watch)
            elif not watch.keep_enclave:
                self._finish(job.job_id, event, detail, watch)
            with self._lock:
                del self._watches[job.job_id]

    def _serve(self, job: Job, watch: _Watch) -> None:
        """One enclave, from its start until the job is to end. Raises when it is gone."""
        self._start(job, watch)
        while not watch.ending.is_set():
            self._watch_connection(watch)

    def _may_go_on(self, watch: _Watch) -> bool:
        """Whether another enclave can take up the state of one that is gone."""
        if watch.ending.is_set() or watch.restarts >= _RESTARTS_MAX:
            return False
        return self._keeping.has_state(watch.job.job_id)

    def _restart(self, job_id: str, watch: _Watch, detail: str) -> Job:
        """What is left of the enclave goes away; the job as it starts anew, after a pause."""
        if watch.link is not None:
            watch.link.close()
            watch.link = None
        log.problem("job-restarted", job=job_id, detail=detail)
        self._end_for_another(job_id, watch)
        watch.ending.wait(_RESTART_PAUSE_S * watch.restarts)
        watch.restarts += 1
        watch.job = self._store.jobs.get(job_id)
        return watch.job

    def _end_for_another(self, job_id: str, watch: _Watch) -> None:
        """The enclave ends; the job is one that another enclave is to go on with."""
        job = self._advance(job_id, JobEvent.RESTARTED, watch, detail=GOES_ON)
        self._hears.restarting(job)
        self._end_enclave(job)

    def _start(self, job: Job, watch: _Watch) -> None:
        """Until the enclave is bound: launch it if this has not been done, wait for it, bind it."""
        if job.state is JobState.STARTING and not (job.address and self._launcher.is_alive(job.address)):
            watch.job = job = self._launch(job)
        watch.link = self._reach(watch, self._launcher.deadlines.start_s)
        if watch.link is None:
            return
        if job.state is JobState.STARTING:
            call_s = self._launcher.deadlines.call_s
            status_of(watch.link, deadline_s=call_s)
            board = self._store.agreements.get(job.agreement_digest)
            bind(watch.link, agreement=board.agreement, approvals=board.approvals, deadline_s=call_s)
        if job.state is not JobState.RUNNING:
            job = self._take_up(job, watch, watch.link)
        if job.state is JobState.RUNNING:
            self._keeping.fetch(job)
            watch.restarts = 0
            log.event("job-running", job=job.job_id, launcher=job.launcher)
            self._hears.running(job)

    def _take_up(self, job: Job, watch: _Watch, link: EnclaveLink) -> Job:
        """The job with an enclave that has taken its state up, or that has none; or as it is to end."""
        call_s = self._launcher.deadlines.call_s
        state = status_of(link, deadline_s=call_s).state
        if state is None:
            return self._advance(job.job_id, JobEvent.BOUND, watch)
        if not state.is_taken_up:
            self._keeping.offer(job)
            job = self._advance(job.job_id, JobEvent.WAITS, watch)
            log.event("job-waiting", job=job.job_id, witnesses=", ".join(state.missing))
            self._hears.waiting(job)
        while state is not None and not state.is_taken_up:
            if watch.ending.is_set():
                return job
            if link.wait_for_end(timeout_s=_LOOK_S):
                raise EnclaveUnreachableError(f"the enclave of job {job.job_id} is gone")
            state = status_of(link, deadline_s=call_s).state
        self._keeping.fetch_first(job)
        return self._advance(job.job_id, JobEvent.BOUND, watch)

    def _launch(self, job: Job) -> Job:
        """Start an enclave at a new address; what a process that was killed left at the old one goes away."""
        if job.address:
            self._launcher.end(job.address)
        self._store.jobs.set_address(job.job_id, self._launcher.new_address())
        job = self._store.jobs.get(job.job_id)
        self._launcher.launch(job.address, console=self._console(job))
        return job

    def _reach(self, watch: _Watch, within_s: float) -> EnclaveLink | None:
        """A connection, as soon as the enclave takes one; None when the job is to end.

        Raises `EnclaveUnreachableError` once its process is gone or the time is up.
        """
        until = time.monotonic() + within_s
        while not watch.ending.is_set():
            was_alive = self._launcher.is_alive(watch.job.address)
            try:
                return self._enclaves.open(watch.job)
            except EnclaveUnreachableError:
                if not was_alive or time.monotonic() > until:
                    raise
            watch.ending.wait(_POLL_S)
        return None

    def _watch_connection(self, watch: _Watch) -> None:
        """Until the connection or the job ends; then connect again, unless the job is to end.

        While a connection is open, the enclave does not end from idleness.
        """
        if watch.link is not None:
            while not (watch.link.wait_for_end(timeout_s=_WATCH_S) or watch.ending.is_set()):
                pass
            watch.link.close()
        watch.link = self._reach(watch, _REACH_AGAIN_S)

    def _finish(self, job_id: str, event: JobEvent, detail: str, watch: _Watch) -> None:
        job = self._advance(job_id, event, watch, detail=detail)
        level = log.problem if job.state in (JobState.FAILED, JobState.LOST) else log.event
        level("job-over", job=job_id, state=job.state.value, detail=job.detail)
        self._end_enclave(job)
        self._hears.over(job)

    def _advance(self, job_id: str, event: JobEvent, watch: _Watch, *, detail: str = "") -> Job:
        """Note what happened, as soon as the disk takes it: what is true must not stay unsaid."""
        while True:
            try:
                return self._store.jobs.advance(job_id, event, detail=detail)
            except CoordinatorError as error:
                log.problem("job-not-noted", job=job_id, code=error.code)
                if watch.ending.is_set():
                    raise
                time.sleep(_WATCH_S)

    # --- Ends -------------------------------------------------------------------------------------------

    def _leave(self, job_ids: list[str], *, keep_enclaves: bool) -> None:
        with self._lock:
            watches = [watch for job_id in job_ids if (watch := self._watches.get(job_id))]
        for watch in watches:
            watch.keep_enclave = keep_enclaves
            watch.ending.set()
            if watch.link is not None:
                watch.link.interrupt()
        for watch in watches:
            if watch.thread is not None:
                watch.thread.join(_END_WAIT_S)

    def _end_enclave(self, job: Job) -> None:
        """Ask it to close, then make sure."""
        if not job.address:
            return
        try:
            with contextlib.closing(self._enclaves.open(job)) as link:
                link.call(Op.CLOSE, deadline_s=_CLOSE_DEADLINE_S)
        except CoordinatorError:
            pass  # gone already, or it does not want to: it is ended either way
        self._launcher.end(job.address)
        self._store.jobs.set_address(job.job_id, "")

    def _console(self, job: Job) -> Path:
        return self._consoles / f"{job.job_id}.log"

    def _what_happened(self, job_id: str, error: ConcordatError) -> tuple[JobEvent, str]:
        """The event that `error` is for the job, and the detail for people."""
        job = self._store.jobs.get(job_id)
        if job.state is not JobState.STARTING:
            return JobEvent.ENCLAVE_GONE, ""
        if isinstance(error, LaunchError | EnclaveUnreachableError):
            said = _last_error_line(self._console(job))
            return JobEvent.FAILED, f"the enclave did not start: {said or error.message}"
        return JobEvent.FAILED, error.message


def _require_launcher(name: str, jobs: list[Job]) -> None:
    """Raise `CannotServeError` if an enclave is somewhere that this launcher knows nothing of."""
    for job in jobs:
        if (job.is_living or job.address) and job.launcher != name:
            raise CannotServeError(
                f"job {job.job_id} has an enclave of launcher {job.launcher}, got launcher {name}",
                hint="start with the former launcher, close the jobs with state, and stop in order, which "
                "ends all others",
            )


def _last_error_line(console: Path) -> str:
    try:
        with console.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _CONSOLE_TAIL_BYTES))
            lines = file.read(_CONSOLE_TAIL_BYTES).decode(errors="replace").splitlines()
    except OSError:
        return ""
    said = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return _printable(said[-1][:_CONSOLE_LINE_CHARACTERS]) if said else ""


def _printable(text: str) -> str:
    """Without what would command a terminal: an enclave writes what it wants on its console."""
    return "".join(character if character.isprintable() else "?" for character in text)
