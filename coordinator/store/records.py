"""The sealed records of enclaves' states, job by job, and the releases that belong to them.

A record and what its run released come to the disk in one transaction: a later life of the enclave knows that
the run was charged, and has not the result any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from coordinator.store.database import Database
from coordinator.store.runs import RunRecord, set_released


@dataclass(frozen=True)
class Released:
    """What a run released."""

    run: RunRecord
    receipt: bytes
    sealed: Mapping[str, bytes]
    """By receiver."""


class Records:
    """The table `state_record`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def count(self, job_id: str) -> int:
        """How many a job has; they are numbered from 1 without a gap."""
        with self._database.reading() as connection:
            (count,) = connection.execute(
                "SELECT count(*) FROM state_record WHERE job_id = ?", (job_id,)
            ).fetchone()
        return int(count)

    def get(self, job_id: str, sequence: int) -> bytes:
        """One of them, up to `count`."""
        with self._database.reading() as connection:
            (record,) = connection.execute(
                "SELECT record FROM state_record WHERE job_id = ? AND sequence = ?", (job_id, sequence)
            ).fetchone()
        return bytes(record)

    def add(self, job_id: str, sequence: int, record: bytes, released: Released | None) -> None:
        """Keep the next one, with what its run released if it is of one."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO state_record (job_id, sequence, record) VALUES (?, ?, ?)",
                (job_id, sequence, record),
            )
            if released is not None:
                set_released(connection, released.run, receipt=released.receipt, sealed=released.sealed)
