"""The algorithms of the key ring: one for each kind of key and use, and no choice among them.

Messages are signed and not digests of theirs: who approves a use sees what is signed, and nobody chooses a
hash. What does not decrypt is None, whatever the reason: wrong length, wrong padding and wrong tag look the
same. Everything but RSA-PSS gives the same output for the same request, so that an answer can be made again.
"""

from __future__ import annotations

import hmac
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SymmetricKey = bytes
Secret = Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | SymmetricKey

AES_KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_CURVES: Final[dict[str, tuple[ec.EllipticCurve, hashes.HashAlgorithm]]] = {
    "ecdsa-p256": (ec.SECP256R1(), hashes.SHA256()),
    "ecdsa-p384": (ec.SECP384R1(), hashes.SHA384()),
}
_EXTRA_BYTES: Final = 8
_PSS: Final = padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256.digest_size)
_OAEP: Final = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), label=None)


def secret_bytes(kind: str) -> int:
    """How many derived bytes a key of `kind` is made of; not of RSA."""
    if kind in _CURVES:
        return _CURVES[kind][0].group_order.bit_length() // 8 + _EXTRA_BYTES
    # Of AES: the key, and a second one from which nonces are made.
    return 2 * AES_KEY_BYTES if kind == "aes-256" else 32


def secret_of(kind: str, derived: bytes) -> Secret:
    """The key that `derived`, of `secret_bytes(kind)`, is."""
    if kind == "ed25519":
        return Ed25519PrivateKey.from_private_bytes(derived)
    if kind not in _CURVES:
        return derived
    # FIPS 186-5, A.2.1: 64 more bits than the order has, so that no scalar is likelier than another.
    curve, _ = _CURVES[kind]
    scalar = int.from_bytes(derived, "big") % (curve.group_order - 1) + 1
    return ec.derive_private_key(scalar, curve)


def sign(secret: Secret, kind: str, message: bytes) -> bytes:
    """Ed25519; ECDSA (DER) with SHA-256 on P-256, SHA-384 on P-384, RFC 6979; RSA-PSS, SHA-256, salt 32."""
    if isinstance(secret, Ed25519PrivateKey):
        return secret.sign(message)
    if isinstance(secret, ec.EllipticCurvePrivateKey):
        return secret.sign(message, ec.ECDSA(_CURVES[kind][1], deterministic_signing=True))
    if isinstance(secret, rsa.RSAPrivateKey):
        return secret.sign(message, _PSS, hashes.SHA256())
    raise TypeError("a symmetric key does not sign")


def decrypt(secret: Secret, sealed: bytes) -> bytes | None:
    """RSA-OAEP with SHA-256, or AES-256-GCM as `encrypt` writes it; None: it does not open."""
    try:
        if isinstance(secret, rsa.RSAPrivateKey):
            return secret.decrypt(sealed, _OAEP)
        aead = AESGCM(symmetric(secret)[:AES_KEY_BYTES])
        return aead.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], None)
    except (InvalidTag, ValueError):
        return None


def encrypt(secret: Secret, plaintext: bytes, *, request_digest: bytes) -> bytes:
    """AES-256-GCM: nonce, ciphertext, tag.

    The nonce is a pseudorandom function of the request, of which no two are the same: the same request gives
    the same bytes again, and the agreed number of uses bounds the number of nonces.
    """
    both = symmetric(secret)
    nonce = hmac.digest(both[AES_KEY_BYTES:], request_digest, "sha256")[:NONCE_BYTES]
    return nonce + AESGCM(both[:AES_KEY_BYTES]).encrypt(nonce, plaintext, None)


def code(secret: Secret, message: bytes) -> bytes:
    """HMAC-SHA-256, 32 bytes."""
    return hmac.digest(symmetric(secret), message, "sha256")


def symmetric(secret: Secret) -> bytes:
    """The bytes of a key that is nothing else."""
    if not isinstance(secret, bytes):
        raise TypeError("not a symmetric key")
    return secret
