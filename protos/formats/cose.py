"""COSE_Sign1 with Ed25519: who said these bytes, and as what (RFC 9052 section 4.2, RFC 9864).

Our signed messages are the untagged four-element array [protected, {}, payload, signature]. The protected
header is exactly {1: -19 (Ed25519), 4: key id, 16: message type}; the type is the domain label, so that a
signature on one kind of message can never stand under another. `verify_untrusted` checks the key id, the
type and the signature over the received bytes and hands back the payload. Attestation documents use ES384
and AWS's profile: see the party's attestation verifier.
"""

from __future__ import annotations

import hashlib
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from protos.formats.canonical import decode_untrusted, encode
from protos.formats.errors import FormatError, SignatureError

SIGNATURE_BYTES: Final = 64
PUBLIC_KEY_BYTES: Final = 32
KEY_ID_BYTES: Final = 32
# The protected header is always a map of three: 1 (algorithm) to -19 (Ed25519), 4 (key id) to 32 bytes, 16
# (type) to a text. So it is compared or cut out, and never parsed.
_BEFORE_KEY_ID: Final = bytes.fromhex("a3 01 32 04 58 20")
_BEFORE_TYPE: Final = bytes.fromhex("10")


def key_id(public_key: bytes) -> bytes:
    """SHA-256 of the raw Ed25519 public key: 32 bytes."""
    return hashlib.sha256(public_key).digest()


def sign(payload: bytes, *, typ: str, key: Ed25519PrivateKey) -> bytes:
    """A COSE_Sign1 message of type `typ` over `payload`."""
    public = key.public_key().public_bytes_raw()
    protected = protected_header(key_id(public), typ=typ)
    return encode([protected, {}, payload, key.sign(sig_structure(protected, payload))])


def verify_untrusted(message: bytes, *, typ: str, public_key: bytes, max_bytes: int) -> bytes:
    """The payload of `message`, signed by `public_key` (raw, 32 bytes) as a message of type `typ`.

    Raises `FormatError` when it is not such a message, `SignatureError` when the key or signature is wrong.
    """
    protected, payload, signature = _parse(message, max_bytes=max_bytes, what=typ)
    if protected != protected_header(key_id(public_key), typ=typ):
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
    header_start, kid = protected[: len(_BEFORE_KEY_ID)], protected[len(_BEFORE_KEY_ID) :][:KEY_ID_BYTES]
    if header_start != _BEFORE_KEY_ID or len(kid) != KEY_ID_BYTES:
        raise FormatError(f"{what}: the protected header is not one for Ed25519 that names a key")
    return kid


def protected_header(kid: bytes, *, typ: str) -> bytes:
    """The encoding of {1: -19, 4: kid, 16: typ}: the one protected header of our messages."""
    return _BEFORE_KEY_ID + kid + _BEFORE_TYPE + encode(typ)


def sig_structure(protected: bytes, payload: bytes) -> bytes:
    """What is signed: ["Signature1", protected, h'', payload] (RFC 9052 section 4.4)."""
    return encode(["Signature1", protected, b"", payload])


def _parse(message: bytes, *, max_bytes: int, what: str) -> tuple[bytes, bytes, bytes]:
    value = decode_untrusted(message, max_bytes=max_bytes, what=what)
    if not isinstance(value, list) or len(value) != 4:
        raise FormatError(f"{what}: not a COSE_Sign1 array of four")
    protected, unprotected, payload, signature = value
    if type(unprotected) is not dict or unprotected:
        raise FormatError(f"{what}: the unprotected header must be empty")
    if not all(type(part) is bytes for part in (protected, payload, signature)):
        raise FormatError(f"{what}: header, payload and signature must be byte strings")
    if len(signature) != SIGNATURE_BYTES:
        raise FormatError(f"{what}: got a signature of {len(signature)} bytes, expected {SIGNATURE_BYTES}")
    return protected, payload, signature
