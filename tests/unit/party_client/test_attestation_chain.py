"""The chain: keys that the generator of vectors cannot make, and the names that refusals get."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from party_client.attestation import TrustedRoots
from party_client.attestation.cbor import MAX_DEPTH, decode_untrusted
from party_client.attestation.chain import verify_chain
from party_client.attestation.errors import (
    CertificateProfileError,
    CertificateTimeError,
    ChainError,
    MalformedCborError,
)
from tests.conformance.nitro.pki import make_chain
from tests.conformance.nitro.signing import AT

CHAIN = make_chain(AT)
ROOTS = TrustedRoots.from_pem(CHAIN.root.pem, name="test")
BUNDLE = tuple(CHAIN.cabundle)
LEAF = CHAIN.leaf.certificate


def with_key(key: rsa.RSAPublicKey | ed25519.Ed25519PublicKey) -> bytes:
    """The leaf with another key, otherwise the same and truly issued."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(LEAF.subject)
        .issuer_name(LEAF.issuer)
        .public_key(key)
        .serial_number(LEAF.serial_number)
        .not_valid_before(LEAF.not_valid_before_utc)
        .not_valid_after(LEAF.not_valid_after_utc)
    )
    for extension in LEAF.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    issued = builder.sign(CHAIN.instance.key, hashes.SHA384())
    return issued.public_bytes(serialization.Encoding.DER)


def test_the_chain_yields_the_leafs_key_and_the_root() -> None:
    verified = verify_chain(CHAIN.leaf.der, BUNDLE, roots=ROOTS, at=AT)
    assert verified.leaf_key == CHAIN.leaf.key.public_key()
    assert verified.root.name == "test"


def test_a_leaf_with_an_rsa_key_is_refused() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    with pytest.raises(CertificateProfileError, match="P-384"):
        verify_chain(with_key(key), BUNDLE, roots=ROOTS, at=AT)


@pytest.mark.parametrize("at", [LEAF.not_valid_before_utc, LEAF.not_valid_after_utc], ids=str)
def test_both_ends_of_the_validity_belong_to_it(at: datetime) -> None:
    verify_chain(CHAIN.leaf.der, BUNDLE, roots=ROOTS, at=at)
    with pytest.raises(ChainError):  # and a gap in the path is not called a matter of time
        verify_chain(CHAIN.leaf.der, (*BUNDLE[:2], BUNDLE[3]), roots=ROOTS, at=at)


def test_outside_of_its_ends_a_certificate_is_not_valid() -> None:
    for at in (
        LEAF.not_valid_before_utc - timedelta(seconds=1),
        LEAF.not_valid_after_utc + timedelta(seconds=1),
    ):
        with pytest.raises(CertificateTimeError, match="valid from"):
            verify_chain(CHAIN.leaf.der, BUNDLE, roots=ROOTS, at=at)


def test_a_root_has_to_be_valid_as_well() -> None:
    short = make_chain(AT, root={"lifetime": timedelta(days=1999)})
    with pytest.raises(CertificateTimeError, match="CN=test"):
        verify_chain(
            short.leaf.der,
            tuple(short.cabundle),
            roots=TrustedRoots.from_pem(short.root.pem, name="short"),
            at=AT,
        )


def test_cbor_is_read_to_a_bounded_depth() -> None:
    assert MAX_DEPTH == 8
    assert decode_untrusted(b"\x81" * 8 + b"\x00", what="item", allow_indefinite=False)
    with pytest.raises(MalformedCborError):
        decode_untrusted(b"\x81" * 9 + b"\x00", what="item", allow_indefinite=False)


def test_unreadable_subject_of_an_expired_leaf_is_a_named_refusal() -> None:
    # Found by fuzzing: names are parsed on first use, which was when the refusal was put into words.
    der = LEAF.public_bytes(serialization.Encoding.DER)
    name = LEAF.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
    damaged = der.replace(str(name).encode(), b"\xff" * len(name))
    with pytest.raises(CertificateTimeError, match="whose subject cannot be read"):
        verify_chain(damaged, BUNDLE, roots=ROOTS, at=AT + timedelta(hours=6))
