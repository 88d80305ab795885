"""What makes a repeated call have the effect of one: ids, kept with what they asked and what came out.

A request id belongs to its caller. The latest `REMEMBERED` ids of the table are kept.
"""

from __future__ import annotations

import hashlib
import sqlite3
from dataclasses import dataclass
from typing import Final

from coordinator.errors import BadRequestError, ConflictError

REQUEST_ID_MAX_CHARACTERS: Final = 64
REMEMBERED: Final = 10_000


@dataclass(frozen=True)
class Request:
    """One call that changes something."""

    caller: str
    request_id: str
    call: str
    """Name of the gRPC method."""
    content: bytes
    """Whatever distinguishes this call from another one with the same id."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.request_id) <= REQUEST_ID_MAX_CHARACTERS or not self.request_id.isprintable():
            raise BadRequestError(
                f"request_id: got {len(self.request_id)} characters, expected 1 to "
                f"{REQUEST_ID_MAX_CHARACTERS} printable ones",
            )

    def fingerprint(self) -> bytes:
        """Says whether a repeated id repeats the same call."""
        return hashlib.sha256(self.call.encode() + b"\0" + self.content).digest()


def earlier_outcome(connection: sqlite3.Connection, request: Request) -> str | None:
    """What came out when this very call was made before; None at first. `ConflictError` for another call."""
    row = connection.execute(
        "SELECT content, outcome FROM request WHERE caller = ? AND request_id = ?",
        (request.caller, request.request_id),
    ).fetchone()
    if row is None:
        return None
    content, outcome = row
    if content != request.fingerprint():
        raise ConflictError(
            f"request_id {request.request_id!r} was used before, for another call",
        )
    return str(outcome)


def remember(connection: sqlite3.Connection, request: Request, outcome: str) -> None:
    """Keep what came out, in the transaction that made it so."""
    number = connection.execute(
        "INSERT INTO request (caller, request_id, content, outcome) VALUES (?, ?, ?, ?)",
        (request.caller, request.request_id, request.fingerprint(), outcome),
    ).lastrowid
    connection.execute(
        "DELETE FROM request WHERE caller = ? AND number <= ?", (request.caller, (number or 0) - REMEMBERED)
    )
