"""What has left this enclave, in order: a hash chain of claims, and how many runs each query has left.

Runs are counted in all and in sliding windows (`protos.formats.budget`). Times are handed in, from the
security module's clock, which never runs backwards; so a window only ever frees a run by waiting.

Charging a run, to owners' privacy budgets as well, and writing its release down are one step (`write`), taken
after the result exists and before anything of it can be fetched; a repeated run id costs nothing. The ledger
lives as long as the enclave does: what an operator could reset by starting a new one is said in
`docs/threat-model.md`, attack 15.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from enclave_compute.errors import RefusedError
from enclave_compute.privacy_accounts import PrivacyAccounts
from protos.formats.agreement import Agreement
from protos.formats.budget import IN_ALL, WINDOWS_S, Charge, WindowLeft, window_limits
from protos.formats.calls import Refusal
from protos.formats.canonical import digest
from protos.formats.privacy_loss import PrivacyCharge, PrivacySpent
from protos.formats.query import Query
from protos.formats.receipt import CLAIMS_LABEL, Claims
from protos.plan import Plan

FIRST: Final = bytes(48)


@dataclass(frozen=True)
class Release:
    """Everything that may leave of one run: the receipt and the sealed result of each receiver."""

    signed_request: bytes
    receipt: bytes
    sealed_results: dict[str, bytes]


class Ledger:
    """The releases of one enclave life. One thread at a time writes, runs take turns; any may read."""

    def __init__(self, agreement: Agreement) -> None:
        self._limits = agreement.limits
        self._charged_at_s: dict[str, list[int]] = {query.id: [] for query in agreement.queries}
        self._releases: dict[bytes, Release] = {}
        self._privacy = PrivacyAccounts(agreement)
        self._head = FIRST

    def release(self, run_id: bytes) -> Release | None:
        """What run `run_id` released, if it did."""
        return self._releases.get(run_id)

    def left(self, query: Query, *, now_s: int) -> tuple[WindowLeft, ...]:
        """What every window still lets through at `now_s`."""
        bounds = window_limits(query, all_queries=self._limits.max_runs)
        return tuple(
            WindowLeft(window, runs, max(0, runs - self._used(query.id, window, now_s)))
            for window, runs in bounds.items()
        )

    def require_runs_left(self, query: Query, *, now_s: int) -> int:
        """Runs of `query` in this life that remain after one more. Raises `RefusedError` when there is none.

        Costs nothing: what is refused, here or later, is not charged.
        """
        left = {item.window: item.left for item in self.left(query, now_s=now_s)}
        remaining = min(left[window] for window in IN_ALL)
        if remaining < 1:
            raise RefusedError(Refusal.NO_RUNS_LEFT, f"{query.id} has no run left")
        if spent := [window for window, runs in left.items() if runs < 1]:
            raise RefusedError(Refusal.NO_RUNS_NOW, f"{query.id} has no run left in this {spent[0]}")
        return remaining - 1

    def charge(self, query: Query, *, now_s: int) -> tuple[Charge, ...]:
        """What a run at `now_s` takes from every window; for its claims, nothing is taken yet."""
        return tuple(
            Charge(item.window, item.limit, item.left, item.left - 1)
            for item in self.left(query, now_s=now_s)
        )

    def privacy_charges(self, plan: Plan) -> tuple[PrivacyCharge, ...]:
        """What a run of `plan` costs privacy budgets; for its claims, nothing is taken yet.

        Raises `RefusedError` when it costs more than is left.
        """
        return self._privacy.charges(plan)

    def privacy_left(self) -> tuple[PrivacySpent, ...]:
        """What is spent of every owner's privacy budget."""
        return self._privacy.left()

    def lose(self, plan: Plan) -> None:
        """Charge privacy budgets for a run of `plan` that failed while it was computed, and released nothing.

        Why it failed may follow from the data or from its noise, so it may not be tried for nothing.
        """
        self._privacy.charge(plan)

    def next_entry(self) -> tuple[int, bytes]:
        """(sequence, previous) of the next claims."""
        return len(self._releases) + 1, self._head

    def write(self, claims: Claims, release: Release, plan: Plan, *, now_s: int) -> None:
        """Charge the run of `plan` at `now_s` and keep its release; from here on it can be fetched."""
        self._privacy.charge(plan)
        self._charged_at_s[claims.query].append(now_s)
        self._releases[claims.run_id] = release
        self._head = digest(CLAIMS_LABEL, claims.encode())

    def _used(self, query_id: str, window: str, now_s: int) -> int:
        if window == "agreement":
            return sum(map(len, self._charged_at_s.values()))
        charged = self._charged_at_s[query_id]
        if window == "query":
            return len(charged)
        return sum(at_s > now_s - WINDOWS_S[window] for at_s in charged)
