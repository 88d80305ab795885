"""A certificate chain in the profile of the Nitro PKI, under a root of its own that no party trusts.

Independent of the code under test and of the simulated machine: two makers of documents and one reader must
agree. Keys are derived from labels and signatures are deterministic (RFC 6979), so every run makes the same
bytes. Lifetimes, path lengths and key usages are those of genuine chains; each can be overridden to go wrong.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

INSTANCE = "i-0123456789abcdef0"
MODULE_ID = f"{INSTANCE}-enc0123456789abcdef"
REGION = "test-1"
PARTITION = "test.nitro-enclaves"


@dataclass(frozen=True)
class Issued:
    """A certificate and the key that it is about."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)


@dataclass(frozen=True)
class Profile:
    """What one certificate says. The defaults are a leaf's."""

    common_name: str
    starts_before: timedelta
    lifetime: timedelta
    ca: bool = False
    path_length: int | None = None
    digital_signature: bool = True
    cert_sign: bool = False
    key_usage_critical: bool = False
    curve: ec.EllipticCurve = field(default_factory=ec.SECP384R1)
    signed_with: hashes.SHA256 | hashes.SHA384 = field(default_factory=hashes.SHA384)
    key_label: str = ""
    basic_constraints: bool = True
    key_usage: bool = True
    extra: tuple[x509.ExtensionType, ...] = ()
    """Further extensions, critical."""


def profiles() -> dict[str, Profile]:
    """From the root down, as measured on genuine chains."""
    name = f"{REGION}.{PARTITION}"
    authority: dict[str, Any] = {"ca": True, "cert_sign": True, "key_usage_critical": True}
    hour, day = timedelta(hours=1), timedelta(days=1)
    return {
        "root": Profile(PARTITION, 2000 * day, 10958 * day, **authority),
        "region": Profile(f"0011223344556677.{name}", 3 * day, 481 * hour, path_length=2, **authority),
        "zone": Profile(f"8899aabbccddeeff.zonal.{name}", day, 140 * hour, path_length=1, **authority),
        "instance": Profile(
            f"{INSTANCE}.{name}", 5 * hour, 24 * hour, path_length=0, digital_signature=False, **authority
        ),
        "leaf": Profile(f"{MODULE_ID}.{REGION}.aws", timedelta(minutes=20), timedelta(hours=3, seconds=3)),
    }


@dataclass(frozen=True)
class Chain:
    """Five certificates, root first."""

    root: Issued
    region: Issued
    zone: Issued
    instance: Issued
    leaf: Issued

    @property
    def cabundle(self) -> list[bytes]:
        """As a document lists it."""
        return [each.der for each in (self.root, self.region, self.zone, self.instance)]


def make_chain(at: datetime, **changes: dict[str, Any]) -> Chain:
    """A chain valid `at` an instant; `changes` says, by certificate, what differs in its `Profile`."""
    issued: dict[str, Issued] = {}
    issuer: Issued | None = None
    for name, profile in profiles().items():
        changed = Profile(**{**vars(profile), "key_label": name, **changes.get(name, {})})
        issuer = issue(changed, issuer=issuer, at=at)
        issued[name] = issuer
    return Chain(**issued)


def private_key(label: str, curve: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey:
    """The one key called `label`. For tests only: anybody can derive it."""
    scalar = int.from_bytes(
        hashlib.sha384(f"concordat test key {label}".encode()).digest()[: curve.key_size // 8 - 1]
    )
    return ec.derive_private_key(scalar, curve)


def issue(profile: Profile, *, issuer: Issued | None, at: datetime) -> Issued:
    """A certificate for `profile`, signed by `issuer`, or by itself."""
    key = private_key(profile.key_label, profile.curve)
    start = (at - profile.starts_before).replace(microsecond=0)
    signer = key if issuer is None else issuer.key
    serial = int.from_bytes(hashlib.sha256(f"{profile.common_name} {start}".encode()).digest()[:15])
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(profile.common_name))
        .issuer_name(_name(profile.common_name) if issuer is None else issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(start)
        .not_valid_after(start + profile.lifetime)
    )
    for extension, critical in _extensions(profile, key, issuer):
        builder = builder.add_extension(extension, critical=critical)
    certificate = builder.sign(signer, profile.signed_with, ecdsa_deterministic=True)
    return Issued(certificate, key)


def _extensions(
    profile: Profile, key: ec.EllipticCurvePrivateKey, issuer: Issued | None
) -> list[tuple[x509.ExtensionType, bool]]:
    found: list[tuple[x509.ExtensionType, bool]] = []
    if profile.basic_constraints:
        found.append((x509.BasicConstraints(profile.ca, profile.path_length), True))
    if profile.key_usage:
        found.append((_key_usage(profile), profile.key_usage_critical))
    if profile.ca:
        found.append((x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False))
        if issuer is not None:
            identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
            found.append((identifier, False))
    return found + [(extension, True) for extension in profile.extra]


def _key_usage(profile: Profile) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=profile.digital_signature,
        content_commitment=not profile.ca,
        key_cert_sign=profile.cert_sign,
        crl_sign=profile.ca and profile.digital_signature,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Concordat TEST"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )
