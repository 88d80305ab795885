"""The job table: which jobs there are, and every change of state as `coordinator.jobs` allows it.

When a job is over its unanswered runs are over too, in the same transaction.
"""

from __future__ import annotations

import sqlite3

from coordinator.errors import NotKnownError
from coordinator.jobs import LIVING, Job, JobEvent, JobState, RunState, after, run_state_after_loss
from coordinator.quotas import Quotas
from coordinator.store.database import Database
from coordinator.store.requests import Request, earlier_outcome, remember

_COLUMNS = "job_id, agreement_digest, started_by, state, detail, launcher, address"


class Jobs:
    """The table `job`."""

    def __init__(self, database: Database, quotas: Quotas) -> None:
        self._database = database
        self._quotas = quotas

    def start(self, request: Request, *, job_id: str, agreement_digest: bytes, launcher: str) -> Job:
        """A new starting job, or the one that this very request started before."""
        with self._database.transaction() as connection:
            outcome = earlier_outcome(connection, request)
            if outcome is not None:
                return _get(connection, outcome)
            living = [job for job in _select(connection, "1") if job.is_living]
            self._quotas.require("jobs", sum(job.started_by == request.caller for job in living))
            self._quotas.require("jobs_of_all", len(living))
            connection.execute(
                "INSERT INTO job (job_id, agreement_digest, started_by, state, launcher)"
                " VALUES (?, ?, ?, ?, ?)",
                (job_id, agreement_digest, request.caller, JobState.STARTING, launcher),
            )
            remember(connection, request, job_id)
            return _get(connection, job_id)

    def advance(self, job_id: str, event: JobEvent, *, detail: str = "") -> Job:
        """The job after `event`; unchanged if it was over already."""
        with self._database.transaction() as connection:
            return _advance(connection, job_id, event, detail)

    def close(self, request: Request, job_id: str, *, detail: str) -> Job:
        """The job, closed; unchanged if it was over or this very request closed it before."""
        with self._database.transaction() as connection:
            if earlier_outcome(connection, request) is not None:
                return _get(connection, job_id)
            remember(connection, request, job_id)
            return _advance(connection, job_id, JobEvent.CLOSED, detail)

    def set_address(self, job_id: str, address: str) -> None:
        """Note where the job's enclave listens, before it is started there; empty: it has none any more."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE job SET address = ? WHERE job_id = ?", (address, job_id))

    def get(self, job_id: str) -> Job:
        """The job, or `NotKnownError`."""
        with self._database.reading() as connection:
            return _get(connection, job_id)

    def all(self, *, agreement_digest: bytes = b"") -> list[Job]:
        """All jobs, or those under one agreement, in the order they were started."""
        with self._database.reading() as connection:
            if agreement_digest:
                return _select(connection, "agreement_digest = ?", agreement_digest)
            return _select(connection, "1")


def _select(connection: sqlite3.Connection, where: str, *values: object) -> list[Job]:
    # `where` is a constant of this module.
    rows = connection.execute(f"SELECT {_COLUMNS} FROM job WHERE {where} ORDER BY number", values)  # noqa: S608
    return [
        Job(job_id, digest, started_by, JobState(state), detail, launcher, address)
        for job_id, digest, started_by, state, detail, launcher, address in rows
    ]


def _get(connection: sqlite3.Connection, job_id: str) -> Job:
    found = _select(connection, "job_id = ?", job_id)
    if not found:
        raise NotKnownError(f"no job {job_id[:40]!r} here")
    return found[0]


def _advance(connection: sqlite3.Connection, job_id: str, event: JobEvent, detail: str) -> Job:
    state = after(_get(connection, job_id).state, event)
    if state is not None:
        connection.execute("UPDATE job SET state = ?, detail = ? WHERE job_id = ?", (state, detail, job_id))
        if state not in LIVING:
            connection.execute(
                "UPDATE run SET state = ? WHERE job_id = ? AND state = ?",
                (run_state_after_loss(RunState.RUNNING), job_id, RunState.RUNNING),
            )
    return _get(connection, job_id)
