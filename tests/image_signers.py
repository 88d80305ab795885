"""Keys and certificates to sign image files with, made from fixed numbers: anybody has them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from enclave_compute.image.eif import Signer

CURVES: Final[dict[str, ec.EllipticCurve]] = {
    "ES256": ec.SECP256R1(),
    "ES384": ec.SECP384R1(),
    "ES512": ec.SECP521R1(),
}


@cache
def signer(algorithm: str = "ES384", *, number: int = 7, name: str = "Example image signer") -> Signer:
    """The signer with this secret number."""
    key = ec.derive_private_key(number, CURVES[algorithm])
    return Signer(key, certificate_of(key, name=name))


def certificate_of(
    key: ec.EllipticCurvePrivateKey, *, name: str = "Example image signer", padding_bytes: int = 0
) -> x509.Certificate:
    """A self-signed certificate of `key`, the same bytes every time."""
    padding = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), bytes(padding_bytes))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2036, 1, 1, tzinfo=UTC))
        .add_extension(padding, critical=False)
        .sign(key, hashes.SHA384(), ecdsa_deterministic=True)
    )


def key_pem(one: Signer) -> bytes:
    """The private key as a file has it."""
    return one.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def certificate_pem(one: Signer) -> bytes:
    """The certificate as a file has it."""
    return one.certificate.public_bytes(Encoding.PEM)
