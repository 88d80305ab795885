"""The way from a job to its enclave: a bounded number of connections, and the calls that are one frame.

An enclave serves few connections at once; each upload stream holds one, everything else opens one, asks and
closes it. Bytes that come back are opaque here and bounded by the frame.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from coordinator.enclave_link import EnclaveLink
from coordinator.errand import Errand, errand_untrusted, errands_untrusted
from coordinator.errors import (
    CoordinatorError,
    EnclaveAnswerError,
    EnclaveRefusedError,
    EnclaveUnreachableError,
)
from coordinator.jobs import Job, JobState
from coordinator.launchers import Launcher
from protos.formats.calls import Op, Refusal
from protos.formats.canonical import Value, decode_untrusted, encode, require_bytes, require_fields
from protos.formats.errors import FormatError
from protos.formats.frames import Frame
from protos.formats.identifiers import RUN_ID_BYTES, require_slug
from protos.formats.limits import (
    ATTESTATION_DOCUMENT_MAX_BYTES,
    BUDGET_MAX_BYTES,
    DATASETS_MAX,
    FRAME_BODY_MAX_BYTES,
    KEY_ANSWER_MAX_BYTES,
    KIB,
    PARTIES_MAX,
    PUBLIC_KEYS_MAX_BYTES,
    RECEIPT_MAX_BYTES,
    STATE_RECORD_MAX_BYTES,
    STATE_STATEMENT_MAX_BYTES,
)

CONNECTIONS_MAX: Final = 14
"""An enclave takes 16: one is held by whoever watches it, one is spare."""
_KEY_BUNDLE_MAX_BYTES: Final = 8 * KIB
_ACCEPTANCE_MAX_BYTES: Final = 4 * KIB
_PHASE_MAX_CHARACTERS: Final = 32


@dataclass(frozen=True)
class Slot:
    """One dataset's place in an enclave, by the enclave's own word."""

    dataset: str
    complete: bool


@dataclass(frozen=True)
class StateStanding:
    """How far an enclave is with taking up its state."""

    is_taken_up: bool
    missing: list[str]
    """Witnesses whose statement has not come; some of them if they are many."""


@dataclass(frozen=True)
class KeptRecord:
    """A sealed record of an enclave's state."""

    record: bytes
    run_id: bytes | None
    """The run that it is about; None: it is about something else."""
    receivers: list[str]


@dataclass(frozen=True)
class Status:
    """What an enclave says of itself; informative."""

    phase: str
    slots: list[Slot]
    errands: list[Errand]
    """What it wants from key services now."""
    state: StateStanding | None = None
    """None: its state ends with it."""


@dataclass(frozen=True)
class Evidence:
    """A fresh attestation document and the bundle of keys that it vouches for."""

    document: bytes
    key_bundle: bytes


@dataclass(frozen=True)
class PublicKeys:
    """A fresh attestation document and the public keys that it vouches for."""

    document: bytes
    public_keys: bytes


