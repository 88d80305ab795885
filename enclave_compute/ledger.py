"""What has left this enclave, in order: a hash chain of claims, and how many runs each query has left.

Charging a run and writing its release down are one step (`write`), taken after the result exists and before
anything of it can be fetched; a repeated run id costs nothing. The ledger lives as long as the enclave does:
what an operator could reset by starting a new one is said in `docs/threat-model.md`, attack 15.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from enclave_compute.errors import RefusedError
from protos.formats.agreement import Agreement
from protos.formats.calls import Refusal
from protos.formats.canonical import digest
from protos.formats.query import Query
from protos.formats.receipt import CLAIMS_LABEL, Claims

FIRST: Final = bytes(48)


@dataclass(frozen=True)
class Release:
    """Everything that may leave of one run: the receipt and the sealed result of each receiver."""

    signed_request: bytes
    receipt: bytes
    sealed_results: dict[str, bytes]


class Ledger:
    """The releases of one enclave life. Not thread-safe: runs take turns."""

    def __init__(self, agreement: Agreement) -> None:
        self._limits = agreement.limits
        self._runs: dict[str, int] = {}
        self._releases: dict[bytes, Release] = {}
        self._head = FIRST

    def release(self, run_id: bytes) -> Release | None:
        """What run `run_id` released, if it did."""
        return self._releases.get(run_id)

    def require_runs_left(self, query: Query) -> int:
        """Runs of `query` that remain after one more. Raises `RefusedError` when there is none."""
        left = min(
            query.max_runs - self._runs.get(query.id, 0), self._limits.max_runs - sum(self._runs.values())
        )
        if left < 1:
            raise RefusedError(Refusal.NO_RUNS_LEFT, f"{query.id} has no run left")
        return left - 1

    def next_entry(self) -> tuple[int, bytes]:
        """(sequence, previous) of the next claims."""
        return len(self._releases) + 1, self._head

    def write(self, claims: Claims, release: Release) -> None:
        """Charge the run and keep its release; from here on it can be fetched."""
        self._runs[claims.query] = self._runs.get(claims.query, 0) + 1
        self._releases[claims.run_id] = release
        self._head = digest(CLAIMS_LABEL, claims.encode())
