"""The keys of one enclave life: made inside, after the agreement is locked, and never outside.

Randomness is the security module's and the kernel's together, so neither a starved entropy pool nor a weak
module alone decides a key. Nothing here can be exported: only the public bundle leaves.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from enclave_compute.nsm import Nsm
from protos.formats import hpke
from protos.formats.binding import KeyBundle
from protos.formats.identifiers import ENCLAVE_ID_BYTES


@dataclass(frozen=True)
class EnclaveKeys:
    """What this enclave life opens and signs with."""

    enclave_id: bytes
    opening: hpke.PrivateKey
    signing: Ed25519PrivateKey
    bundle: bytes
    """Canonical `KeyBundle` of the public halves."""

    @classmethod
    def make(cls, nsm: Nsm) -> EnclaveKeys:
        """Fresh keys; every call gives others."""
        enclave_id = nsm.seed(b"enclave id", ENCLAVE_ID_BYTES)
        opening = hpke.PrivateKey(nsm.seed(b"hpke key", hpke.SEED_BYTES))
        signing = Ed25519PrivateKey.from_private_bytes(nsm.seed(b"signing key", 32))
        bundle = KeyBundle(
            enclave_id=enclave_id,
            hpke_public_key=opening.public_key,
            signing_key=signing.public_key().public_bytes_raw(),
        )
        return cls(enclave_id=enclave_id, opening=opening, signing=signing, bundle=bundle.encode())
