"""Whether a use of a key is allowed, and its answer: a signed request in, a sealed answer out.

Reads what a participant signed and sealed, and the coordinator carried. What comes out is for the one who
asked and for nobody else; that a ciphertext did not decrypt is told to that one alone. A use is charged
before its answer leaves; the same request again is answered again, from the same input, and costs nothing.
Follows `protos/README.md`, "Keys".
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from enclave_compute.asking import verify_asker_untrusted
from enclave_compute.binding import Bound, require_valid_now
from enclave_compute.clock import NsmClock
from enclave_compute.errors import RefusedError
from enclave_compute.key_ring.ledger import KeyLedger, Used
from enclave_compute.key_ring.ring import KeyRing
from enclave_compute.keys import EnclaveKeys
from enclave_compute.nsm import Nsm
from protos.formats.binding import public_keys_user_data
from protos.formats.calls import Refusal
from protos.formats.errors import ConcordatError
from protos.formats.key_answer import KeyAnswer, PublicKeys, seal_answer
from protos.formats.key_ring import DECRYPT, AgreedKey
from protos.formats.key_use import (
    KEY_REQUEST_LABEL,
    KeyCall,
    KeyRequest,
    open_input,
    verify_key_approval_untrusted,
)
from protos.formats.participants import Participant


@dataclass(frozen=True)
class _Allowed:
    """A request that the agreement allows."""

    request: KeyRequest
    key: AgreedKey
    asker: Participant


class KeyUses:
    """All uses of one ring. Safe to use from several threads: uses take turns."""

    def __init__(
        self,
        bound: Bound,
        *,
        keys: EnclaveKeys,
        ring: KeyRing,
        ledger: KeyLedger,
        nsm: Nsm,
        clock: NsmClock,
        note: Callable[[Used, bytes], None] = lambda _used, _request: None,
    ) -> None:
        """`note` hears of every use, and the encoding of its request, before it is charged. It may refuse."""
        self._note = note
        self._bound = bound
        self._keys = keys
        self._ring = ring
        self._ledger = ledger
        self._nsm = nsm
        self._clock = clock
        self._using = threading.Lock()

    def public_keys(self, nonce: bytes) -> tuple[bytes, bytes]:
        """(document, public halves): a fresh document for the caller's nonce, over exactly these bytes."""
        halves = self._ring.public_halves()
        public_keys = PublicKeys(self._bound.digest, self._keys.enclave_id, halves).encode()
        return self._nsm.attest(user_data=public_keys_user_data(public_keys), nonce=nonce), public_keys

    def use_untrusted(self, body: bytes) -> bytes:
        """Carry out the use in `body`; the answer, sealed to the asker. Raises `RefusedError`."""
        call = KeyCall.decode_untrusted(body)
        allowed = self._require_allowed(call.signed_request)
        request, key = allowed.request, allowed.key
        _require_approved(allowed, call.approvals, self._bound)
        require_valid_now(self._bound.agreement, self._bound.own_releases, self._clock)
        with self._using:
            used = self._ledger.charged(request)
            if used is None:  # what has no use left is not even opened
                self._ledger.require_left(key, values=0, now_s=self._clock.now_s())
            content = open_input(call.sealed_input, request=request, key=self._keys.opening)
            output = self._ring.output(key, request.use, content, request_digest=request.digest())
            if used is None:
                now_s = self._clock.now_s()
                self._ledger.require_left(key, values=output.values, now_s=now_s)
                used = self._ledger.next_use(request, values=output.values, now_s=now_s)
                # First of all what may find no room: nothing is to be had that no record tells of.
                self._note(used, request.encode())
                self._ledger.charge(used)
        return seal_answer(
            KeyAnswer(used.request_digest, used.number, used.at_s, output.content),
            signing=self._keys.signing,
            receiver=allowed.asker.id,
            receiving_key=allowed.asker.receiving_key,
            # Whether anything was decrypted is not to be told by the size.
            as_if_bytes=len(content) if request.use == DECRYPT else 0,
        )

    def _require_allowed(self, signed_request: bytes) -> _Allowed:
        agreement = self._bound.agreement
        asker, payload = verify_asker_untrusted(
            agreement, signed_request, typ=KEY_REQUEST_LABEL, what="key request"
        )
        request = KeyRequest.decode_untrusted(payload)
        if (request.agreement_digest, request.enclave_id) != (self._bound.digest, self._keys.enclave_id):
            raise RefusedError(Refusal.WRONG_PLACE, "the request is for another agreement or enclave")
        try:
            key = agreement.key(request.key)
        except KeyError as error:
            raise RefusedError(Refusal.UNKNOWN, "no such key in the agreement") from error
        if request.requested_by != asker.id or asker.id not in key.used_by or request.use not in key.uses:
            raise RefusedError(Refusal.NOT_ALLOWED, f"{asker.id} may not {request.use} with {key.id}")
        return _Allowed(request, key, asker)


def _require_approved(allowed: _Allowed, approvals: Sequence[bytes], bound: Bound) -> None:
    """Raises `RefusedError` unless every party that has to approve this very request is among `approvals`.

    Others among them neither count nor harm.
    """
    digest = allowed.request.digest()
    for name in allowed.key.approved_by:
        party = bound.agreement.participant(name)
        if not any(_is_genuine(message, digest, party) for message in approvals):
            raise RefusedError(Refusal.NOT_APPROVED, f"{name} has not approved this use")


def _is_genuine(message: bytes, request_digest: bytes, party: Participant) -> bool:
    with contextlib.suppress(ConcordatError):
        verify_key_approval_untrusted(message, request_digest=request_digest, party=party)
        return True
    return False
