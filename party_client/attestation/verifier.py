"""Decides whether an attestation document is believed: the eleven steps, in order.

Reads a document that the coordinator handed over, and the caller's own roots, nonce, policy and clock. What
returns is a `VerifiedAttestation`; otherwise one named `AttestationError` leaves. Specification: protocol,
"Attestation, as a party checks it", whose numbers stand at each step.

    1  size and CBOR shape              cose_sign1     7  nonce                       here
    2  headers, signature encoding      cose_sign1     8  not debug                   here
    3  fields                           document       9  measurements, instance      policy, here
    4  chain to a trusted root          chain         10  PCR16 holds the agreement   policy
    5  signature                        here          11  user_data binds the keys    policy
    6  age                              here

With `EmulatorUnsafe` in place of roots, `emulator` reads the document, in a step 2 of its own, and there is
no step 4 or 5; the rest is the same.

What the caller still has to do: make the nonce (32 fresh random bytes) and send it itself; use only the keys
that `user_data` binds (`enclave.verify_enclave` does steps 9 to 11 in full); verify again for every session.

ECDSA signatures are malleable: with (r, s) the signature (r, n - s) verifies as well, and the NSM writes both
kinds. So one statement may come as two different files. Whatever remembers documents keys on the nonce, never
on the bytes of the document.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384

from party_client.attestation.chain import verify_chain
from party_client.attestation.cose_sign1 import CoseSign1
from party_client.attestation.document import AttestationDocument, parse_untrusted, shown
from party_client.attestation.emulator import (
    Anchor,
    Anchors,
    EmulatorUnsafe,
    parse_unsigned_untrusted,
)
from party_client.attestation.errors import (
    DebugModeError,
    ExpectationError,
    FutureDocumentError,
    InstanceMismatchError,
    NonceMismatchError,
    PolicyError,
    SignatureInvalidError,
    StaleDocumentError,
)
from party_client.attestation.evidence import VerifiedAttestation, mint_verified
from party_client.attestation.measurements import (
    CODE_REGISTERS,
    INSTANCE_REGISTER,
    ZERO_PCR,
    extended_once,
)
from party_client.attestation.policy import Policy
from party_client.attestation.roots import TrustedRoot, TrustedRoots
from protos.formats.limits import USER_DATA_ACCEPT_MAX_BYTES

MAX_AGE: Final = timedelta(minutes=5)
MAX_SKEW: Final = timedelta(seconds=30)


@dataclass(frozen=True)
class AnyNonceUnsafe:
    """UNSAFE in place of a nonce: a document up to `max_age` old may be replayed by anybody who has it."""


def verify_now(
    document: bytes,
    *,
    roots: Anchors,
    nonce: bytes | AnyNonceUnsafe,
    policy: Policy,
    now: datetime,
    max_age: timedelta = MAX_AGE,
    max_skew: timedelta = MAX_SKEW,
) -> VerifiedAttestation:
    """A document made for this caller, just now.

    `nonce` is what was sent with the request. `now` is the caller's clock (aware); `max_age` bounds how long
    ago the document was signed, `max_skew` how far its clock may be ahead of the caller's. `roots` may be
    `EmulatorUnsafe`: see there. Raises `AttestationError` subclasses, nothing else.
    """
    _require_sound_request(policy, nonce, now)
    # A leaf may be a second old. A caller whose clock is a little behind would find it not valid yet, so the
    # chain is judged at the later of the two clocks, the document's counting up to the skew allowed.
    parsed, root = _read(  # steps 1 to 5
        document, roots, instant=lambda signed_at: max(now, min(signed_at, now + max_skew))
    )
    _require_fresh(parsed.signed_at, now, max_age=max_age, max_skew=max_skew)  # step 6
    if not isinstance(nonce, AnyNonceUnsafe):
        _require_nonce(parsed.nonce, nonce)  # step 7
    _require_policy(parsed, root, policy)  # steps 8 to 11
    return mint_verified(
        parsed,
        root=root,
        how="live",
        verified_at=now,
        nonce_compared=not isinstance(nonce, AnyNonceUnsafe),
        policy=str(policy),
    )


def verify_replay(document: bytes, *, roots: Anchors, policy: Policy) -> VerifiedAttestation:
    """An archived document, judged at its own signed time: it was genuine then.

    Steps 6 and 7 do not apply, so it says nothing about an enclave that runs now: never seal to its keys.
    Raises `AttestationError`.
    """
    _require_sound_policy(policy)
    parsed, root = _read(document, roots, instant=lambda signed_at: signed_at)  # steps 1 to 5
    _require_policy(parsed, root, policy)  # steps 8 to 11
    return mint_verified(
        parsed,
        root=root,
        how="replay",
        verified_at=parsed.signed_at,
        nonce_compared=False,
        policy=str(policy),
    )


def _require_sound_request(policy: Policy, nonce: bytes | AnyNonceUnsafe, now: datetime) -> None:
    _require_sound_policy(policy)
    if now.tzinfo is None:
        raise ExpectationError("now: got a time without a zone, expected an aware one")
    if not isinstance(nonce, AnyNonceUnsafe) and not 1 <= len(nonce) <= USER_DATA_ACCEPT_MAX_BYTES:
        raise ExpectationError(f"nonce: got {len(nonce)} bytes, expected the 32 random bytes that were sent")


def _require_sound_policy(policy: Policy) -> None:
    if not policy.decides_measurements:
        raise PolicyError(f"policy {policy}: leaves open which code may run")


def _read(
    document: bytes, roots: Anchors, *, instant: Callable[[datetime], datetime]
) -> tuple[AttestationDocument, Anchor]:
    """What `document` says and who vouches for it; `instant`, from its time, is when its chain must hold."""
    if isinstance(roots, EmulatorUnsafe):
        return parse_unsigned_untrusted(document), roots  # steps 1 to 3 of its own; there is no 4 and no 5
    cose, parsed = parse_untrusted(document)  # steps 1 to 3
    return parsed, _require_genuine(cose, parsed, roots, at=instant(parsed.signed_at))  # steps 4 and 5


def _require_genuine(
    cose: CoseSign1, document: AttestationDocument, roots: TrustedRoots, *, at: datetime
) -> TrustedRoot:
    # Step 4. The chain to a trusted root, at a stated instant.
    chain = verify_chain(document.certificate, document.cabundle, roots=roots, at=at)
    # Step 5. The signature over the payload as it was received.
    _require_signature(cose, chain.leaf_key)
    return chain.root


def _require_signature(cose: CoseSign1, key: EllipticCurvePublicKey) -> None:
    half = len(cose.signature) // 2
    r, s = (int.from_bytes(part) for part in (cose.signature[:half], cose.signature[half:]))
    try:
        key.verify(encode_dss_signature(r, s), cose.signed_bytes, ECDSA(SHA384()))
    except InvalidSignature as error:
        raise SignatureInvalidError(
            "the signature does not fit the payload and the leaf certificate"
        ) from error


def _require_fresh(signed_at: datetime, now: datetime, *, max_age: timedelta, max_skew: timedelta) -> None:
    # Step 6. Both bounds are inclusive.
    if now - signed_at > max_age:
        raise StaleDocumentError(f"signed {now - signed_at} ago, expected at most {max_age}")
    if signed_at - now > max_skew:
        raise FutureDocumentError(f"signed {signed_at - now} in the future, expected at most {max_skew}")


def _require_nonce(got: bytes | None, sent: bytes) -> None:
    # Step 7. Exactly what was just sent.
    if got != sent:
        raise NonceMismatchError(f"nonce: got {shown(got)}, expected {shown(sent)}")


def _require_policy(document: AttestationDocument, root: Anchor, policy: Policy) -> None:
    # Step 8. Not debug. A register that is not shown cannot be said not to be zero.
    for index in CODE_REGISTERS:
        document.require_pcr(index)
    if document.is_debug and not policy.permits_debug:
        raise DebugModeError("PCR0, PCR1 or PCR2: got all zeros (debug mode), expected measurements of code")
    # Step 9, first half. PCR4, where the machine has one, is that of the instance in module_id.
    instance = document.pcrs.get(INSTANCE_REGISTER, ZERO_PCR)
    if instance not in (ZERO_PCR, extended_once(document.instance_id.encode())):
        raise InstanceMismatchError(
            f"PCR4: got another measurement than that of instance {document.instance_id}"
        )
    # Step 9, second half, to step 11: what the caller expects.
    policy.require(document, root)
