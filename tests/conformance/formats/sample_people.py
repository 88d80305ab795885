"""Who takes part in the computation of the test vectors, with keys that anybody can make."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protos.formats import hpke
from protos.formats.participants import Participant


def derived(label: str, length: int) -> bytes:
    """`length` bytes that anybody can make from `label`."""
    return hashlib.shake_256(f"concordat test vector: {label}".encode()).digest(length)


@dataclass(frozen=True)
class Person:
    """A participant or an enclave with the seeds of both keys."""

    id: str

    @property
    def signing_seed(self) -> bytes:
        return derived(f"signing key of {self.id}", 32)

    @property
    def receiving_seed(self) -> bytes:
        return derived(f"receiving key of {self.id}", hpke.SEED_BYTES)

    @property
    def signing(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.signing_seed)

    @property
    def signing_key(self) -> bytes:
        return self.signing.public_key().public_bytes_raw()

    @property
    def receiving(self) -> hpke.PrivateKey:
        return hpke.PrivateKey(self.receiving_seed)

    def participant(self) -> Participant:
        name = self.id.replace("_", " ").capitalize()
        return Participant(self.id, name, self.signing_key, self.receiving.public_key)
