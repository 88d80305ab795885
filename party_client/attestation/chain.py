"""Whether the leaf certificate was issued under a trusted root, at a stated instant (step 4).

Reads the certificates of a document. The path is built and judged by the verifier of `cryptography`
(signatures, validity, basic constraints, path lengths, key usage of authorities); what is added here is what
the Nitro PKI promises beyond that. `cabundle[0]` is ignored: the root is ours or nothing is.
Followed: RFC 5280 section 6, AWS "attestation_process.md" section 3.2.3.

Left out on purpose: revocation lists. AWS's procedure disables them, they would need the network, and the
leaf lives three hours; a bad release is withdrawn by agreeing on another one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, EllipticCurvePublicKey
from cryptography.x509.oid import SignatureAlgorithmOID
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store

from party_client.attestation.errors import (
    AttestationError,
    CertificateMalformedError,
    CertificateProfileError,
    CertificateTimeError,
    ChainError,
    ChainOrderError,
    UntrustedRootError,
)
from party_client.attestation.roots import TrustedRoot, TrustedRoots

MAX_INTERMEDIATES: Final = 3
"""Region, zone, instance."""
_TIME: Final = "%Y-%m-%d %H:%M:%S UTC"


@dataclass(frozen=True, slots=True)
class VerifiedChain:
    """What a valid path yields: the key that signs documents, and the root that vouches for it."""

    leaf_key: EllipticCurvePublicKey
    root: TrustedRoot


def verify_chain(
    leaf_der: bytes, cabundle: tuple[bytes, ...], *, roots: TrustedRoots, at: datetime
) -> VerifiedChain:
    """The chain from `leaf_der` over `cabundle[1:]` (root first) to one of `roots`, valid at an aware time.

    Raises `CertificateMalformedError`, `UntrustedRootError`, `CertificateTimeError`, `ChainError` or one of
    its subclasses.
    """
    leaf = load_certificate_untrusted(leaf_der, "certificate")
    intermediates = [
        load_certificate_untrusted(der, f"cabundle[{position}]")
        for position, der in enumerate(cabundle)
        if position
    ]
    path = _path(leaf, intermediates, roots, at)
    if path[1:-1] != intermediates[::-1]:
        raise ChainOrderError(
            "cabundle: got certificates out of order or unused, expected the path from the root down"
        )
    try:
        keys = [_require_p384_and_sha384(certificate) for certificate in path]
        _require_leaf_profile(leaf)
    except AttestationError:
        raise
    except Exception as error:  # extensions and keys are parsed on first use
        raise CertificateMalformedError(f"a certificate cannot be read ({type(error).__name__})") from error
    return VerifiedChain(leaf_key=keys[0], root=roots.holding(path[-1]))


def load_certificate_untrusted(der: bytes, what: str) -> x509.Certificate:
    """The certificate in `der`. Raises `CertificateMalformedError` naming `what`."""
    try:
        return x509.load_der_x509_certificate(der)
    except Exception as error:  # ValueError, UnsupportedAlgorithm, and warnings where they are errors
        raise CertificateMalformedError(
            f"{what}: not an X.509 certificate ({type(error).__name__})"
        ) from error


def _path(
    leaf: x509.Certificate, intermediates: list[x509.Certificate], roots: TrustedRoots, at: datetime
) -> list[x509.Certificate]:
    """Leaf first, root last."""
    # The Web PKI's rules for leaves would refuse every Nitro leaf (no AuthorityKeyIdentifier, no name in a
    # subjectAltName). Ours stand in `_require_leaf_profile`; its rules for authorities hold as they are.
    verifier = (
        PolicyBuilder()
        .store(Store([root.certificate for root in roots]))
        .time(at)
        .max_chain_depth(MAX_INTERMEDIATES)
        .extension_policies(
            ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=ExtensionPolicy.permit_all()
        )
        .build_client_verifier()
    )
    try:
        return verifier.verify(leaf, intermediates).chain
    except Exception as error:  # VerificationError, and ValueError for certificates it cannot read
        raise _named(leaf, intermediates, roots, at, error) from error


def _named(
    leaf: x509.Certificate,
    intermediates: list[x509.Certificate],
    roots: TrustedRoots,
    at: datetime,
    refusal: Exception,
) -> AttestationError:
    """The name of a refusal that has already been decided; a wrong root comes before a wrong time."""
    top = intermediates[0] if intermediates else leaf
    issuers = [root.certificate for root in roots if _issued(root.certificate, top)]
    if not issuers:
        names = ", ".join(root.name for root in roots)
        return UntrustedRootError(
            f"certificate chain: not issued under any trusted root, expected one of: {names}"
        )
    for certificate in (leaf, *intermediates, *issuers):
        if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
            return CertificateTimeError(
                f"{_titled(certificate)} is valid from {certificate.not_valid_before_utc:{_TIME}} to "
                f"{certificate.not_valid_after_utc:{_TIME}}, expected to hold at {at:{_TIME}}"
            )
    return ChainError(f"certificate chain: no valid path to the root ({str(refusal)!r:.160})")


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:  # a bad name, algorithm or signature; which of them does not matter here
        return False
    return True


def _titled(certificate: x509.Certificate) -> str:
    try:
        return f"certificate {certificate.subject.rfc4514_string()!r:.120}"
    except ValueError:  # names are parsed on first use, and this one may be the reason for the refusal
        return "a certificate whose subject cannot be read"


def _require_p384_and_sha384(certificate: x509.Certificate) -> EllipticCurvePublicKey:
    key = certificate.public_key()
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP384R1):
        raise CertificateProfileError(f"{_titled(certificate)}: got another key than P-384")
    if certificate.signature_algorithm_oid != SignatureAlgorithmOID.ECDSA_WITH_SHA384:
        raise CertificateProfileError(f"{_titled(certificate)}: got another signature than ecdsa-with-SHA384")
    return key


def _require_leaf_profile(leaf: x509.Certificate) -> None:
    """Not an authority, and may sign: what `permit_all` leaves open for leaves."""
    try:
        constraints = leaf.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound as error:
        raise CertificateProfileError("leaf certificate: got no basicConstraints or no keyUsage") from error
    if constraints.ca:
        raise CertificateProfileError("leaf certificate: got a certificate authority, expected CA:FALSE")
    if not usage.digital_signature or usage.key_cert_sign:
        raise CertificateProfileError("leaf certificate: got another key usage than digitalSignature")
