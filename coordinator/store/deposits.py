"""The deposit table: datasets that wait here under an agreement, and what enclaves said to each.

A caller has one place per agreement and dataset: what it completes there later takes the place of what it
completed before. Whether a deposit is by the dataset's owner cannot be told here; an enclave finds out. The
chunks themselves are in the spool, under the deposit's number, which no other deposit ever has.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final

from coordinator.errors import ConflictError, NotKnownError
from coordinator.quotas import Quotas
from coordinator.store.database import Database
from coordinator.store.requests import Request, earlier_outcome, remember

ACCEPTED: Final = "accepted"
_COLUMNS = "number, agreement_digest, upload_id, dataset, sent_by, signed_header, signed_manifest"
_SAID = "number, job_id, said, acceptance"
_UNFINISHED = "agreement_digest = ? AND sent_by = ? AND dataset = ? AND signed_manifest IS NULL"
_REPLACED = "agreement_digest = ? AND sent_by = ? AND dataset = ? AND number <> ?"


@dataclass(frozen=True)
class DepositRecord:
    """One row of the deposit table; everything signed is opaque here."""

    number: int
    agreement_digest: bytes
    upload_id: bytes
    dataset: str
    sent_by: str
    signed_header: bytes
    signed_manifest: bytes | None = None
    """None until it is complete."""

    @property
    def name(self) -> str:
        """The deposit in logs and messages."""
        return self.upload_id.hex()

    @property
    def is_complete(self) -> bool:
        """All of it is here."""
        return self.signed_manifest is not None


@dataclass(frozen=True)
class Said:
    """What came of bringing a deposit to the enclave of a job."""

    number: int
    """The deposit's."""
    job_id: str
    said: str
    """`ACCEPTED`, an enclave's refusal, or the code of the coordinator's own error."""
    acceptance: bytes | None = None


