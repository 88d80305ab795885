"""One enclave life: the state behind the calls, and which phase it is in.

The parent is the only peer and fully hostile; every argument here is its word. `Life` asks the phase table
before anything else, and leaves the checking of what parties signed to `binding`, `slot` and `runs`.
"""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass, replace

from enclave_compute.binding import BindRequest, Bound, bind
from enclave_compute.clock import NsmClock
from enclave_compute.engine import Engine
from enclave_compute.errors import RefusedError
from enclave_compute.key_ring.ledger import KeyLedger
from enclave_compute.key_ring.ring import KeyRing
from enclave_compute.key_ring.secrets import RingSecrets
from enclave_compute.key_ring.uses import KeyUses
from enclave_compute.keys import EnclaveKeys
from enclave_compute.kms.errands import Errands
from enclave_compute.kms.request import KeyRequest
from enclave_compute.kms.signing import Credentials
from enclave_compute.ledger import Ledger, Release
from enclave_compute.nsm import Nsm
from enclave_compute.phases import NEEDS_STATE, Phase, require_allowed
from enclave_compute.runs import Runs
from enclave_compute.slot import Slot
from enclave_compute.state.journal import Journal
from enclave_compute.state.taking_up import TakenUp, TakingUp
from protos.formats.binding import attestation_user_data
from protos.formats.calls import Op, Refusal


@dataclass(frozen=True)
class _Bound:
    """What exists from binding on, made together or not at all."""

    bound: Bound
    keys: EnclaveKeys
    errands: Errands
    slots: dict[str, Slot]
    runs: Runs
    key_uses: KeyUses
    taking_up: TakingUp | None = None
    """What takes the state up; None where the agreement has none."""
    journal: Journal | None = None
    """Where the entries of the ledger are kept, once the state has been taken up."""

    @property
    def waits(self) -> bool:
        """Whether the state has not been taken up: there are no data and no runs until then."""
        return self.taking_up is not None and self.journal is None


@dataclass(frozen=True)
class Standing:
    """How far the taking up of a state is."""

    life: bytes
    missing: list[str]
    """Witnesses whose statement has not come."""
    offered_records: int
    is_taken_up: bool


