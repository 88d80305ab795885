"""Certificates for mutual TLS between parties and a coordinator, for development and for one's own machines.

One folder holds a certificate authority (`ca.pem`, `ca.key.pem`) and, for each name, `NAME.pem` and
`NAME.key.pem`; the name is the certificate's common name, by which the coordinator knows its callers.
`coordinator` is the server's. TLS keeps outsiders from the coordinator; what keeps the coordinator from the
data is that it is sealed. In production, use your own authority: nothing else depends on these files.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from party_client import files
from protos.formats.errors import ConcordatError
from protos.formats.identifiers import require_slug

SERVER: Final = "coordinator"
AUTHORITY: Final = "ca"
LOCAL_HOSTS: Final = ("localhost", "127.0.0.1", "::1")
_AUTHORITY_LIFETIME: Final = timedelta(days=10 * 365)
_LIFETIME: Final = timedelta(days=2 * 365)
_BACKDATED: Final = timedelta(days=1)
"""A peer whose clock is behind must not see a certificate from the future."""
_FILE_MAX_BYTES: Final = 64 * 1024
_PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey


class CertificateFolderError(ConcordatError):
    """A TLS folder does not hold what it should, or a name that it cannot."""

    code = "tls/folder"


def make_development_certificates(
    folder: Path, names: Sequence[str], *, hosts: Sequence[str] = (), now: datetime
) -> list[Path]:
    """Writes a certificate and a key for each of `names`; at first, for the authority and the server too.

    `hosts` (names or IP addresses) are added to those of this machine in the server's certificate. Returns
    the files written. Never overwrites: raises `FileExistsAlreadyError` before anything is written.
    """
    is_new = not any(path.exists() for path in _paths(folder, AUTHORITY))
    names = list(dict.fromkeys((SERVER, *names) if is_new else names))
    for name in names:
        if require_slug(name, what="name of a certificate") == AUTHORITY:
            raise CertificateFolderError(f"{AUTHORITY!r} is the name of the authority; choose another")
    files.require_absent(*(path for name in names for path in _paths(folder, name)))
    files.make_folder(folder)
    subject_names = [_subject_name(host) for host in dict.fromkeys((*LOCAL_HOSTS, *hosts))]
    written: list[Path] = []
    if is_new:
        authority, authority_key = _make_authority(now)
        written += _save(folder, AUTHORITY, authority, authority_key)
    else:
        authority, authority_key = _load_authority(folder, now=now)
    for name in names:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(name, key, issuer=authority.subject, lifetime=_LIFETIME, now=now)
        certificate = _leaf(builder, name, subject_names, authority).sign(authority_key, hashes.SHA256())
        written += _save(folder, name, certificate, key)
    return written


def _paths(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / f"{name}.pem", folder / f"{name}.key.pem"


def _make_authority(now: datetime) -> tuple[x509.Certificate, _PrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = "Concordat development authority"
    builder = _builder(name, key, issuer=_subject(name), lifetime=_AUTHORITY_LIFETIME, now=now)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(signs_certificates=True), critical=True)
    return builder.sign(key, hashes.SHA256()), key


def _leaf(
    builder: x509.CertificateBuilder,
    name: str,
    subject_names: list[x509.GeneralName],
    authority: x509.Certificate,
) -> x509.CertificateBuilder:
    is_server = name == SERVER
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if is_server else ExtendedKeyUsageOID.CLIENT_AUTH
    issuer = x509.SubjectKeyIdentifier.from_public_key(authority.public_key())
    builder = (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer), critical=False)
    )
    if is_server:
        builder = builder.add_extension(x509.SubjectAlternativeName(subject_names), critical=False)
    return builder


def _builder(
    name: str, key: _PrivateKey, *, issuer: x509.Name, lifetime: timedelta, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_subject(name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _subject_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return x509.DNSName(host)
    except ValueError as error:
        raise CertificateFolderError(f"host {host[:100]!r}: expected an IP address or a DNS name") from error


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _save(folder: Path, name: str, certificate: x509.Certificate, key: _PrivateKey) -> tuple[Path, Path]:
    certificate_path, key_path = _paths(folder, name)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    files.create(key_path, pem)
    files.create(certificate_path, certificate.public_bytes(serialization.Encoding.PEM), mode=files.PUBLIC)
    return certificate_path, key_path


def _load_authority(folder: Path, *, now: datetime) -> tuple[x509.Certificate, _PrivateKey]:
    certificate_path, key_path = _paths(folder, AUTHORITY)
    pem = files.read(certificate_path, max_bytes=_FILE_MAX_BYTES, private=False)
    key_pem = files.read(key_path, max_bytes=_FILE_MAX_BYTES, private=True)
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        key = serialization.load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError) as error:
        raise CertificateFolderError(
            f"{folder}: {certificate_path.name} and {key_path.name} are not the authority made here",
            hint="use an empty folder",
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise CertificateFolderError(f"{folder}: {key_path.name} is not the key of {certificate_path.name}")
    if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
        raise CertificateFolderError(
            f"{folder}: the authority is valid from {certificate.not_valid_before_utc:%Y-%m-%d} to "
            f"{certificate.not_valid_after_utc:%Y-%m-%d}; this computer's clock says {now:%Y-%m-%d}",
            hint="set the clock, or make new certificates in an empty folder",
        )
    return certificate, key