class Deposits:
    """The tables `deposit` and `said`."""

    def __init__(self, database: Database, quotas: Quotas) -> None:
        self._database = database
        self._quotas = quotas

    def add(
        self, *, agreement_digest: bytes, upload_id: bytes, dataset: str, sent_by: str, signed_header: bytes
    ) -> tuple[DepositRecord, list[DepositRecord]]:
        """The deposit as noted now or before, and unfinished ones in its place, which gave way to it.

        Raises `ConflictError` if the id comes back with another header, `OverQuotaError`.
        """
        with self._database.transaction() as connection:
            known = _find(connection, agreement_digest, sent_by, upload_id)
            if known is not None:
                _require_same(known, dataset=dataset, signed_header=signed_header)
                return known, []
            place = (agreement_digest, sent_by, dataset)
            given_up = _select(connection, _UNFINISHED, *place)
            connection.execute(f"DELETE FROM deposit WHERE {_UNFINISHED}", place)  # noqa: S608 - a constant
            (kept,) = connection.execute(
                "SELECT count(*) FROM deposit WHERE sent_by = ?", (sent_by,)
            ).fetchone()
            self._quotas.require("deposits", kept)
            number = connection.execute(
                "INSERT INTO deposit (agreement_digest, upload_id, dataset, sent_by, signed_header)"
                " VALUES (?, ?, ?, ?, ?)",
                (agreement_digest, upload_id, dataset, sent_by, signed_header),
            ).lastrowid
            (added,) = _select(connection, "number = ?", number)
        return added, given_up

    def set_complete(self, deposit: DepositRecord, *, signed_manifest: bytes) -> list[DepositRecord]:
        """All of it is here: the caller's earlier ones of this dataset, which return, give way in one step.

        Raises `NotKnownError` if the deposit was removed, or gave way, meanwhile.
        """
        place = (deposit.agreement_digest, deposit.sent_by, deposit.dataset, deposit.number)
        with self._database.transaction() as connection:
            changed = connection.execute(
                "UPDATE deposit SET signed_manifest = ? WHERE number = ?", (signed_manifest, deposit.number)
            ).rowcount
            if not changed:
                raise NotKnownError(f"deposit {deposit.name} is not here any more")
            replaced = _select(connection, _REPLACED, *place)
            connection.execute(f"DELETE FROM deposit WHERE {_REPLACED}", place)  # noqa: S608 - a constant
        return replaced

    def get(self, agreement_digest: bytes, sent_by: str, upload_id: bytes) -> DepositRecord:
        """The deposit, or `NotKnownError`."""
        with self._database.reading() as connection:
            return _known(connection, agreement_digest, sent_by, upload_id)

    def remove(
        self, request: Request, agreement_digest: bytes, sent_by: str, upload_id: bytes
    ) -> DepositRecord | None:
        """Take a deposit out and return it; None if this very request did so before. Or `NotKnownError`."""
        with self._database.transaction() as connection:
            if earlier_outcome(connection, request) is not None:
                return None
            removed = _known(connection, agreement_digest, sent_by, upload_id)
            connection.execute("DELETE FROM deposit WHERE number = ?", (removed.number,))
            remember(connection, request, removed.name)
        return removed

    def under(self, agreement_digest: bytes) -> list[DepositRecord]:
        """All deposits under an agreement, in the order in which they were begun."""
        with self._database.reading() as connection:
            return _select(connection, "agreement_digest = ?", agreement_digest)

    def all(self) -> list[DepositRecord]:
        """All deposits."""
        with self._database.reading() as connection:
            return _select(connection, "1")

    def set_said(self, said: Said) -> None:
        """Note what came of bringing a deposit to a job; nothing if the deposit was removed meanwhile."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM said WHERE number = ? AND job_id = ?", (said.number, said.job_id))
            connection.execute(
                "INSERT INTO said (number, job_id, said, acceptance)"
                " SELECT number, ?, ?, ? FROM deposit WHERE number = ?",
                (said.job_id, said.said, said.acceptance, said.number),
            )

    def said_in(self, job_id: str) -> dict[int, Said]:
        """What was said in a job, by the deposits' numbers."""
        with self._database.reading() as connection:
            rows = connection.execute(f"SELECT {_SAID} FROM said WHERE job_id = ?", (job_id,))  # noqa: S608
            return {row[0]: Said(*row) for row in rows}

    def forget_said(self, job_id: str) -> None:
        """Another enclave of the job has to be told everything again."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM said WHERE job_id = ?", (job_id,))

    def last_said(self, agreement_digest: bytes) -> dict[int, Said]:
        """What was said to each deposit under an agreement in the latest job, by the deposits' numbers."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT said.number, job_id, said, acceptance FROM said"
                " JOIN job USING (job_id) JOIN deposit ON deposit.number = said.number"
                " WHERE deposit.agreement_digest = ? ORDER BY job.number",
                (agreement_digest,),
            )
            return {row[0]: Said(*row) for row in rows}


def _find(
    connection: sqlite3.Connection, agreement_digest: bytes, sent_by: str, upload_id: bytes
) -> DepositRecord | None:
    where = "agreement_digest = ? AND sent_by = ? AND upload_id = ?"
    found = _select(connection, where, agreement_digest, sent_by, upload_id)
    return found[0] if found else None


def _known(
    connection: sqlite3.Connection, agreement_digest: bytes, sent_by: str, upload_id: bytes
) -> DepositRecord:
    found = _find(connection, agreement_digest, sent_by, upload_id)
    if found is None:
        raise NotKnownError(f"{sent_by} has no deposit {upload_id.hex()} under this agreement")
    return found


def _require_same(known: DepositRecord, *, dataset: str, signed_header: bytes) -> None:
    if (known.dataset, known.signed_header) != (dataset, signed_header):
        raise ConflictError(f"deposit {known.name} was begun before, with another header")


def _select(connection: sqlite3.Connection, where: str, *values: object) -> list[DepositRecord]:
    # `where` is a constant of this module.
    rows = connection.execute(f"SELECT {_COLUMNS} FROM deposit WHERE {where} ORDER BY number", values)  # noqa: S608
    return [DepositRecord(*row) for row in rows]
