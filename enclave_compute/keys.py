"""The keys of one enclave life: made inside, after the agreement is locked, and never outside.

Randomness is the security module's and the kernel's together, so neither a starved entropy pool nor a weak
module alone decides a key. Only the public bundle leaves; and, where the agreement has `state`, what the keys
are made of, sealed (`state.content`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from enclave_compute.nsm import Nsm
from protos.formats import hpke
from protos.formats.binding import KeyBundle
from protos.formats.errors import FormatError
from protos.formats.identifiers import ENCLAVE_ID_BYTES

_SIGNING_SEED_BYTES: Final = 32


@dataclass(frozen=True)
class EnclaveKeys:
    """What this enclave life opens and signs with."""

    enclave_id: bytes
    opening: hpke.PrivateKey
    signing: Ed25519PrivateKey
    bundle: bytes
    """Canonical `KeyBundle` of the public halves."""
    secrets: Mapping[str, bytes] = field(repr=False)
    """What the keys are made of, by what for."""

    @classmethod
    def make(cls, nsm: Nsm) -> EnclaveKeys:
        """Fresh keys; every call gives others."""
        secrets = {
            "hpke": nsm.seed(b"hpke key", hpke.SEED_BYTES),
            "signing": nsm.seed(b"signing key", _SIGNING_SEED_BYTES),
        }
        return cls.from_secrets(nsm.seed(b"enclave id", ENCLAVE_ID_BYTES), secrets)

    @classmethod
    def from_secrets(cls, enclave_id: bytes, secrets: Mapping[str, bytes]) -> EnclaveKeys:
        """The keys that are made of these; others may stand beside them. Raises `FormatError`."""
        secrets = {name: secret for name, secret in secrets.items() if name in ("hpke", "signing")}
        if len(secrets) != 2 or len(secrets["signing"]) != _SIGNING_SEED_BYTES:
            raise FormatError("enclave keys: not what keys are made of")
        opening = hpke.PrivateKey(secrets["hpke"])
        signing = Ed25519PrivateKey.from_private_bytes(secrets["signing"])
        bundle = KeyBundle(
            enclave_id=enclave_id,
            hpke_public_key=opening.public_key,
            signing_key=signing.public_key().public_bytes_raw(),
        )
        return cls(enclave_id, opening, signing, bundle.encode(), secrets)
