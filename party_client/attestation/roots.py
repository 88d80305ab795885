"""Which certificate authorities a party believes, told apart by name.

AWS's Nitro root G1 comes with the package and is pinned by its SHA-256 fingerprint, as AWS publishes it in
"Verifying the root of trust" (Nitro Enclaves user guide); it is the root of partition `aws`. The roots of
`aws-cn` and `aws-us-gov` are others and are not included: obtain the certificate, compare its fingerprint
with the partition's documentation, and add it with `from_pem`. A document's own copy of the root
(`cabundle[0]`) plays no part.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from party_client.attestation.errors import EmulatorMixedError, NoTrustedRootsError, RootFileError
from protos.release.roots import AWS_NITRO_ROOT_G1_SHA256

AWS_PARTITION: Final = "aws"
AWS_ROOT_G1_SHA256: Final = AWS_NITRO_ROOT_G1_SHA256
"""Of the certificate (DER)."""
_AWS_ROOT_G1_FILE: Final = "aws_nitro_root_g1.pem"


@dataclass(frozen=True, slots=True)
class TrustedRoot:
    """One root certificate under the name by which people refer to it."""

    name: str
    certificate: x509.Certificate

    @property
    def sha256(self) -> bytes:
        """Fingerprint: SHA-256 of the DER encoding, 32 bytes."""
        return self.certificate.fingerprint(hashes.SHA256())

    @property
    def is_aws(self) -> bool:
        """Whether this is AWS's root G1, whatever its name here."""
        return self.sha256 == AWS_ROOT_G1_SHA256

    @property
    def is_simulated(self) -> bool:
        """Whether the certificate says of itself that it belongs to a simulation."""
        return "simulated" in self.certificate.subject.rfc4514_string().lower()


@dataclass(frozen=True, slots=True)
class TrustedRoots:
    """A set of roots that is never empty; no two of the same name."""

    roots: tuple[TrustedRoot, ...]

    def __post_init__(self) -> None:
        if not self.roots:
            raise NoTrustedRootsError("got an empty set of trusted roots, expected at least one")
        if not all(isinstance(root, TrustedRoot) for root in self.roots):
            raise EmulatorMixedError("trusted roots: got something that is no root certificate beside them")
        names = [root.name for root in self.roots]
        if len(set(names)) != len(names):
            raise RootFileError(f"got two different roots of the same name among {', '.join(sorted(names))}")

    @classmethod
    def aws(cls) -> TrustedRoots:
        """AWS's commercial partition: Nitro root G1 and nothing else."""
        return cls((_aws_root_g1(),))

    @classmethod
    def from_pem(cls, pem: bytes, *, name: str) -> TrustedRoots:
        """Exactly one certificate in PEM, to be called `name`. Raises `RootFileError`."""
        try:
            certificates = x509.load_pem_x509_certificates(pem)
        except Exception as error:  # the file is somebody else's; one exception may leave
            raise RootFileError(f"root {name!r}: not a PEM certificate ({type(error).__name__})") from error
        if len(certificates) != 1:
            raise RootFileError(f"root {name!r}: got {len(certificates)} certificates, expected 1")
        return cls((TrustedRoot(name, certificates[0]),))

    def __or__(self, other: TrustedRoots) -> TrustedRoots:
        """The roots of both; the same root under the same name counts once."""
        return TrustedRoots(self.roots + tuple(root for root in other.roots if root not in self.roots))

    def __iter__(self) -> Iterator[TrustedRoot]:
        return iter(self.roots)

    def holding(self, certificate: x509.Certificate) -> TrustedRoot:
        """The entry with exactly this certificate. Raises `KeyError`; the caller found it among ours."""
        for root in self.roots:
            if root.certificate == certificate:
                return root
        raise KeyError(certificate.subject.rfc4514_string())


@cache
def _aws_root_g1() -> TrustedRoot:
    pem = resources.files(__package__).joinpath(_AWS_ROOT_G1_FILE).read_bytes()
    (root,) = TrustedRoots.from_pem(pem, name=AWS_PARTITION)
    return require_pinned(root, AWS_ROOT_G1_SHA256)


def require_pinned(root: TrustedRoot, sha256: bytes) -> TrustedRoot:
    """`root`, if its fingerprint is `sha256`. Raises `RootFileError`."""
    if root.sha256 != sha256:
        raise RootFileError(
            f"root {root.name!r}: got fingerprint {root.sha256.hex()}, expected {sha256.hex()}"
        )
    return root
