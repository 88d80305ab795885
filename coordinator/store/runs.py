"""The run table and the results: what was asked, how it ended, and what each receiver may fetch.

A run is released in one transaction with its receipt and all sealed results, or not at all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from coordinator.errors import ConflictError, NotKnownError, RunNotReleasedError
from coordinator.jobs import RunState
from coordinator.quotas import Quotas
from coordinator.store.database import Database
from protos.formats.calls import Refusal
from protos.formats.limits import KIB

RESULT_PART_BYTES: Final = 512 * KIB
_COLUMNS = "job_id, run_id, asked_by, signed_request, state, refusal"


@dataclass(frozen=True)
class RunRecord:
    """One row of the run table, without what was released."""

    job_id: str
    run_id: bytes
    asked_by: str
    signed_request: bytes
    state: RunState
    refusal: str = ""


class Runs:
    """The tables `run` and `result`."""

    def __init__(self, database: Database, quotas: Quotas) -> None:
        self._database = database
        self._quotas = quotas

    def add(self, run: RunRecord) -> tuple[RunRecord, bool]:
        """The run as noted now or before, and whether it is new. `ConflictError` for another request."""
        with self._database.transaction() as connection:
            known = _select(connection, "job_id = ? AND run_id = ?", run.job_id, run.run_id)
            if known:
                _require_same_request(known[0], run)
                return known[0], False
            waiting = _select(connection, "asked_by = ? AND state = ?", run.asked_by, RunState.RUNNING)
            self._quotas.require("runs_at_once", len(waiting))
            connection.execute(
                "INSERT INTO run (job_id, run_id, asked_by, signed_request, state) VALUES (?, ?, ?, ?, ?)",
                (run.job_id, run.run_id, run.asked_by, run.signed_request, run.state),
            )
        return run, True

    def find(self, job_id: str, run_id: bytes) -> RunRecord | None:
        """The run, or None."""
        with self._database.reading() as connection:
            found = _select(connection, "job_id = ? AND run_id = ?", job_id, run_id)
        return found[0] if found else None

    def get(self, job_id: str, run_id: bytes) -> RunRecord:
        """The run, or `NotKnownError`."""
        found = self.find(job_id, run_id)
        if found is None:
            raise NotKnownError(f"no run {run_id.hex()} in job {job_id}")
        return found

    def waiting(self, job_id: str) -> list[RunRecord]:
        """Runs of a job that have no answer yet."""
        with self._database.reading() as connection:
            return _select(connection, "job_id = ? AND state = ?", job_id, RunState.RUNNING)

    def set_released(self, run: RunRecord, *, receipt: bytes, sealed: Mapping[str, bytes]) -> None:
        """Keep the receipt and each receiver's sealed result, and call the run released: all or nothing."""
        with self._database.transaction() as connection:
            set_released(connection, run, receipt=receipt, sealed=sealed)

    def set_refused(self, run: RunRecord, refusal: Refusal) -> None:
        """Keep the enclave's code."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE run SET state = ?, refusal = ? WHERE job_id = ? AND run_id = ? AND state = ?",
                (RunState.REFUSED, refusal, run.job_id, run.run_id, RunState.RUNNING),
            )

    def receipt(self, run: RunRecord) -> bytes:
        """The receipt, or `RunNotReleasedError`."""
        with self._database.reading() as connection:
            (receipt,) = connection.execute(
                "SELECT receipt FROM run WHERE job_id = ? AND run_id = ?", (run.job_id, run.run_id)
            ).fetchone()
        if receipt is None:
            raise RunNotReleasedError(
                f"run {run.run_id.hex()} is {run.state.value} {run.refusal}".rstrip() + ", expected released",
            )
        return bytes(receipt)

    def result_parts(self, run: RunRecord, receiver: str) -> Iterator[bytes]:
        """The receiver's sealed result in parts of `RESULT_PART_BYTES`, or `NotKnownError`."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT number FROM result WHERE job_id = ? AND run_id = ? AND receiver = ?",
                (run.job_id, run.run_id, receiver),
            ).fetchone()
        if row is None:
            raise NotKnownError(
                f"run {run.run_id.hex()} has no result for {receiver[:64]!r}",
            )
        with self._database.reading_blob("result", "sealed", row[0]) as blob:
            while part := blob.read(RESULT_PART_BYTES):
                yield part


def set_released(
    connection: sqlite3.Connection, run: RunRecord, *, receipt: bytes, sealed: Mapping[str, bytes]
) -> None:
    """`Runs.set_released`, within a transaction of the caller's."""
    connection.execute(
        "UPDATE run SET state = ?, receipt = ? WHERE job_id = ? AND run_id = ?",
        (RunState.RELEASED, receipt, run.job_id, run.run_id),
    )
    connection.executemany(
        "INSERT INTO result (job_id, run_id, receiver, sealed) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        [(run.job_id, run.run_id, receiver, result) for receiver, result in sealed.items()],
    )


def _require_same_request(known: RunRecord, run: RunRecord) -> None:
    if known.signed_request != run.signed_request:
        raise ConflictError(
            f"run {run.run_id.hex()} was asked for before, with another request",
        )


def _select(connection: sqlite3.Connection, where: str, *values: object) -> list[RunRecord]:
    # `where` is a constant of this module.
    rows = connection.execute(f"SELECT {_COLUMNS} FROM run WHERE {where} ORDER BY rowid", values)  # noqa: S608
    return [
        RunRecord(job_id, run_id, asked_by, signed_request, RunState(state), refusal)
        for job_id, run_id, asked_by, signed_request, state, refusal in rows
    ]
