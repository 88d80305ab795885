"""The board: agreements and the approvals pinned to them, all opaque bytes under a digest.

An agreement on the board is never changed or taken down, so that nobody can be shown a text that others do
not see under the same digest. Approvals are pinned by anybody with a certificate, and cannot be told from
junk here: so each caller has one place per agreement, and fills no other. Who signed, the enclave finds out.
"""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.errors import NotKnownError
from coordinator.quotas import Quotas
from coordinator.store.database import Database
from coordinator.store.requests import Request, earlier_outcome, remember


@dataclass(frozen=True)
class AgreementRecord:
    """One agreement and who-knows-whose approvals, in the order in which their places were taken."""

    digest: bytes
    agreement: bytes
    approvals: list[bytes]


class Agreements:
    """The tables `agreement` and `approval`."""

    def __init__(self, database: Database, quotas: Quotas) -> None:
        self._database = database
        self._quotas = quotas

    def put(self, request: Request, *, digest: bytes, agreement: bytes) -> None:
        """Pin an agreement; again is fine."""
        with self._database.transaction() as connection:
            if earlier_outcome(connection, request) is not None:
                return
            if not connection.execute("SELECT 1 FROM agreement WHERE digest = ?", (digest,)).fetchone():
                (count,) = connection.execute(
                    "SELECT count(*) FROM agreement WHERE put_by = ?", (request.caller,)
                ).fetchone()
                self._quotas.require("agreements", count)
                connection.execute(
                    "INSERT INTO agreement (digest, agreement, put_by) VALUES (?, ?, ?)",
                    (digest, agreement, request.caller),
                )
            remember(connection, request, "")

    def put_approval(
        self, request: Request, *, digest: bytes, approval: bytes, has_own_place: bool = True
    ) -> None:
        """Pin an approval to the agreement called `digest`, instead of what the caller had pinned there.

        Callers who cannot be told apart have no place of their own (`has_own_place`): each of their approvals
        has one. Raises `NotKnownError`, or `OverQuotaError` when all places are taken.
        """
        self.get(digest)
        place = request.caller.encode() if has_own_place else approval
        with self._database.transaction() as connection:
            if earlier_outcome(connection, request) is not None:
                return
            (others,) = connection.execute(
                "SELECT count(*) FROM approval WHERE agreement_digest = ? AND place <> ?", (digest, place)
            ).fetchone()
            self._quotas.require("approvals_per_agreement", others)
            connection.execute(
                "INSERT INTO approval (agreement_digest, place, approval) VALUES (?, ?, ?) "
                "ON CONFLICT (agreement_digest, place) DO UPDATE SET approval = excluded.approval",
                (digest, place, approval),
            )
            remember(connection, request, "")

    def get(self, digest: bytes) -> AgreementRecord:
        """The agreement called `digest`, or `NotKnownError`."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT agreement FROM agreement WHERE digest = ?", (digest,)).fetchone()
            approvals = connection.execute(
                "SELECT approval FROM approval WHERE agreement_digest = ? ORDER BY number", (digest,)
            ).fetchall()
        if row is None:
            raise NotKnownError(
                f"no agreement {digest.hex()[:16]}… on the board",
            )
        return AgreementRecord(digest, row[0], [approval for (approval,) in approvals])

    def digests(self) -> list[bytes]:
        """All digests on the board, in order of arrival."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT digest FROM agreement ORDER BY number").fetchall()
        return [digest for (digest,) in rows]
