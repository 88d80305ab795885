"""Sealing a short secret to a public key: HPKE base mode with a hybrid post-quantum KEM (RFC 9180).

The suite is MLKEM768-X25519 (X-Wing), HKDF-SHA256, AES-256-GCM, from `cryptography`. That library gives the
hybrid keys no serialisation, so ours is stated here: a public key is the ML-KEM-768 encapsulation key
(1,184 bytes) followed by the X25519 public key (32 bytes); a private key is made from the 64-byte ML-KEM seed
followed by the 32-byte X25519 scalar. HPKE base mode does not say who sealed: callers sign what they send.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from protos.formats.errors import FormatError, SealError

PUBLIC_KEY_BYTES: Final = 1184 + 32
SEED_BYTES: Final = 64 + 32
ENCAPSULATION_BYTES: Final = 1120
OVERHEAD_BYTES: Final = ENCAPSULATION_BYTES + 16
"""What `seal` adds to a plaintext: the encapsulated key and the AEAD tag."""

_SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


class PrivateKey:
    """A hybrid private key made from a `SEED_BYTES` seed. It never leaves the process that made it."""

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise FormatError(f"HPKE seed: got {len(seed)} bytes, expected {SEED_BYTES}")
        kem = MLKEM768PrivateKey.from_seed_bytes(seed[:64])
        curve = X25519PrivateKey.from_private_bytes(seed[64:])
        self._key = hpke.MLKEM768X25519PrivateKey(kem, curve)
        self.public_key: Final = kem.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()

    def open(self, sealed: bytes, *, info: bytes) -> bytes:
        """The plaintext that was sealed to this key under the same `info`, or `SealError`."""
        try:
            return _SUITE.decrypt(sealed, self._key, info=info)
        except (InvalidTag, ValueError) as error:
            raise SealError("sealed to another key, for another purpose, or altered on the way") from error


def seal(plaintext: bytes, *, public_key: bytes, info: bytes) -> bytes:
    """Encapsulated key followed by ciphertext: `OVERHEAD_BYTES` longer than `plaintext`.

    `info` says what the secret is for; opening demands the same bytes. Raises `FormatError` for a public key
    that is not one.
    """
    if len(public_key) != PUBLIC_KEY_BYTES:
        raise FormatError(f"HPKE public key: got {len(public_key)} bytes, expected {PUBLIC_KEY_BYTES}")
    try:
        key = hpke.MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(public_key[:1184]),
            X25519PublicKey.from_public_bytes(public_key[1184:]),
        )
        return _SUITE.encrypt(plaintext, key, info=info)
    except ValueError as error:
        raise FormatError("HPKE public key: not a valid MLKEM768-X25519 key") from error