class Enclaves:
    """Connections to the enclaves of all jobs, through one launcher."""

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self.deadlines = launcher.deadlines
        self._room: dict[str, threading.BoundedSemaphore] = {}
        self._lock = threading.Lock()

    def open(self, job: Job) -> EnclaveLink:
        """A connection of the caller's own, not counted. Raises `EnclaveUnreachableError`."""
        try:
            return EnclaveLink(self._launcher.connect(job.address, timeout_s=self.deadlines.connect_s))
        except OSError as error:
            raise EnclaveUnreachableError(
                f"the enclave of job {job.job_id} is not reachable ({error.strerror or error})",
            ) from error

    @contextmanager
    def link(self, job: Job) -> Iterator[EnclaveLink]:
        """A connection for the length of the block."""
        with self._lock:
            room = self._room.setdefault(job.job_id, threading.BoundedSemaphore(CONNECTIONS_MAX))
        if not room.acquire(timeout=self.deadlines.call_s):
            raise EnclaveUnreachableError(
                f"the enclave of job {job.job_id} has {CONNECTIONS_MAX} connections, the most it takes",
            )
        try:
            link = self.open(job)
            try:
                yield link
            finally:
                link.close()
        finally:
            room.release()

    def status_if_any(self, job: Job) -> Status | None:
        """Its phase and slots; None if the job does not run, or its enclave does not answer at once."""
        if job.state not in (JobState.WAITING, JobState.RUNNING):
            return None
        try:
            return self.status(job)
        except CoordinatorError:
            return None

    def status(self, job: Job) -> Status:
        """Its phase, its slots and what it wants now."""
        with self.link(job) as link:
            return status_of(link, deadline_s=self.deadlines.status_s)

    def attest(self, job: Job, nonce: bytes) -> Evidence:
        """A document for this nonce."""
        frame = self._call(job, Op.ATTEST, nonce=nonce)
        return Evidence(*_attested(frame.body, "key_bundle", max_bytes=_KEY_BUNDLE_MAX_BYTES))

    def begin(self, job: Job, *, dataset: str, upload_id: bytes, signed_header: bytes) -> Errand | None:
        """Let the enclave check the header before any chunk comes; the errand that it wants for the key."""
        frame = self._call(job, Op.BEGIN, body=signed_header, dataset=dataset, upload=upload_id)
        with _well_formed():
            wanted = frame.header.get("errand")
            return errand_untrusted(wanted) if wanted is not None else None

    def finish(self, job: Job, *, upload_id: bytes, signed_manifest: bytes) -> bytes:
        """The enclave's signed acceptance."""
        with self.link(job) as link:
            frame = link.call(
                Op.FINISH, deadline_s=self.deadlines.finish_s, body=signed_manifest, upload=upload_id
            )
        with _well_formed():
            return require_bytes(frame.body, what="acceptance", max_length=_ACCEPTANCE_MAX_BYTES)

    def run(self, job: Job, *, run_id: bytes, signed_request: bytes) -> list[str]:
        """Run the query and wait for it; the receivers that have a sealed result."""
        with self.link(job) as link:
            frame = link.call(Op.RUN, deadline_s=self.deadlines.run_s, body=signed_request, run=run_id)
        with _well_formed():
            return _receivers(frame.header.get("receivers"))

    def result(self, job: Job, *, run_id: bytes, receiver: str) -> bytes:
        """One receiver's sealed result."""
        frame = self._call(job, Op.RESULT, run=run_id, receiver=receiver)
        with _well_formed():
            return require_bytes(frame.body, what="sealed result", max_length=FRAME_BODY_MAX_BYTES)

    def receipt(self, job: Job, *, run_id: bytes) -> bytes:
        """The receipt of a run."""
        frame = self._call(job, Op.RECEIPT, run=run_id)
        with _well_formed():
            return require_bytes(frame.body, what="receipt", max_length=RECEIPT_MAX_BYTES)

    def budget(self, job: Job, *, signed_request: bytes) -> bytes:
        """The enclave's signed statement of what is left."""
        frame = self._call(job, Op.BUDGET, body=signed_request)
        with _well_formed():
            return require_bytes(frame.body, what="budget", max_length=BUDGET_MAX_BYTES)

    def restore(self, job: Job, record: bytes) -> None:
        """Offer a record of an earlier enclave of the job."""
        self._call(job, Op.RESTORE, body=record)

    def state_proposal(self, job: Job) -> bytes:
        """The enclave's signed word of what it would take up."""
        frame = self._call(job, Op.PROPOSAL)
        with _well_formed():
            return require_bytes(frame.body, what="proposal", max_length=STATE_STATEMENT_MAX_BYTES)

    def witness(self, job: Job, signed_statement: bytes) -> None:
        """Bring a witness's statement; with the last one the enclave takes its state up."""
        with self.link(job) as link:
            link.call(Op.WITNESS, deadline_s=self.deadlines.finish_s, body=signed_statement)

    def record(self, job: Job, sequence: int) -> KeptRecord | None:
        """The record of an entry of the enclave's ledger; None if there is none yet."""
        try:
            frame = self._call(job, Op.RECORD, sequence=sequence)
        except EnclaveRefusedError as error:
            if error.refusal is Refusal.UNKNOWN:
                return None
            raise
        with _well_formed():
            record = require_bytes(frame.body, what="record", max_length=STATE_RECORD_MAX_BYTES)
            return KeptRecord(record, *_released(frame.header.get("released")))

    def public_keys(self, job: Job, nonce: bytes) -> PublicKeys:
        """A document for this nonce over the public halves of the enclave's keys."""
        frame = self._call(job, Op.KEYS, nonce=nonce)
        return PublicKeys(*_attested(frame.body, "public_keys", max_bytes=PUBLIC_KEYS_MAX_BYTES))

    def use_key(self, job: Job, *, call: bytes) -> bytes:
        """The sealed answer to one use of a key."""
        frame = self._call(job, Op.KEY_USE, body=call)
        with _well_formed():
            return require_bytes(frame.body, what="key answer", max_length=KEY_ANSWER_MAX_BYTES)

    def _call(self, job: Job, op: Op, *, body: bytes = b"", **fields: Value) -> Frame:
        with self.link(job) as link:
            return link.call(op, deadline_s=self.deadlines.call_s, body=body, **fields)