class Life:
    """The calls of an enclave, each checked against its phase. Safe to call from several threads."""

    def __init__(self, nsm: Nsm) -> None:
        self._nsm = nsm
        self._clock = NsmClock(nsm)
        self._binding = threading.Lock()
        self._running = threading.Lock()
        self._is_running = False
        self._has_released = False
        self._closed = False
        self._state: _Bound | None = None

    @property
    def phase(self) -> Phase:
        """Derived from what has happened: there is no second place that could say otherwise."""
        if self._closed:
            return Phase.CLOSED
        if self._state is None:
            return Phase.EMPTY
        if self._is_running:
            return Phase.RUNNING
        if self._has_released:
            return Phase.RELEASED
        slots = self._state.slots.values()
        if all(slot.accepted for slot in slots):
            return Phase.READY
        return Phase.COLLECTING if any(slot.begun for slot in slots) else Phase.BOUND

    def slots(self) -> dict[str, bool]:
        """Dataset id → whether it has been accepted."""
        state = self._state
        return (
            {} if state is None else {name: slot.accepted is not None for name, slot in state.slots.items()}
        )

    def wanted(self) -> list[KeyRequest]:
        """The keys that have to come from parties' KMS."""
        state = self._state
        return [] if state is None else state.errands.wanted()

    def bind(self, body: bytes) -> None:
        """Bind for life. Binding again to the same agreement is answered and changes nothing."""
        request = BindRequest.decode_untrusted(body)
        with self._binding:
            require_allowed(Op.BIND, self.phase)
            if self._state is not None:
                if self._state.bound.agreement_bytes != request.agreement:
                    raise RefusedError(Refusal.ALREADY_BOUND, "bound for life to another agreement")
                return
            self._state = self._make(bind(request, nsm=self._nsm, clock=self._clock))
        self._log_phase()

    def attest(self, nonce: bytes) -> tuple[bytes, bytes]:
        """(document, key bundle): a fresh document for the caller's nonce, over this life's keys."""
        state = self._require(Op.ATTEST)
        user_data = attestation_user_data(state.bound.digest, state.keys.bundle, state.keys.enclave_id)
        return self._nsm.attest(user_data=user_data, nonce=nonce), state.keys.bundle

    def begin(self, dataset: str, upload_id: bytes, signed_header: bytes) -> tuple[int, KeyRequest | None]:
        """Start or resume an upload: the next chunk's number, and the key that has to come from KMS first."""
        state = self._require(Op.BEGIN)
        slot = state.slots.get(dataset)
        if slot is None:
            raise RefusedError(Refusal.UNKNOWN, "no such dataset in the agreement")
        next_chunk = slot.begin(signed_header)
        if not slot.holds(upload_id):
            raise RefusedError(Refusal.WRONG_PLACE, "the header names another upload")
        self._log_phase()
        return next_chunk, next((one for one in state.errands.wanted() if one.subject == dataset), None)

    def chunk(self, upload_id: bytes, sealed_chunk: bytes, *, number: int, last: bool) -> int:
        """Take one chunk; the next one's number."""
        return self._slot(Op.CHUNK, upload_id).chunk(sealed_chunk, number=number, last=last)

    def finish(self, upload_id: bytes, signed_manifest: bytes) -> bytes:
        """Close an upload; the signed acceptance."""
        acceptance = self._slot(Op.FINISH, upload_id).finish(signed_manifest)
        self._log_phase()
        return acceptance

    def first_errand(self, subject: str, credentials: Credentials) -> bytes:
        """Begin an errand to a party's KMS: bytes for the endpoint."""
        return self._require(Op.ERRAND).errands.first(subject, credentials)

    def step_errand(self, subject: str, step: int, received: bytes) -> tuple[bytes, bool]:
        """Go on with an errand: bytes for the endpoint, and whether it is done."""
        return self._require(Op.ERRAND).errands.step(subject, step, received)

    def standing(self) -> Standing | None:
        """How the taking up of the state stands; None where the agreement has none."""
        state = self._state
        if state is None or state.taking_up is None:
            return None
        taking_up = state.taking_up
        return Standing(taking_up.life, taking_up.missing, taking_up.offered_records, not state.waits)

    def restore(self, record: bytes) -> None:
        """Take a record of earlier lives."""
        self._require_state(Op.RESTORE).restore(record)

    def proposal(self) -> bytes:
        """What this life would take up, signed, for witnesses."""
        return self._require_state(Op.PROPOSAL).proposal()

    def witness(self, signed_statement: bytes) -> None:
        """Take a witness's word."""
        self._require_state(Op.WITNESS).witness(signed_statement)

    def record(self, sequence: int) -> tuple[bytes, Release | None]:
        """A record of this life, and what the run in it released if it is one."""
        state = self._require(Op.RECORD)
        if state.journal is None:
            raise RefusedError(Refusal.STATE_WANTED, "no state has been taken up")
        return state.journal.record(sequence), state.runs.released_as(sequence)

    def run(self, signed_request: bytes) -> Release:
        """Carry out a run, one at a time."""
        with self._running:
            state = self._require(Op.RUN)
            used = tuple(slot.accepted for slot in state.slots.values() if slot.accepted)
            self._is_running = True
            try:
                release = state.runs.run(signed_request, used)
                self._has_released = True
            finally:
                self._is_running = False
        self._log_phase()
        return release

    def released(self, op: Op, run_id: bytes) -> Release:
        """What a finished run released."""
        return self._require(op).runs.released(run_id)

    def budget(self, signed_request: bytes) -> bytes:
        """What is left of every query and key, signed; a run that is going on has not been charged yet."""
        return self._require(Op.BUDGET).runs.budget(signed_request)

    def public_keys(self, nonce: bytes) -> tuple[bytes, bytes]:
        """(document, public halves of the key ring), fresh for the caller's nonce."""
        return self._require(Op.KEYS).key_uses.public_keys(nonce)

    def use_key(self, body: bytes) -> bytes:
        """Use a key of the ring; the answer, sealed to whoever asked."""
        return self._require(Op.KEY_USE).key_uses.use_untrusted(body)

    def close(self) -> None:
        """End this life; the keys go with it."""
        self._closed = True
        self._state = None

    def _make(self, bound: Bound) -> _Bound:
        agreement = bound.agreement
        keys = EnclaveKeys.make(self._nsm)
        ring_secrets = RingSecrets.make(self._nsm, agreement.keys)
        errands = Errands(self._nsm, self._clock, agreement_digest=bound.digest, enclave_id=keys.enclave_id)
        serving = self._serving(bound, keys, errands, ledger=Ledger(agreement), ring_secrets=ring_secrets)
        if agreement.state is None:
            return serving
        taking_up = TakingUp(
            agreement,
            agreement.state,
            keys=keys,
            secrets={**keys.secrets, **ring_secrets.named()},
            errands=errands,
            on_taken_up=self._take_up,
        )
        return replace(serving, taking_up=taking_up)

    def _take_up(self, taken: TakenUp) -> None:
        """From waiting to serving, with the ledger and the keys that the state has."""
        state = self._state
        if state is None:
            raise RefusedError(Refusal.WRONG_PHASE, "this life has ended")
        ledger = Ledger(state.bound.agreement, taken.journal)
        ring_secrets = RingSecrets.of_named(taken.secrets)
        serving = self._serving(
            state.bound, taken.keys, state.errands, ledger=ledger, ring_secrets=ring_secrets, taken=taken
        )
        serving.runs.take_up(taken)
        self._state = replace(serving, taking_up=state.taking_up, journal=taken.journal)

    def _serving(
        self,
        bound: Bound,
        keys: EnclaveKeys,
        errands: Errands,
        *,
        ledger: Ledger,
        ring_secrets: RingSecrets,
        taken: TakenUp | None = None,
    ) -> _Bound:
        """`taken`: what earlier lives left, None if there is nothing."""
        agreement = bound.agreement
        engine = Engine(agreement.limits.memory_mib, agreement.limits.threads)
        key_ledger = KeyLedger(agreement.keys, () if taken is None else taken.uses())
        runs = Runs(
            bound,
            keys=keys,
            engine=engine,
            nsm=self._nsm,
            clock=self._clock,
            ledger=ledger,
            key_ledger=key_ledger,
        )
        accepted = {} if taken is None else taken.accepted()
        slots = {}
        for dataset in agreement.datasets:
            engine.create(dataset)
            slots[dataset.id] = Slot(
                dataset,
                agreement.participant(dataset.owner),
                agreement_digest=bound.digest,
                keys=keys,
                engine=engine,
                errands=errands,
                on_accepted=runs.accept,
                agreed_manifest=accepted.get(dataset.id),
            )
        key_uses = KeyUses(
            bound,
            keys=keys,
            ring=KeyRing(agreement, ring_secrets),
            ledger=key_ledger,
            nsm=self._nsm,
            clock=self._clock,
            note=ledger.use,
        )
        return _Bound(bound, keys, errands, slots, runs, key_uses)

    def _require(self, op: Op) -> _Bound:
        require_allowed(op, self.phase)
        state = self._state
        if state is None:
            raise RefusedError(Refusal.WRONG_PHASE, f"{op} before bind")
        if state.waits and op in NEEDS_STATE:
            raise RefusedError(Refusal.STATE_WANTED, f"{op} before the state was taken up")
        return state

    def _require_state(self, op: Op) -> TakingUp:
        taking_up = self._require(op).taking_up
        if taking_up is None:
            raise RefusedError(Refusal.WRONG_PHASE, f"{op}: the agreement has no state")
        return taking_up

    def _slot(self, op: Op, upload_id: bytes) -> Slot:
        for slot in self._require(op).slots.values():
            if slot.holds(upload_id):
                return slot
        raise RefusedError(Refusal.UNKNOWN, "no such upload")

    def _log_phase(self) -> None:
        state = self._state
        if state is not None and state.bound.agreement.logged == "phases":
            sys.stderr.write(f"phase {self.phase}\n")
