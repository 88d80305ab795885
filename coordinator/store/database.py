"""One SQLite file: its tables, its transactions, and what its errors mean.

There is one connection and one lock around it: transactions never interleave and never find the file busy.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from coordinator.errors import DiskFullError, StateError

SCHEMA_VERSION: Final = 3
_SCHEMA: Final = """
CREATE TABLE request (
    number INTEGER PRIMARY KEY,
    caller TEXT NOT NULL,
    request_id TEXT NOT NULL,
    content BLOB NOT NULL,
    outcome TEXT NOT NULL,
    UNIQUE (caller, request_id)
);
CREATE TABLE agreement (
    number INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    agreement BLOB NOT NULL,
    put_by TEXT NOT NULL
);
CREATE TABLE approval (
    number INTEGER PRIMARY KEY,
    agreement_digest BLOB NOT NULL REFERENCES agreement (digest),
    place BLOB NOT NULL,
    approval BLOB NOT NULL,
    UNIQUE (agreement_digest, place)
);
CREATE TABLE job (
    number INTEGER PRIMARY KEY,
    job_id TEXT NOT NULL UNIQUE,
    agreement_digest BLOB NOT NULL REFERENCES agreement (digest),
    started_by TEXT NOT NULL,
    state TEXT NOT NULL,
    detail TEXT NOT NULL DEFAULT '',
    launcher TEXT NOT NULL,
    address TEXT NOT NULL DEFAULT ''
);
CREATE TABLE upload (
    job_id TEXT NOT NULL REFERENCES job (job_id),
    upload_id BLOB NOT NULL,
    dataset TEXT NOT NULL,
    sent_by TEXT NOT NULL,
    signed_header BLOB NOT NULL,
    signed_manifest BLOB,
    acceptance BLOB,
    PRIMARY KEY (job_id, upload_id)
);
CREATE TABLE deposit (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    agreement_digest BLOB NOT NULL REFERENCES agreement (digest),
    upload_id BLOB NOT NULL,
    dataset TEXT NOT NULL,
    sent_by TEXT NOT NULL,
    signed_header BLOB NOT NULL,
    signed_manifest BLOB,
    UNIQUE (agreement_digest, sent_by, upload_id)
);
CREATE TABLE said (
    number INTEGER NOT NULL REFERENCES deposit (number) ON DELETE CASCADE,
    job_id TEXT NOT NULL REFERENCES job (job_id),
    said TEXT NOT NULL,
    acceptance BLOB,
    PRIMARY KEY (number, job_id)
);
CREATE TABLE run (
    job_id TEXT NOT NULL REFERENCES job (job_id),
    run_id BLOB NOT NULL,
    asked_by TEXT NOT NULL,
    signed_request BLOB NOT NULL,
    state TEXT NOT NULL,
    refusal TEXT NOT NULL DEFAULT '',
    receipt BLOB,
    PRIMARY KEY (job_id, run_id)
);
CREATE TABLE state_record (
    job_id TEXT NOT NULL REFERENCES job (job_id),
    sequence INTEGER NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (job_id, sequence)
);
CREATE TABLE result (
    number INTEGER PRIMARY KEY,
    job_id TEXT NOT NULL,
    run_id BLOB NOT NULL,
    receiver TEXT NOT NULL,
    sealed BLOB NOT NULL,
    UNIQUE (job_id, run_id, receiver),
    FOREIGN KEY (job_id, run_id) REFERENCES run (job_id, run_id)
);
"""


class Database:
    """The connection, the lock, and the two ways to use them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        with _explained(path):
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA foreign_keys = ON")
        self._create_or_check()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All statements or none; afterwards they are on the disk. `DiskFullError` leaves all as it was."""
        with self._lock, _explained(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A look at the latest committed state."""
        with self._lock, _explained(self.path):
            yield self._connection

    @contextmanager
    def reading_blob(self, table: str, column: str, row: int) -> Iterator[sqlite3.Blob]:
        """A large value to read piece by piece, on its own connection: a slow reader holds up nobody."""
        with _explained(self.path):
            connection = sqlite3.connect(
                f"file:{self.path}?mode=ro", uri=True, check_same_thread=False, isolation_level=None
            )
            try:
                with connection.blobopen(table, column, row, readonly=True) as blob:
                    yield blob
            finally:
                connection.close()

    def close(self) -> None:
        """Close the file. Nothing is lost without it."""
        with self._lock:
            self._connection.close()

    def _create_or_check(self) -> None:
        with self.reading() as connection:
            (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found == 0:
            with self.transaction() as connection:
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        elif found != SCHEMA_VERSION:
            raise StateError(
                f"{self.path}: got state of schema version {found}, expected {SCHEMA_VERSION}",
                hint="use the release that wrote it, or another --state folder",
            )


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """SQLite's errors as ours."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE):
            raise DiskFullError(
                f"{path}: no space left for the coordinator's state",
                hint="the operator has to free disk space; then repeat the call, nothing was half done",
            ) from error
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        raise StateError(
            f"{path}: cannot read or write the state ({name})",
            hint="check that the folder is a local disk and belongs to the coordinator",
        ) from error