def _attested(body: bytes, what: str, *, max_bytes: int) -> tuple[bytes, bytes]:
    """(document, the bytes that stand as `what` beside it)."""
    with _well_formed():
        most = ATTESTATION_DOCUMENT_MAX_BYTES + max_bytes + KIB
        answer = decode_untrusted(body, max_bytes=most, what=what)
        fields = require_fields(answer, frozenset({"document", what}), what=what)
        document = require_bytes(
            fields["document"], what="document", max_length=ATTESTATION_DOCUMENT_MAX_BYTES
        )
        return document, require_bytes(fields[what], what=what, max_length=max_bytes)


def status_of(link: EnclaveLink, *, deadline_s: float) -> Status:
    """The enclave's phase and slots, over a connection that is open already."""
    header = link.call(Op.STATUS, deadline_s=deadline_s).header
    with _well_formed():
        phase, slots = header.get("phase"), header.get("slots", [])
        if not isinstance(phase, str) or len(phase) > _PHASE_MAX_CHARACTERS:
            raise FormatError(f"phase: expected a text of at most {_PHASE_MAX_CHARACTERS} characters")
        if not isinstance(slots, list) or len(slots) > DATASETS_MAX:
            raise FormatError(f"slots: expected a list of at most {DATASETS_MAX}")
        errands = errands_untrusted(header.get("errands", []))
        return Status(phase, [_slot(slot) for slot in slots], errands, _state(header.get("state")))


def bind(link: EnclaveLink, *, agreement: bytes, approvals: list[bytes], deadline_s: float) -> None:
    """Bind the enclave to an agreement for the rest of its life; again is fine."""
    body = encode({"agreement": agreement, "approvals": approvals})
    link.call(Op.BIND, deadline_s=deadline_s, body=body)


def _state(value: Value) -> StateStanding | None:
    if value is None:
        return None
    fields = require_fields(value, frozenset({"life", "missing", "records", "taken_up"}), what="state")
    missing = fields["missing"]
    if not isinstance(missing, list) or len(missing) > PARTIES_MAX:
        raise FormatError(f"missing: expected a list of at most {PARTIES_MAX} names")
    return StateStanding(
        fields["taken_up"] is True, [require_slug(party, what="witness") for party in missing]
    )


def _released(value: Value) -> tuple[bytes | None, list[str]]:
    """(run id, receivers) of what a record is about."""
    if value is None:
        return None, []
    fields = require_fields(value, frozenset({"run", "receivers"}), what="released")
    run_id = require_bytes(fields["run"], what="run id", length=RUN_ID_BYTES)
    return run_id, _receivers(fields["receivers"])


def _receivers(value: Value) -> list[str]:
    if not isinstance(value, list) or not 1 <= len(value) <= 2 * PARTIES_MAX:
        raise FormatError(f"receivers: expected a list of 1 to {2 * PARTIES_MAX} names")
    return [require_slug(receiver, what="receiver") for receiver in value]


def _slot(value: Value) -> Slot:
    fields = require_fields(value, frozenset({"dataset", "complete"}), what="slot")
    return Slot(require_slug(fields["dataset"], what="dataset"), fields["complete"] is True)


@contextmanager
def _well_formed() -> Iterator[None]:
    """What an enclave answers must have its shape; otherwise it is the enclave's fault, not the caller's."""
    try:
        yield
    except FormatError as error:
        raise EnclaveAnswerError(f"the enclave's answer is malformed: {error.message}") from error
