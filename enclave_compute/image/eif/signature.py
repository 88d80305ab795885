"""The signature section: who signed PCR0 of an image, with which certificate.

CBOR as AWS's Rust code serialises it: an array of one map with the certificate (PEM) and a COSE_Sign1
message, both as arrays of small integers and not as byte strings; the message signs {"register_index": 0,
"register_value": PCR0} in the same manner, ES256, ES384 or ES512 after the curve of the key.
`verify_untrusted` reads anybody's bytes and guarantees that they are what `Signer.sign` would write around
that certificate and signature, that the signature is by the certificate's key, and that what it signs is
the PCR0 it was given. It says nothing about who the certificate belongs to, or whether it is still valid:
PCR8 names it, and whoever reads PCR8 decides. EIF specification, "EifSectionSignature".
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cbor2
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from enclave_compute.image.eif.errors import ImageSignatureError, SigningKeyError
from enclave_compute.image.eif.limits import MAX_SIGNATURE_BYTES
from protos.formats.canonical import decode_untrusted, encode, require_list
from protos.formats.cose import sig_structure
from protos.formats.errors import FormatError
from protos.formats.wellformed import require_well_formed_untrusted

_WHAT: Final = "signature section"
_CERTIFICATE, _MESSAGE = "signing_certificate", "signature"
_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
_MAX_PEM_BYTES: Final = 64 * 1024
_READ_LATER: Final = ("subject", "issuer", "not_valid_before_utc", "not_valid_after_utc")


@dataclass(frozen=True, slots=True)
class _Algorithm:
    name: str
    protected: bytes
    """The encoding of {1: COSE algorithm}."""
    hash: hashes.HashAlgorithm
    half_bytes: int
    """Of r and of s."""


_BY_CURVE: Final = {
    "secp256r1": _Algorithm("ES256", bytes.fromhex("a10126"), hashes.SHA256(), 32),
    "secp384r1": _Algorithm("ES384", bytes.fromhex("a1013822"), hashes.SHA384(), 48),
    "secp521r1": _Algorithm("ES512", bytes.fromhex("a1013823"), hashes.SHA512(), 66),
}


@dataclass(frozen=True, slots=True)
class ImageSignature:
    """A signature that fits its image; only `verify_untrusted` makes one."""

    certificate: x509.Certificate
    algorithm: str
    """`ES256`, `ES384` or `ES512`."""

    @property
    def certificate_der(self) -> bytes:
        """What PCR8 covers."""
        return self.certificate.public_bytes(serialization.Encoding.DER)


@dataclass(frozen=True, slots=True)
class Signer:
    """A key and its certificate. Signing the same image again gives the same bytes (RFC 6979)."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def __post_init__(self) -> None:
        if _algorithm_of(self.key.public_key()) is None:
            raise SigningKeyError(f"got a key on {self.key.curve.name}, expected P-256, P-384 or P-521")
        if self.certificate.public_key() != self.key.public_key():
            raise SigningKeyError("the certificate is of another key than the private key")

    @classmethod
    def from_pem(cls, key_pem: bytes, certificate_pem: bytes) -> Signer:
        """From an unencrypted private key and one certificate. Raises `SigningKeyError`."""
        try:
            key = serialization.load_pem_private_key(key_pem, password=None)
        except (ValueError, TypeError) as error:
            raise SigningKeyError("the private key is not an unencrypted PEM key") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise SigningKeyError("the private key is not an elliptic-curve key")
        try:
            certificate = _one_certificate(certificate_pem)
        except ImageSignatureError as error:
            raise SigningKeyError(error.message) from error
        return cls(key, certificate)

    @classmethod
    def from_files(cls, key: Path, certificate: Path) -> Signer:
        """From two PEM files. Raises `SigningKeyError`."""
        return cls.from_pem(_pem_file(key), _pem_file(certificate))

    def sign(self, pcr0: bytes) -> bytes:
        """The content of a signature section for the image with this PCR0."""
        algorithm = _BY_CURVE[self.key.curve.name]
        payload = _payload(pcr0)
        signed = sig_structure(algorithm.protected, payload)
        der = self.key.sign(signed, ec.ECDSA(algorithm.hash, deterministic_signing=True))
        raw = b"".join(half.to_bytes(algorithm.half_bytes, "big") for half in decode_dss_signature(der))
        message = encode([algorithm.protected, {}, payload, raw])
        section = _section(self.certificate.public_bytes(serialization.Encoding.PEM), message)
        if len(section) > MAX_SIGNATURE_BYTES:
            raise SigningKeyError(
                f"the certificate makes a signature section of {len(section)} bytes, "
                f"expected at most {MAX_SIGNATURE_BYTES}"
            )
        return section


