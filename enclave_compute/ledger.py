"""What has left this enclave, in order: a hash chain of claims, and how many runs each query has left.

Runs are counted in all and in sliding windows (`protos.formats.budget`). Times are handed in, from the
security module's clock, which never runs backwards; so a window only ever frees a run by waiting.

Charging a run, to owners' privacy budgets as well, and writing its release down are one step (`write`), taken
after the result exists and before anything of it can be fetched; a repeated run id costs nothing.

Where the agreement has `state`, each entry goes into a journal in the same step, there are events beside
claims, and a later life begins with what was written. Otherwise the ledger lives as long as the enclave does.
What an operator could reset is said in `docs/threat-model.md`, attack 15.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from enclave_compute.errors import RefusedError
from enclave_compute.key_ring.ledger import Used
from enclave_compute.privacy_accounts import PrivacyAccounts
from enclave_compute.state.chain import Entry
from enclave_compute.state.content import Content
from enclave_compute.state.journal import Journal
from enclave_compute.state.taking_up import TakenUp
from protos.formats.agreement import Agreement
from protos.formats.budget import IN_ALL, WINDOWS_S, Charge, WindowLeft, window_limits
from protos.formats.calls import Refusal
from protos.formats.canonical import digest
from protos.formats.privacy_loss import PrivacyCharge, PrivacySpent
from protos.formats.query import Query
from protos.formats.receipt import Claims
from protos.formats.run_request import RUN_REQUEST_LABEL
from protos.formats.state import NOTHING_YET, LedgerEvent
from protos.plan import Plan


@dataclass(frozen=True)
class Release:
    """Everything that may leave of one run: the receipt and the sealed result of each receiver."""

    run_id: bytes
    signed_request: bytes
    receivers: tuple[str, ...]
    receipt: bytes
    """Empty for a run of an earlier life: what it released is with whoever fetched it then."""
    sealed_results: dict[str, bytes]


class Ledger:
    """The releases of an enclave. One thread at a time writes claims, runs take turns; any may read."""

    def __init__(self, agreement: Agreement, journal: Journal | None = None) -> None:
        """`journal`: where entries are kept; None if the ledger ends with this life."""
        self._limits = agreement.limits
        self._charged_at_s: dict[str, list[int]] = {query.id: [] for query in agreement.queries}
        self._releases: dict[bytes, Release] = {}
        self._releases_by_entry: dict[int, Release] = {}
        self._privacy = PrivacyAccounts(agreement)
        self._journal = journal
        self._sequence = 0
        self._head = NOTHING_YET
        self._writing = threading.RLock()

    def take_up(self, taken: TakenUp, plans: Mapping[str, Plan], *, bundle_digest: bytes, now_s: int) -> None:
        """Begin where earlier lives ended, and note that this one goes on from there."""
        for entry, content in taken.past:
            self._repeat(entry, content, plans)
        secrets = {} if taken.past else taken.secrets
        self._note("begun", taken.journal.life.hex(), bundle_digest, now_s=now_s, secrets=secrets)

    def release(self, run_id: bytes) -> Release | None:
        """What run `run_id` released, if it did."""
        return self._releases.get(run_id)

    def released_as(self, sequence: int) -> Release | None:
        """What the entry at `sequence` released, if it is claims."""
        return self._releases_by_entry.get(sequence)

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

    def require_room(self) -> None:
        """Raises `RefusedError` when no further entry could be kept."""
        if self._journal is not None:
            self._journal.require_room()

    def lose(self, plan: Plan, signed_request: bytes, *, now_s: int) -> None:
        """Charge privacy budgets for a run of `plan` that failed while it was computed, and released nothing.

        Why it failed may follow from the data or from its noise, so it may not be tried for nothing.
        """
        self._privacy.charge(plan)
        if plan.noise is not None:
            self._note("lost", plan.query, digest(RUN_REQUEST_LABEL, signed_request), now_s=now_s)

    def accept(self, dataset: str, manifest_digest: bytes, *, now_s: int) -> None:
        """Note that a dataset counts: a later life takes no other in its place."""
        self._note("accepted", dataset, manifest_digest, now_s=now_s)

    def use(self, used: Used, request: bytes) -> None:
        """Note that a key of the ring was used."""
        self._note(
            "used",
            used.key,
            used.request_digest,
            now_s=used.at_s,
            request=request,
            values=used.values,
        )

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else writes meanwhile: what `next_entry` says stays true."""
        with self._writing:
            yield

    def last_entry(self) -> tuple[int, bytes]:
        """(sequence, head) of the last entry; 0 and zeros before the first."""
        with self._writing:
            return self._sequence, self._head

    def next_entry(self) -> tuple[int, bytes]:
        """(sequence, previous) of the next claims."""
        sequence, head = self.last_entry()
        return sequence + 1, head

    def write(self, claims: Claims, release: Release, plan: Plan, *, now_s: int) -> None:
        """Charge the run of `plan` at `now_s` and keep its release; from here on it can be fetched."""
        # First of all what may find no room: nothing is to be had that no record tells of.
        self._append(claims, Content(claims.encode(), now_s, release.signed_request))
        self._charge(claims, release, plan, now_s)

    def _charge(self, claims: Claims, release: Release, plan: Plan, now_s: int) -> None:
        self._privacy.charge(plan)
        self._charged_at_s[claims.query].append(now_s)
        self._releases[claims.run_id] = self._releases_by_entry[claims.sequence] = release

    def _note(
        self,
        kind: str,
        subject: str,
        about: bytes,
        *,
        now_s: int,
        request: bytes | None = None,
        values: int = 0,
        secrets: Mapping[str, bytes] | None = None,
    ) -> None:
        """An event, where entries are kept; elsewhere there are none."""
        if self._journal is None:
            return
        with self._writing:
            place = self._journal.agreement_digest, self._journal.enclave_id, self._sequence + 1, self._head
            event = LedgerEvent(*place, kind, subject, about)
            self._keep(event, Content(event.encode(), now_s, request, values, secrets or {}))

    def _append(self, claims: Claims, content: Content) -> None:
        with self._writing:
            self._keep(claims, content)

    def _keep(self, entry: Entry, content: Content) -> None:
        if self._journal is not None:
            self._journal.write(content)
        self._sequence, self._head = entry.sequence, entry.head()

    def _repeat(self, entry: Entry, content: Content, plans: Mapping[str, Plan]) -> None:
        """What an entry of an earlier life did, without what it released."""
        if isinstance(entry, Claims):
            release = Release(entry.run_id, content.request or b"", entry.receivers, b"", {})
            self._charge(entry, release, plans[entry.query], content.at_s)
        elif entry.kind == "lost":
            self._privacy.charge(plans[entry.subject])
        self._sequence, self._head = entry.sequence, entry.head()

    def _used(self, query_id: str, window: str, now_s: int) -> int:
        if window == "agreement":
            return sum(map(len, self._charged_at_s.values()))
        charged = self._charged_at_s[query_id]
        if window == "query":
            return len(charged)
        return sum(at_s > now_s - WINDOWS_S[window] for at_s in charged)
