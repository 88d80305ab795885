"""What this enclave wants from parties' KMS, and how far it has got: errands that the parent runs.

The enclave dials nobody. It writes TLS records and the parent carries them to the endpoint and back; the
parent chooses whether and when, and how the bytes are cut. Each errand has a connection, a document and a
signature of its own, made when they are sent. Bytes, steps and errands at once have bounds; whatever is
refused ends the errand, and it can be begun again. Follows `protos/README.md`, section 11.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from enclave_compute.clock import NsmClock
from enclave_compute.errors import RefusedError
from enclave_compute.kms.answer import AnswerReader
from enclave_compute.kms.recipient import Recipient
from enclave_compute.kms.request import KeyAnswer, KeyRequest, read_answer_untrusted
from enclave_compute.kms.signing import Credentials
from enclave_compute.kms.tls import TlsClient
from enclave_compute.nsm import Nsm
from protos.formats import limits
from protos.formats.calls import Refusal

OnAnswer = Callable[[KeyAnswer], None]


@dataclass(frozen=True)
class _Want:
    request: KeyRequest
    on_answer: OnAnswer


@dataclass
class _Errand:
    """A want that is being carried."""

    want: _Want
    credentials: Credentials
    tls: TlsClient
    asked: bool = False
    steps: int = 0
    received_bytes: int = 0
    reader: AnswerReader = field(default_factory=AnswerReader)


class Errands:
    """All wants of one enclave life. Calls from several connections take turns."""

    def __init__(self, nsm: Nsm, clock: NsmClock, *, agreement_digest: bytes, enclave_id: bytes) -> None:
        self._nsm = nsm
        self._clock = clock
        self._agreement_digest = agreement_digest
        self._enclave_id = enclave_id
        self._lock = threading.Lock()
        self._wants: dict[str, _Want] = {}
        self._errands: dict[str, _Errand] = {}
        """The one that was begun last is last."""
        self._recipient: Recipient | None = None

    def want(self, request: KeyRequest, on_answer: OnAnswer) -> None:
        """Ask for a key from now on, in place of whatever was asked for the same subject.

        `on_answer` is called once, by the thread that brings the last step, and must not call back here.
        """
        with self._lock:
            self._errands.pop(request.subject, None)
            self._wants[request.subject] = _Want(request, on_answer)

    def drop(self, subject: str) -> None:
        """Ask for nothing any more for this subject."""
        with self._lock:
            self._errands.pop(subject, None)
            self._wants.pop(subject, None)

    def wanted(self) -> list[KeyRequest]:
        """Everything that is asked for now."""
        with self._lock:
            return [want.request for want in self._wants.values()]

    def first(self, subject: str, credentials: Credentials) -> bytes:
        """Begin an errand, or begin it again: bytes for the endpoint. Raises `RefusedError`."""
        with self._lock:
            want = self._wants.get(subject)
            if want is None:
                raise RefusedError(Refusal.UNKNOWN, "no key is wanted for this")
            service = want.request.service
            self._errands.pop(subject, None)
            while len(self._errands) >= limits.ERRANDS_MAX:
                del self._errands[next(iter(self._errands))]
            tls = TlsClient(service.host, service.authorities, clock=self._now)
            tls.handshake()
            self._errands[subject] = _Errand(want, credentials, tls)
            return tls.outgoing()

    def step(self, subject: str, step: int, received: bytes) -> tuple[bytes, bool]:
        """Go on with what came from the endpoint: bytes for it, and whether the errand is done.

        None received means that the endpoint closed. Raises `RefusedError`; then the errand has ended.
        """
        with self._lock:
            errand = self._errands.pop(subject, None)
            if errand is None:
                raise RefusedError(Refusal.UNKNOWN, "no errand for this has begun")
            self._count(errand, step, received)
            answer = self._advance(errand, received)
            if answer is None:
                self._errands[subject] = errand
                return errand.tls.outgoing(), False
            del self._wants[subject]
        # Outside the lock: whoever asked has a lock of its own, and may hold it while asking.
        errand.want.on_answer(answer)
        return b"", True

    def _count(self, errand: _Errand, step: int, received: bytes) -> None:
        errand.steps += 1
        errand.received_bytes += len(received)
        if step != errand.steps:
            raise RefusedError(Refusal.OUT_OF_ORDER, f"step {step}")
        if step > limits.ERRAND_STEPS_MAX or errand.received_bytes > limits.ERRAND_MAX_BYTES:
            raise RefusedError(Refusal.OVER_LIMIT, "more steps or bytes than an errand has")
        if len(received) > limits.ERRAND_FRAME_MAX_BYTES:
            raise RefusedError(Refusal.OVER_LIMIT, "more bytes than a step carries")

    def _advance(self, errand: _Errand, received: bytes) -> KeyAnswer | None:
        tls, request = errand.tls, errand.want.request
        tls.take_untrusted(received)
        if not tls.handshake():
            return None
        recipient = self._make_recipient()
        if not errand.asked:
            document = recipient.document(
                self._nsm, agreement_digest=self._agreement_digest, enclave_id=self._enclave_id
            )
            tls.send(request.http(document, credentials=errand.credentials, now=self._now()))
            errand.asked = True
        said, ended = tls.received()
        answer = errand.reader.take_untrusted(said, ended=ended)
        return None if answer is None else read_answer_untrusted(answer, request, recipient)

    def _make_recipient(self) -> Recipient:
        """The key of this life, made when it is needed first."""
        if self._recipient is None:
            self._recipient = Recipient.make()
        return self._recipient

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now_s(), UTC)