def verify_untrusted(section: bytes, *, pcr0: bytes) -> ImageSignature:
    """Who signed the image with this PCR0. Raises `ImageSignatureError`."""
    if len(section) > MAX_SIGNATURE_BYTES:
        raise ImageSignatureError(f"got {len(section)} bytes, expected at most {MAX_SIGNATURE_BYTES}")
    try:
        pem, message = _parts_untrusted(section)
        certificate = _one_certificate(pem)
        if certificate.public_bytes(serialization.Encoding.PEM) != pem:  # two readers could find two in it
            raise ImageSignatureError(
                "the certificate is not in plain PEM form: one certificate, lines of 64, no text around it",
                hint="sign the image again, with the certificate as `openssl x509` writes it",
            )
        return _verified(message, certificate, pcr0=pcr0)
    except FormatError as error:
        raise ImageSignatureError(error.message) from error


def _parts_untrusted(section: bytes) -> tuple[bytes, bytes]:
    """(certificate, message), if the section is exactly how they are written."""
    require_well_formed_untrusted(section, what=_WHAT)
    try:
        value = cbor2.CBORDecoder(io.BytesIO(section), allow_duplicate_keys=False).decode()
    except Exception as error:  # cbor2 raises many types on hostile input; one may leave here
        raise ImageSignatureError(f"{_WHAT}: not CBOR ({type(error).__name__})") from error
    if not isinstance(value, list) or len(value) != 1:
        raise ImageSignatureError(f"{_WHAT}: got something else, expected a list of one signature")
    entry = value[0]
    if not isinstance(entry, dict) or entry.keys() != {_CERTIFICATE, _MESSAGE}:
        raise ImageSignatureError(f"{_WHAT}: expected a map of {_CERTIFICATE} and {_MESSAGE}, nothing else")
    pem, message = (_from_numbers(entry[key]) for key in (_CERTIFICATE, _MESSAGE))
    if _section(pem, message) != section:
        raise ImageSignatureError(f"{_WHAT}: written in another way than AWS's tools write it")
    return pem, message


def _verified(message: bytes, certificate: x509.Certificate, *, pcr0: bytes) -> ImageSignature:
    parts = require_list(
        decode_untrusted(message, max_bytes=MAX_SIGNATURE_BYTES, what="COSE_Sign1"),
        what="COSE_Sign1",
        min_items=4,
        max_items=4,
    )
    protected, unprotected, payload, signature = parts
    key = certificate.public_key()
    algorithm = _algorithm_of(key)
    if algorithm is None or not isinstance(key, ec.EllipticCurvePublicKey):
        raise ImageSignatureError("the certificate's key is not on P-256, P-384 or P-521")
    if protected != algorithm.protected or type(unprotected) is not dict or unprotected:
        raise ImageSignatureError(f"the message's headers are not those of {algorithm.name} alone")
    if not isinstance(signature, bytes) or len(signature) != 2 * algorithm.half_bytes:
        raise ImageSignatureError(f"expected a signature of {2 * algorithm.half_bytes} bytes")
    if payload != _payload(pcr0):
        raise ImageSignatureError(f"what is signed is not PCR0 of this image, {pcr0.hex()}")
    halves = (signature[: algorithm.half_bytes], signature[algorithm.half_bytes :])
    try:
        der = encode_dss_signature(*(int.from_bytes(half, "big") for half in halves))
        key.verify(der, sig_structure(protected, payload), ec.ECDSA(algorithm.hash))
    except (InvalidSignature, ValueError) as error:
        raise ImageSignatureError("the signature is not by the key of the certificate beside it") from error
    return ImageSignature(certificate, algorithm.name)


def _algorithm_of(key: Any) -> _Algorithm | None:
    return _BY_CURVE.get(key.curve.name) if isinstance(key, ec.EllipticCurvePublicKey) else None


def _one_certificate(pem: bytes) -> x509.Certificate:
    if pem.count(_BEGIN) != 1:
        raise ImageSignatureError(f"got {pem.count(_BEGIN)} certificates, expected exactly one in PEM form")
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        for field in _READ_LATER:  # are parsed only when they are asked for
            getattr(certificate, field)
        certificate.public_key()
    except Exception as error:  # of many types; one may leave here
        raise ImageSignatureError("the certificate is not an X.509 certificate in PEM form") from error
    return certificate


def _payload(pcr0: bytes) -> bytes:
    return encode({"register_index": 0, "register_value": list(pcr0)})


def _section(pem: bytes, message: bytes) -> bytes:
    """The one way to write it: AWS's order of keys, which is not that of canonical CBOR."""
    head = bytes.fromhex("81a2")
    parts = (_CERTIFICATE, list(pem), _MESSAGE, list(message))
    return head + b"".join(encode(part) for part in parts)


def _from_numbers(value: Any) -> bytes:
    if not isinstance(value, list) or not all(type(item) is int and 0 <= item <= 255 for item in value):
        raise ImageSignatureError(f"{_WHAT}: got something else, expected a list of numbers up to 255")
    return bytes(value)


def _pem_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_PEM_BYTES + 1)
    except OSError as error:
        raise SigningKeyError(f"{path}: cannot be read ({error.strerror})") from error
    if len(data) > _MAX_PEM_BYTES:
        raise SigningKeyError(f"{path}: got more than {_MAX_PEM_BYTES} bytes, expected a PEM file")
    return data
