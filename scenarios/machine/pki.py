"""The SIMULATED machine's certificates: an own P-384 root and chains below it in AWS's profile.

The root is made on first use and kept in the state folder (key readable by its owner alone); the four
certificates below it are made anew for every machine and every few hours, with fresh keys. Lifetimes,
extensions and name formats are those measured on genuine documents; organisation and common names say
SIMULATED, and no path leads to AWS's root.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from scenarios.machine.errors import StateError

ORGANIZATION: Final = "Concordat SIMULATED"
ROOT_NAME: Final = "simulated.nitro-enclaves"
REGION: Final = "local.simulated"
LEAF_LIFETIME: Final = timedelta(hours=3, seconds=3)
_ROOT_LIFETIME: Final = timedelta(days=30 * 365)
_REGION_LIFETIME: Final = timedelta(hours=481)
_ZONE_LIFETIME: Final = timedelta(hours=140)
_INSTANCE_LIFETIME: Final = timedelta(hours=24)
_ROOT_KEY_FILE: Final = "root.key.pem"
_ROOT_FILE: Final = "root.pem"
_LOCK_FILE: Final = "root.lock"

Clock = Callable[[], datetime]
"""Gives the present as an aware UTC time."""


def utc_now() -> datetime:
    """The computer's clock."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Issuer:
    """A certificate and the key that goes with it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def der(self) -> bytes:
        """The certificate in DER."""
        return self.certificate.public_bytes(serialization.Encoding.DER)


@dataclass(frozen=True)
class Chain:
    """Root, region, zone, instance and leaf, as one machine uses them for up to three hours."""

    leaf: Issuer
    cabundle: tuple[bytes, ...]
    """DER, from the root down to the issuer of the leaf."""


def load_or_create_root(state: Path, *, clock: Clock = utc_now) -> Issuer:
    """The root kept in `state`, made there if it is the first time. Raises `StateError`."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (state / _LOCK_FILE).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two machines may start at once; they must agree on the root
        key_path, root_path = state / _ROOT_KEY_FILE, state / _ROOT_FILE
        if not root_path.exists():
            _write_root(_make_root(clock()), key_path, root_path)
        return _read_root(key_path, root_path)


def root_path(state: Path) -> Path:
    """Where `load_or_create_root` keeps the certificate, in PEM."""
    return state / _ROOT_FILE


def fingerprint(certificate: x509.Certificate) -> bytes:
    """SHA-256 of the certificate in DER: what an agreement pins a root by."""
    return certificate.fingerprint(hashes.SHA256())


def issue_chain(root: Issuer, *, instance_id: str, enclave_id: str, now: datetime) -> Chain:
    """Four new certificates below `root`; the leaf's serial starts with `enclave_id` (16 hex digits)."""
    region_name = f"{secrets.token_hex(8)}.{REGION}.nitro-enclaves"
    zone_name = f"{secrets.token_hex(8)}.zonal.{REGION}.nitro-enclaves"
    region = _issue_ca(root, region_name, path_length=2, lifetime=_REGION_LIFETIME, now=now)
    zone = _issue_ca(region, zone_name, path_length=1, lifetime=_ZONE_LIFETIME, now=now)
    instance_name = f"{instance_id}.{REGION}.nitro-enclaves"
    instance = _issue_ca(zone, instance_name, path_length=0, lifetime=_INSTANCE_LIFETIME, now=now)
    leaf = _issue_leaf(instance, f"{instance_id}-enc{enclave_id}.{REGION}", enclave_id, now)
    return Chain(leaf=leaf, cabundle=(root.der, region.der, zone.der, instance.der))


def _make_root(now: datetime) -> Issuer:
    key = ec.generate_private_key(ec.SECP384R1())
    name = _name(ROOT_NAME)
    builder = _valid(_builder(name, name, key), now, _ROOT_LIFETIME)
    builder = (
        builder.serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_ca_usage(signs_data=True), critical=True)
    )
    return Issuer(builder.sign(key, hashes.SHA384()), key)


def _issue_ca(issuer: Issuer, name: str, *, path_length: int, lifetime: timedelta, now: datetime) -> Issuer:
    key = ec.generate_private_key(ec.SECP384R1())
    builder = _valid(_builder(_name(name), issuer.certificate.subject, key), now, lifetime)
    builder = (
        builder.serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_ca_usage(signs_data=path_length > 0), critical=True)
    )
    if path_length > 0:  # AWS's region and zone point to a revocation list, the instance does not
        builder = builder.add_extension(_revocation_list(), critical=False)
    return Issuer(builder.sign(issuer.key, hashes.SHA384()), key)


def _issue_leaf(issuer: Issuer, name: str, enclave_id: str, now: datetime) -> Issuer:
    """AWS's leaves carry basicConstraints and keyUsage and nothing else: no key identifiers, no names."""
    key = ec.generate_private_key(ec.SECP384R1())
    serial = int(f"{enclave_id}{int(now.timestamp()):016x}", 16)
    builder = _valid(_builder(_name(name), issuer.certificate.subject, key), now, LEAF_LIFETIME)
    builder = builder.serial_number(serial).add_extension(
        x509.BasicConstraints(ca=False, path_length=None), critical=True
    )
    builder = builder.add_extension(_usage(digital_signature=True, content_commitment=True), critical=False)
    return Issuer(builder.sign(issuer.key, hashes.SHA384()), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
    return builder.public_key(key.public_key())


def _valid(builder: x509.CertificateBuilder, now: datetime, lifetime: timedelta) -> x509.CertificateBuilder:
    """From a second before `now`, so that whoever checks with the same clock is never too early."""
    start = now.replace(microsecond=0) - timedelta(seconds=1)
    return builder.not_valid_before(start).not_valid_after(start + lifetime)


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "XX"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "SIMULATED"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _ca_usage(*, signs_data: bool) -> x509.KeyUsage:
    """AWS's instance certificates may sign certificates only; the three above them also data and lists."""
    return _usage(digital_signature=signs_data, key_cert_sign=True, crl_sign=signs_data)


def _usage(
    *,
    digital_signature: bool,
    content_commitment: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=content_commitment,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _revocation_list() -> x509.CRLDistributionPoints:
    """A name that can never resolve (RFC 2606): nothing is published for a simulation."""
    address = x509.UniformResourceIdentifier("http://crl.simulated.invalid/crl/simulated.crl")
    return x509.CRLDistributionPoints([x509.DistributionPoint([address], None, None, None)])


def _write_root(root: Issuer, key_path: Path, certificate_path: Path) -> None:
    pem = root.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    key_path.unlink(missing_ok=True)  # left by a start that was cut short before it wrote the certificate
    with os.fdopen(os.open(key_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
    complete = certificate_path.with_suffix(".new")
    complete.write_bytes(root.certificate.public_bytes(serialization.Encoding.PEM))
    complete.rename(certificate_path)


def _read_root(key_path: Path, certificate_path: Path) -> Issuer:
    try:
        key = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
        certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
    except (OSError, ValueError) as error:
        raise StateError(
            f"{certificate_path.parent}: the simulator's root cannot be read ({type(error).__name__})",
            hint="name another state folder, or remove this one: agreements that pin its root end with it",
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise StateError(f"{certificate_path.parent}: the simulator's root does not fit its key")
    return Issuer(certificate, key)
