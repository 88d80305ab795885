"""Whether a run is allowed, and what it releases: a signed request in, a receipt and sealed results out.

Reads a request that a participant signed and the coordinator carried. What comes out of the data has been
through `disclosure`; here it is described in claims, attested, and sealed to each receiver of the agreement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from enclave_compute import disclosure
from enclave_compute.asking import verify_asker_untrusted
from enclave_compute.binding import Bound, require_valid_now
from enclave_compute.clock import NsmClock
from enclave_compute.differencing import Asked, Differencing
from enclave_compute.engine import Engine
from enclave_compute.errors import RefusedError
from enclave_compute.key_ring.ledger import KeyLedger
from enclave_compute.keys import EnclaveKeys
from enclave_compute.ledger import Ledger, Release
from enclave_compute.nsm import Nsm
from enclave_compute.state.taking_up import TakenUp
from enclave_compute.ticks import Ticks
from protos.formats import cose
from protos.formats.binding import KEY_BUNDLE_LABEL, receipt_user_data
from protos.formats.budget import BUDGET_LABEL, BUDGET_REQUEST_LABEL, Budget, BudgetRequest, QueryBudget
from protos.formats.calls import Refusal
from protos.formats.canonical import digest
from protos.formats.errors import FormatError
from protos.formats.key_budget import KeyBudget
from protos.formats.query import ParameterValue, Query
from protos.formats.receipt import Claims, Receipt, UsedDataset
from protos.formats.result import ResultContext, result_digest, seal_result
from protos.formats.run_request import RUN_REQUEST_LABEL, RunRequest
from protos.plan import Plan


@dataclass(frozen=True)
class _Allowed:
    """A request that the agreement allows, with its parameters checked."""

    request: RunRequest
    signed_request: bytes
    query: Query
    parameters: Mapping[str, ParameterValue]


class Runs:
    """The runs of one enclave life. Not thread-safe: the caller lets one run at a time in."""

    def __init__(
        self,
        bound: Bound,
        *,
        keys: EnclaveKeys,
        engine: Engine,
        nsm: Nsm,
        clock: NsmClock,
        ledger: Ledger,
        key_ledger: KeyLedger,
    ) -> None:
        """`key_ledger` is read, for what is left of keys."""
        self._bound = bound
        self._keys = keys
        self._engine = engine
        self._nsm = nsm
        self._clock = clock
        self._ledger = ledger
        self._key_ledger = key_ledger
        self._ticks = Ticks(bound.agreement.limits.tick_s)
        # Noise covers differences: what leaves with it is neither compared nor remembered.
        exact = [plan for plan in bound.plans.values() if plan.noise is None]
        self._differencing = Differencing(exact)
        self._to_remember: list[Asked] = []
        """Releases of earlier lives that later ones are compared with, until the data is here to do so."""

    def take_up(self, taken: TakenUp) -> None:
        """Begin where earlier lives ended."""
        bundle_digest = digest(KEY_BUNDLE_LABEL, self._keys.bundle)
        self._ledger.take_up(taken, self._bound.plans, bundle_digest=bundle_digest, now_s=self._clock.now_s())
        past = (entry for entry, _ in taken.past if isinstance(entry, Claims))
        self._to_remember = [
            Asked(plan, claims.parameters)
            for claims in past
            if (plan := self._bound.plans[claims.query]).noise is None and self._differencing.is_needed(plan)
        ]

    def accept(self, used: UsedDataset) -> None:
        """Note that a dataset counts."""
        self._ledger.accept(used.dataset, used.manifest_digest, now_s=self._clock.now_s())

    def released(self, run_id: bytes) -> Release:
        """What run `run_id` released. Raises `RefusedError` when there is no such run in this life."""
        release = self._ledger.release(run_id)
        if release is None or not release.receipt:
            raise RefusedError(Refusal.UNKNOWN, "no such run, or one of an earlier life")
        return release

    def released_as(self, sequence: int) -> Release | None:
        """What the entry of the ledger at `sequence` released, if it is a run."""
        return self._ledger.released_as(sequence)

    def run(self, signed_request: bytes, used: tuple[UsedDataset, ...]) -> Release:
        """Carry out the request over the `used` datasets, or give back what it released before."""
        allowed = self._require_allowed(signed_request)
        if (earlier := self._ledger.release(allowed.request.run_id)) is not None:
            if earlier.signed_request != signed_request:
                raise RefusedError(Refusal.WRONG_PLACE, "this run id stands for another request")
            return earlier
        require_valid_now(self._bound.agreement, self._bound.own_releases, self._clock)
        self._ledger.require_room()
        runs_left = self._ledger.require_runs_left(allowed.query, now_s=self._clock.now_s())
        plan = self._bound.plans[allowed.query.id]
        # Before anything is computed: what does not fit costs nothing and takes no longer than that.
        self._ledger.privacy_charges(plan)
        # Everything after this, the receipt's signed time included, happens at a tick.
        with self._ticks.awaited():
            self._remember_past()
            released = self._compute(plan, allowed)
        # The time of the charge is that of the release, not of the request: computing may take long, and
        # windows are about when results leave. Runs take turns, so there are no fewer left than before.
        now_s = self._clock.now_s()
        with self._ledger.alone():
            claims = self._claims(allowed, released, used, runs_left, now_s)
            release = self._seal(allowed, released.table_ipc, claims)
            self._ledger.write(claims, release, plan, now_s=now_s)
        if plan.noise is None:
            self._differencing.remember(Asked(plan, allowed.parameters))
        return release

    def _compute(self, plan: Plan, allowed: _Allowed) -> disclosure.Released:
        try:
            return disclosure.release(self._engine, plan, allowed.parameters, guard=self._differencing)
        except Exception:
            self._ledger.lose(plan, allowed.signed_request, now_s=self._clock.now_s())
            raise

    def _remember_past(self) -> None:
        """Make again what earlier lives released of the same data, to compare with; none of it leaves."""
        while self._to_remember:
            asked = self._to_remember[0]
            disclosure.release(self._engine, asked.plan, asked.parameters, guard=self._differencing)
            self._differencing.remember(asked)
            del self._to_remember[0]

    def budget(self, signed_request: bytes) -> bytes:
        """What is left of every query and key, signed with the key that the attested bundle names.

        Every participant may ask. Asking costs nothing and can be repeated: the answer is for the nonce.
        """
        agreement = self._bound.agreement
        asker, payload = verify_asker_untrusted(
            agreement, signed_request, typ=BUDGET_REQUEST_LABEL, what="budget request"
        )
        request = BudgetRequest.decode_untrusted(payload)
        self._require_for_here(request)
        if request.requested_by != asker.id:
            raise RefusedError(Refusal.NOT_ALLOWED, "asked in the name of somebody else")
        now_s = self._clock.now_s()
        with self._ledger.alone():  # no run is written down meanwhile
            left = tuple(
                QueryBudget(query.id, self._ledger.left(query, now_s=now_s)) for query in agreement.queries
            )
            spent = self._ledger.privacy_left()
            keys = tuple(KeyBudget(key.id, self._key_ledger.left(key, now_s=now_s)) for key in agreement.keys)
            last = self._ledger.last_entry()
        place = request.nonce, self._bound.digest, self._keys.enclave_id, now_s
        answer = Budget(*place, left, spent, keys, *last)
        return cose.sign(answer.encode(), typ=BUDGET_LABEL, key=self._keys.signing)

    def _require_allowed(self, signed_request: bytes) -> _Allowed:
        agreement = self._bound.agreement
        asker, payload = verify_asker_untrusted(
            agreement, signed_request, typ=RUN_REQUEST_LABEL, what="run request"
        )
        request = RunRequest.decode_untrusted(payload)
        self._require_for_here(request)
        try:
            query = agreement.query(request.query)
        except KeyError as error:
            raise RefusedError(Refusal.UNKNOWN, "no such query in the agreement") from error
        if request.requested_by != asker.id or asker.id not in query.run_by:
            raise RefusedError(Refusal.NOT_ALLOWED, f"{asker.id} may not run {query.id}")
        try:
            parameters = query.require_parameters(request.parameters)
        except FormatError as error:
            raise RefusedError(Refusal.NOT_ALLOWED, error.message) from error
        return _Allowed(request, signed_request, query, parameters)

    def _require_for_here(self, request: RunRequest | BudgetRequest) -> None:
        if (request.agreement_digest, request.enclave_id) != (self._bound.digest, self._keys.enclave_id):
            raise RefusedError(Refusal.WRONG_PLACE, "the request is for another agreement or enclave")

    def _claims(
        self,
        allowed: _Allowed,
        released: disclosure.Released,
        used: tuple[UsedDataset, ...],
        runs_left: int,
        now_s: int,
    ) -> Claims:
        sequence, previous = self._ledger.next_entry()
        return Claims(
            agreement_digest=self._bound.digest,
            enclave_id=self._keys.enclave_id,
            run_id=allowed.request.run_id,
            query=allowed.query.id,
            query_digest=allowed.query.digest(),
            parameters=allowed.parameters,
            requested_by=allowed.request.requested_by,
            receivers=allowed.query.receivers,
            datasets=used,
            suppressed=released.suppressed,
            result_digest=result_digest(released.table_ipc),
            sequence=sequence,
            previous=previous,
            runs_left=runs_left,
            budget=self._ledger.charge(allowed.query, now_s=now_s),
            privacy=self._ledger.privacy_charges(self._bound.plans[allowed.query.id]),
        )

    def _seal(self, allowed: _Allowed, table_ipc: bytes, claims: Claims) -> Release:
        encoded = claims.encode()
        receipt = Receipt(
            claims=encoded,
            attestation=self._nsm.attest(user_data=receipt_user_data(encoded)),
            agreement=self._bound.agreement_bytes,
            approvals=self._bound.approvals,
        )
        sealed_results = {}
        for receiver in allowed.query.receivers:
            context = ResultContext(self._bound.digest, self._keys.enclave_id, claims.run_id, receiver)
            key = self._bound.agreement.participant(receiver).receiving_key
            sealed_results[receiver] = seal_result(table_ipc, context=context, receiving_key=key).encode()
        return Release(
            claims.run_id,
            allowed.signed_request,
            tuple(sorted(sealed_results)),
            receipt.encode(),
            sealed_results,
        )
