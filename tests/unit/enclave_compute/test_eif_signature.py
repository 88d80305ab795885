"""The signature section: whatever is not AWS's form, not this image or by this key is refused."""

from __future__ import annotations

import base64
import textwrap
from pathlib import Path

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from enclave_compute.image.eif import ImageSignatureError, Signer, SigningKeyError
from enclave_compute.image.eif.signature import verify_untrusted
from tests.eif_files import signature_section
from tests.image_signers import CURVES, certificate_of, certificate_pem, key_pem, signer

PCR0 = bytes(range(48))


def message_of(section: bytes) -> list[object]:
    (entry,) = cbor2.loads(section)
    parts = cbor2.loads(bytes(entry["signature"]))
    assert isinstance(parts, list)
    return parts


def refused(section: bytes, message: str, *, pcr0: bytes = PCR0) -> None:
    with pytest.raises(ImageSignatureError) as caught:
        verify_untrusted(section, pcr0=pcr0)
    assert message in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("algorithm", CURVES)
def test_what_is_signed_is_verified(algorithm: str) -> None:
    section = signer(algorithm).sign(PCR0)
    found = verify_untrusted(section, pcr0=PCR0)
    assert (found.algorithm, found.certificate) == (algorithm, signer(algorithm).certificate)
    protected, unprotected, payload, _ = message_of(section)
    assert protected == cbor2.dumps({1: {"ES256": -7, "ES384": -35, "ES512": -36}[algorithm]})
    assert unprotected == {}
    assert payload == cbor2.dumps({"register_index": 0, "register_value": list(PCR0)})
    assert section == signature_section(certificate_pem(signer(algorithm)), cbor2.dumps(message_of(section)))


def test_another_image_is_refused() -> None:
    refused(signer().sign(PCR0), "not PCR0 of this image", pcr0=bytes(48))


def test_another_key_is_refused() -> None:
    message = cbor2.dumps(message_of(signer(number=8).sign(PCR0)))
    refused(
        signature_section(certificate_pem(signer(number=7)), message), "not by the key of the certificate"
    )


def test_a_key_of_another_curve_is_refused() -> None:
    message = cbor2.dumps(message_of(signer("ES256").sign(PCR0)))
    refused(signature_section(certificate_pem(signer("ES384")), message), "not those of ES384")


def test_another_register_is_refused() -> None:
    protected, unprotected, _, signature = message_of(signer().sign(PCR0))
    payload = cbor2.dumps({"register_index": 8, "register_value": list(PCR0)})
    message = cbor2.dumps([protected, unprotected, payload, signature])
    refused(signature_section(certificate_pem(signer()), message), "not PCR0 of this image")


def test_headers_and_lengths_are_exact() -> None:
    protected, _, payload, signature = message_of(signer().sign(PCR0))
    pem = certificate_pem(signer())
    assert isinstance(signature, bytes)
    for parts, message in (
        ([protected, {"a": 1}, payload, signature], "headers are not those"),
        ([b"", {}, payload, signature], "headers are not those"),
        ([protected, {}, payload, signature[:-1]], "expected a signature of 96 bytes"),
        ([protected, {}, payload, signature.hex()], "expected a signature of 96 bytes"),
        ([protected, {}, payload, bytes(96)], "not by the key"),
        ([protected, {}, payload], "COSE_Sign1"),
    ):
        refused(signature_section(pem, cbor2.dumps(parts)), message)
    tagged = cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, signature]))
    refused(signature_section(pem, tagged), "tag")


