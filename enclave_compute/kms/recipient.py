"""The key that this enclave shows to KMS: RSA-2048, made inside, once in a life.

KMS encrypts its answer to the RSA key in the attestation document of the request and to no other. The
document carries no nonce, because KMS gives none, and says in its `user_data` that it is for KMS: a party
who is shown it in place of one of its own refuses it. Its randomness is the kernel's, which in the image
is the security module's as well (`boot/entropy.py`). Follows `protos/README.md`, section 6.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from enclave_compute.nsm import Nsm
from protos.formats.binding import kms_recipient_user_data

RSA_BYTES: Final = 256


@dataclass(frozen=True)
class Recipient:
    """For whom KMS encrypts."""

    private_key: rsa.RSAPrivateKey
    public_key: bytes
    """SubjectPublicKeyInfo, DER."""
    identifier: bytes
    """How KMS names this key in its answers: the SHA-256 of `public_key`."""

    @classmethod
    def make(cls) -> Recipient:
        """A fresh key; every call gives another."""
        private_key = rsa.generate_private_key(public_exponent=65537, key_size=8 * RSA_BYTES)
        spki = private_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return cls(private_key, spki, hashlib.sha256(spki).digest())

    def document(self, nsm: Nsm, *, agreement_digest: bytes, enclave_id: bytes) -> bytes:
        """An attestation document for KMS, made now."""
        user_data = kms_recipient_user_data(agreement_digest, self.public_key, enclave_id)
        return nsm.attest(user_data=user_data, public_key=self.public_key)
