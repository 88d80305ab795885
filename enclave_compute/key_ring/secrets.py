"""What all keys of a ring are made of: one seed, and the RSA keys, which no seed makes simply.

Made inside after the agreement is locked, and never outside; its text form shows nothing. Deriving an RSA key
would need a search for primes of our own, which takes seconds and tells by its duration: OpenSSL makes those,
and they stand beside the seed. The same secrets and the same agreement give the same keys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from enclave_compute.nsm import Nsm
from protos.formats.key_ring import RSA_BITS, AgreedKey

SEED_BYTES: Final = 32
_PUBLIC_EXPONENT: Final = 65537
_SEED: Final = "ring"
_RSA: Final = "rsa "


@dataclass(frozen=True)
class RingSecrets:
    """Enough to make every key of a ring again."""

    seed: bytes = field(repr=False)
    """`SEED_BYTES`."""
    rsa_keys: Mapping[str, bytes] = field(repr=False)
    """Id of each RSA key → PKCS #8, DER."""

    @classmethod
    def make(cls, nsm: Nsm, keys: Sequence[AgreedKey]) -> RingSecrets:
        """Fresh secrets for these keys; every call gives others."""
        made = {key.id: _rsa(RSA_BITS[key.kind]) for key in keys if key.kind in RSA_BITS}
        return cls(nsm.seed(b"key ring", SEED_BYTES), made)

    def named(self) -> dict[str, bytes]:
        """By name, for keeping."""
        return {_SEED: self.seed, **{f"{_RSA}{key}": made for key, made in self.rsa_keys.items()}}

    @classmethod
    def of_named(cls, secrets: Mapping[str, bytes]) -> RingSecrets:
        """Inverse of `named`; others may stand beside them."""
        rsa_keys = {name.removeprefix(_RSA): made for name, made in secrets.items() if name.startswith(_RSA)}
        return cls(secrets[_SEED], rsa_keys)

    def derive(self, key: AgreedKey, agreement_digest: bytes, length_bytes: int) -> bytes:
        """The secret of `key` under this agreement: HKDF-SHA384 (RFC 5869) of the seed."""
        info = key.info(agreement_digest)
        return HKDF(hashes.SHA384(), length_bytes, salt=None, info=info).derive(self.seed)

    def rsa_key(self, key: AgreedKey) -> rsa.RSAPrivateKey:
        """The RSA key `key`, whose size is the agreed one."""
        loaded = serialization.load_der_private_key(self.rsa_keys[key.id], password=None)
        if not isinstance(loaded, rsa.RSAPrivateKey) or loaded.key_size != RSA_BITS[key.kind]:
            raise ValueError(f"key {key.id}: not the RSA key that was agreed")
        return loaded


def _rsa(bits: int) -> bytes:
    return rsa.generate_private_key(_PUBLIC_EXPONENT, bits).private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