def test_the_section_has_one_form() -> None:
    section = signer().sign(PCR0)
    (entry,) = cbor2.loads(section)
    as_bytes = {key: bytes(value) for key, value in entry.items()}
    turned = dict(reversed(entry.items()))
    for value, message in (
        ([as_bytes], "expected a list of numbers"),
        ([turned], "written in another way"),
        ([entry, entry], "a list of one signature"),
        ([], "a list of one signature"),
        ({"a": entry}, "a list of one signature"),
        ([{**entry, "more": 1}], "nothing else"),
        ([{**entry, "signature": [256]}], "numbers up to 255"),
        ([{**entry, "signature": [-1]}], "numbers up to 255"),
        ([{**entry, "signature": [True]}], "numbers up to 255"),
        ([1], "nothing else"),
    ):
        refused(cbor2.dumps(value), message)
    refused(section + b"\x00", "bytes after the value")
    refused(section[:-1], "ends in the middle")
    refused(b"\x9f" + section[1:] + b"\xff", "signature section")
    refused(b"\x81" * 40000, "expected at most 32768")


def test_certificates_that_cannot_be_used_are_refused() -> None:
    message = cbor2.dumps(message_of(signer().sign(PCR0)))
    pem = certificate_pem(signer())
    refused(signature_section(pem + pem, message), "got 2 certificates")
    refused(signature_section(b"", message), "got 0 certificates")
    for around in (b"text\n" + pem, pem + b"\n", pem.replace(b"\n", b"\r\n"), pem[:-1]):
        refused(signature_section(around, message), "not in plain PEM form")
    refused(
        signature_section(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", message),
        "not an X.509 certificate",
    )
    curve = bytes.fromhex("06052b81040022")  # P-384
    unknown = signer().certificate.public_bytes(Encoding.DER).replace(curve, curve[:-1] + b"\x7f")
    lines = textwrap.wrap(base64.b64encode(unknown).decode(), 64)
    armoured = "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""])
    refused(signature_section(armoured.encode(), message), "not an X.509 certificate")
    other = certificate_of(ec.derive_private_key(7, ec.SECP256K1()))
    refused(signature_section(other.public_bytes(Encoding.PEM), message), "not on P-256, P-384 or P-521")


def no_signer(key: bytes, certificate: bytes, message: str) -> None:
    with pytest.raises(SigningKeyError) as caught:
        Signer.from_pem(key, certificate)
    assert message in caught.value.message
    assert caught.value.hint


def test_keys_and_certificates_belong_together() -> None:
    one, another = signer(number=7), signer(number=8)
    assert Signer.from_pem(key_pem(one), certificate_pem(one)).sign(PCR0) == one.sign(PCR0)
    no_signer(key_pem(one), certificate_pem(another), "of another key")
    no_signer(b"no key", certificate_pem(one), "not an unencrypted PEM key")
    no_signer(key_pem(one), key_pem(one), "got 0 certificates")
    with_text = Signer.from_pem(key_pem(one), b"text\n" + certificate_pem(one))
    assert with_text.sign(PCR0) == one.sign(PCR0)
    locked = one.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    no_signer(locked, certificate_pem(one), "not an unencrypted PEM key")
    edwards = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
    no_signer(
        edwards.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        certificate_pem(one),
        "not an elliptic-curve key",
    )
    koblitz = ec.derive_private_key(7, ec.SECP256K1())
    with pytest.raises(SigningKeyError, match="got a key on secp256k1"):
        Signer(koblitz, certificate_of(koblitz))


def test_files_that_are_no_pem_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(key_pem(signer()))
    (tmp_path / "certificate").write_bytes(certificate_pem(signer()))
    (tmp_path / "large").write_bytes(bytes(70_000))
    read = Signer.from_files(tmp_path / "key", tmp_path / "certificate")
    assert read.sign(PCR0) == signer().sign(PCR0)
    with pytest.raises(SigningKeyError, match="cannot be read"):
        Signer.from_files(tmp_path / "absent", tmp_path / "certificate")
    with pytest.raises(SigningKeyError, match="got more than 65536 bytes"):
        Signer.from_files(tmp_path / "key", tmp_path / "large")


def test_a_certificate_that_makes_the_section_too_large_is_refused() -> None:
    key = signer().key
    with pytest.raises(SigningKeyError, match="expected at most 32768"):
        Signer(key, certificate_of(key, padding_bytes=20_000)).sign(PCR0)
