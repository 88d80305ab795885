"""The keys of one ring, and the only things that can be done with them.

A `KeyRing` is made of its secrets and the agreement alone. It hands out public halves and outputs; there is
no way to have a private key of it, and its text form names none. Whether a use is allowed is `uses`' to say.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives import serialization

from enclave_compute.key_ring import operations
from enclave_compute.key_ring.operations import Secret
from enclave_compute.key_ring.secrets import RingSecrets
from enclave_compute.key_ring.tokens import Normaliser, tokens
from protos.formats.agreement import Agreement
from protos.formats.key_answer import PublicKey
from protos.formats.key_ring import DECRYPT, ENCRYPT, HMAC, RSA_BITS, SIGN, AgreedKey


@dataclass(frozen=True)
class Output:
    """What a use gives, before it is sealed, and how many identifiers it took."""

    content: bytes | None = field(repr=False)
    values: int = 0


class KeyRing:
    """Every key of `agreement`. Safe to use from several threads."""

    def __init__(self, agreement: Agreement, secrets: RingSecrets) -> None:
        self._agreement: Final = agreement
        self._secrets: Final = {key.id: _secret(key, agreement.digest(), secrets) for key in agreement.keys}
        self._normaliser: Final = Normaliser()

    def public_halves(self) -> tuple[PublicKey, ...]:
        """Of all keys that have one, in the order of the agreement."""
        return tuple(
            PublicKey(key.id, key.kind, _public_half(self._secrets[key.id]))
            for key in self._agreement.keys
            if key.has_public_half
        )

    def output(self, key: AgreedKey, use: str, content: bytes, *, request_digest: bytes) -> Output:
        """What `use` of `key` makes of `content`. Raises `RefusedError` for identifiers that are none."""
        secret = self._secrets[key.id]
        if use == SIGN:
            return Output(operations.sign(secret, key.kind, content))
        if use == DECRYPT:
            return Output(operations.decrypt(secret, content))
        if use == ENCRYPT:
            return Output(operations.encrypt(secret, content, request_digest=request_digest))
        if use == HMAC:
            return Output(operations.code(secret, content))
        identifiers = self._normaliser.read_untrusted(content, normalise=key.normalise)
        return Output(tokens(operations.symmetric(secret), identifiers), len(identifiers))


def _secret(key: AgreedKey, agreement_digest: bytes, secrets: RingSecrets) -> Secret:
    if key.kind in RSA_BITS:
        return secrets.rsa_key(key)
    length = operations.secret_bytes(key.kind)
    return operations.secret_of(key.kind, secrets.derive(key, agreement_digest, length))


def _public_half(secret: Secret) -> bytes:
    if isinstance(secret, bytes):
        raise TypeError("a symmetric key has no public half")
    return secret.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
