"""COSE_Sign1 with Ed25519: who said these bytes, and as what (RFC 9052 section 4.2, RFC 9864).

Our signed messages are the untagged four-element array [protected, {}, payload, signature]. The protected
header is exactly {1: -19 (Ed25519), 4: key id, 16: message type}; the type is the domain label, so that a
signature on one kind of message can never stand under another. `verify_untrusted` checks the key id, the
type and the signature over the received bytes and hands back the payload. Attestation documents use ES384
and AWS's profile: see the party's attestation verifier.
"""

from __future__ import annotations

import hashlib
import io
from typing import Final

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from protos.formats.errors import FormatError, LimitExceededError, SignatureError

ALG_ED25519: Final = -19
SIGNATURE_BYTES: Final = 64
PUBLIC_KEY_BYTES: Final = 32
_ALG, _KID, _TYP = 1, 4, 16


def key_id(public_key: bytes) -> bytes:
    """SHA-256 of the raw Ed25519 public key: 32 bytes."""
    return hashlib.sha256(public_key).digest()


def sign(payload: bytes, *, typ: str, key: Ed25519PrivateKey) -> bytes:
    """A COSE_Sign1 message of type `typ` over `payload`."""
    public = key.public_key().public_bytes_raw()
    protected = cbor2.dumps({_ALG: ALG_ED25519, _KID: key_id(public), _TYP: typ}, canonical=True)
    signature = key.sign(sig_structure(protected, payload))
    return cbor2.dumps([protected, {}, payload, signature], canonical=True)


def verify_untrusted(message: bytes, *, typ: str, public_key: bytes, max_bytes: int) -> bytes:
    """The payload of `message`, signed by `public_key` (raw, 32 bytes) as a message of type `typ`.

    Raises `FormatError` when it is not such a message, `SignatureError` when the key or signature is wrong.
    """
    protected, payload, signature = _parse(message, max_bytes=max_bytes, what=typ)
    expected = cbor2.dumps({_ALG: ALG_ED25519, _KID: key_id(public_key), _TYP: typ}, canonical=True)
    if protected != expected:
        raise SignatureError(
            f"{typ}: signed by another key or as another kind of message",
            hint="compare the key's fingerprint with the one in the agreement",
        )
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, sig_structure(protected, payload))
    except (InvalidSignature, ValueError) as error:
        raise SignatureError(f"{typ}: the signature does not fit the bytes") from error
    return payload


def signer_untrusted(message: bytes, *, max_bytes: int, what: str) -> bytes:
    """The key id that `message` claims; nothing is verified. For choosing which key to verify with."""
    protected, _, _ = _parse(message, max_bytes=max_bytes, what=what)
    try:
        header = cbor2.loads(protected)
    except Exception as error:
        raise FormatError(f"{what}: the protected header is not CBOR") from error
    kid = header.get(_KID) if isinstance(header, dict) else None
    if not isinstance(kid, bytes):
        raise FormatError(f"{what}: the protected header names no key")
    return kid


def sig_structure(protected: bytes, payload: bytes) -> bytes:
    """What is signed: ["Signature1", protected, h'', payload] (RFC 9052 section 4.4)."""
    return cbor2.dumps(["Signature1", protected, b"", payload], canonical=True)


def _parse(message: bytes, *, max_bytes: int, what: str) -> tuple[bytes, bytes, bytes]:
    if len(message) > max_bytes:
        raise LimitExceededError(f"{what}: got {len(message)} bytes, expected at most {max_bytes}")
    try:
        value = cbor2.CBORDecoder(
            io.BytesIO(message), max_depth=3, allow_indefinite=False, allow_duplicate_keys=False
        ).decode()
        canonical = cbor2.dumps(value, canonical=True) == message
    except Exception as error:
        raise FormatError(f"{what}: not a COSE_Sign1 message ({type(error).__name__})") from error
    if not canonical or not isinstance(value, list) or len(value) != 4:
        raise FormatError(f"{what}: not a COSE_Sign1 array of four in canonical CBOR")
    protected, unprotected, payload, signature = value
    if type(unprotected) is not dict or unprotected:
        raise FormatError(f"{what}: the unprotected header must be empty")
    if not all(type(part) is bytes for part in (protected, payload, signature)):
        raise FormatError(f"{what}: header, payload and signature must be byte strings")
    if len(signature) != SIGNATURE_BYTES:
        raise FormatError(f"{what}: got a signature of {len(signature)} bytes, expected {SIGNATURE_BYTES}")
    return protected, payload, signature
