"""The upload table: which dataset is being sent to which job, by whom, and whether the enclave accepted it.

The chunks themselves are in the spool.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from coordinator.errors import ConflictError, NotKnownError
from coordinator.store.database import Database

_COLUMNS = "job_id, upload_id, dataset, sent_by, signed_header, signed_manifest, acceptance"


@dataclass(frozen=True)
class UploadRecord:
    """One row of the upload table; everything signed is opaque here."""

    job_id: str
    upload_id: bytes
    dataset: str
    sent_by: str
    signed_header: bytes
    signed_manifest: bytes | None = None
    acceptance: bytes | None = None

    @property
    def name(self) -> str:
        """The upload in logs, messages and file names."""
        return self.upload_id.hex()


class Uploads:
    """The table `upload`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, job_id: str, upload_id: bytes) -> UploadRecord | None:
        """The upload, or None."""
        with self._database.reading() as connection:
            found = _select(connection, "job_id = ? AND upload_id = ?", job_id, upload_id)
        return found[0] if found else None

    def get(self, job_id: str, upload_id: bytes) -> UploadRecord:
        """The upload, or `NotKnownError`."""
        found = self.find(job_id, upload_id)
        if found is None:
            raise NotKnownError(f"no upload {upload_id.hex()} to job {job_id}")
        return found

    def add(self, upload: UploadRecord) -> list[UploadRecord]:
        """Note a new upload. Unfinished ones of the same sender to the same slot give way: those return.

        The enclave has begun the new one by now, and a slot takes one upload at a time.
        """
        slot = (upload.job_id, upload.dataset, upload.sent_by, upload.upload_id)
        where = "job_id = ? AND dataset = ? AND sent_by = ? AND upload_id <> ? AND acceptance IS NULL"
        with self._database.transaction() as connection:
            given_up = _select(connection, where, *slot)
            connection.execute(f"DELETE FROM upload WHERE {where}", slot)  # noqa: S608 - a constant, see above
            connection.execute(
                "INSERT INTO upload (job_id, upload_id, dataset, sent_by, signed_header)"
                " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (upload.job_id, upload.upload_id, upload.dataset, upload.sent_by, upload.signed_header),
            )
        return given_up

    def set_accepted(self, upload: UploadRecord, *, signed_manifest: bytes, acceptance: bytes) -> None:
        """Keep the enclave's acceptance with the manifest that it is for."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE upload SET signed_manifest = ?, acceptance = ? WHERE job_id = ? AND upload_id = ?",
                (signed_manifest, acceptance, upload.job_id, upload.upload_id),
            )

    def of_job(self, job_id: str) -> list[UploadRecord]:
        """All uploads to a job."""
        with self._database.reading() as connection:
            return _select(connection, "job_id = ?", job_id)


def require_same_upload(known: UploadRecord, *, dataset: str, signed_header: bytes) -> None:
    """Raise `ConflictError` if an upload id comes back with another header."""
    if (known.dataset, known.signed_header) != (dataset, signed_header):
        raise ConflictError(
            f"upload {known.name} was begun before, with another header",
        )


def _select(connection: sqlite3.Connection, where: str, *values: object) -> list[UploadRecord]:
    # `where` is a constant of this module.
    rows = connection.execute(f"SELECT {_COLUMNS} FROM upload WHERE {where} ORDER BY rowid", values)  # noqa: S608
    return [UploadRecord(*row) for row in rows]
