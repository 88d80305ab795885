"""Simulated documents have AWS's shape, and a chain that verifies under their own root and no other."""

from __future__ import annotations

import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store, VerificationError

from scenarios.machine.documents import DocumentSigner, ModuleId
from scenarios.machine.errors import StateError
from scenarios.machine.pki import Issuer, fingerprint, load_or_create_root, root_path

START = datetime(2026, 11, 23, 12, 0, 0, 500_000, tzinfo=UTC)
MODULE = ModuleId("i-0123456789abcdef0", "7fedcba987654321")
PCRS = {0: b"\x01" * 48, 1: b"\x02" * 48, 16: b"\x03" * 48}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    return load_or_create_root(Path(tmp_path_factory.mktemp("state")), clock=lambda: START)


@pytest.fixture(scope="module")
def document(root: Issuer) -> bytes:
    return DocumentSigner(root, MODULE, clock=lambda: START).sign(PCRS, nonce=b"n" * 32, user_data=b"")


def payload_of(document: bytes) -> dict[str, Any]:
    payload: dict[str, Any] = cbor2.loads(cbor2.loads(document)[2])
    return payload


def certificates_of(document: bytes) -> list[x509.Certificate]:
    """Leaf, instance, zone, region, root."""
    payload = payload_of(document)
    bundle = [payload["certificate"], *reversed(payload["cabundle"])]
    return [x509.load_der_x509_certificate(certificate) for certificate in bundle]


def verify_chain(document: bytes, trusted: x509.Certificate, at: datetime) -> list[x509.Certificate]:
    leaf, *rest = certificates_of(document)
    verifier = (
        PolicyBuilder()
        .store(Store([trusted]))
        .time(at)
        .max_chain_depth(3)
        .extension_policies(
            ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=ExtensionPolicy.permit_all()
        )
        .build_client_verifier()
    )
    return list(verifier.verify(leaf, rest[:-1]).chain)


def test_the_message_has_the_bytes_of_a_genuine_one(document: bytes) -> None:
    assert document.startswith(bytes.fromhex("8444a1013822a059"))
    _, _, payload, signature = cbor2.loads(document)
    assert (payload[:1], payload[-1:]) == (b"\xbf", b"\xff")
    assert len(signature) == 96
    assert len(document) < 12 * 1024


def test_the_payload_has_the_fields_in_order_and_null_for_what_is_absent(document: bytes) -> None:
    payload = payload_of(document)
    assert ", ".join(payload) == (
        "module_id, digest, timestamp, pcrs, certificate, cabundle, public_key, user_data, nonce"
    )
    assert payload["module_id"] == "i-0123456789abcdef0-enc7fedcba987654321"
    assert payload["digest"] == "SHA384"
    assert payload["timestamp"] == int(START.timestamp() * 1000)
    assert payload["pcrs"] == PCRS
    assert (payload["public_key"], payload["user_data"], payload["nonce"]) == (None, b"", b"n" * 32)


def test_the_signature_is_the_leafs_over_the_raw_payload(document: bytes) -> None:
    protected, _, payload, signature = cbor2.loads(document)
    signed = cbor2.dumps(["Signature1", protected, b"", payload])
    der = encode_dss_signature(int.from_bytes(signature[:48], "big"), int.from_bytes(signature[48:], "big"))
    key = certificates_of(document)[0].public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(der, signed, ec.ECDSA(hashes.SHA384()))


def test_the_chain_verifies_to_its_root_and_to_no_other(
    document: bytes, root: Issuer, tmp_path: Path
) -> None:
    assert len(verify_chain(document, root.certificate, START)) == 5
    other = load_or_create_root(tmp_path, clock=lambda: START)
    with pytest.raises(VerificationError):
        verify_chain(document, other.certificate, START)


def test_the_chain_ends_with_its_leaf_after_three_hours_and_three_seconds(
    document: bytes, root: Issuer
) -> None:
    leaf = certificates_of(document)[0]
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == timedelta(hours=3, seconds=3)
    verify_chain(document, root.certificate, leaf.not_valid_after_utc)
    with pytest.raises(VerificationError):
        verify_chain(document, root.certificate, leaf.not_valid_after_utc + timedelta(seconds=1))


def test_all_keys_are_p384_and_all_signatures_ecdsa_with_sha384(document: bytes) -> None:
    for certificate in certificates_of(document):
        key = certificate.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert key.curve.name == "secp384r1"
        assert certificate.signature_algorithm_oid == x509.SignatureAlgorithmOID.ECDSA_WITH_SHA384


def test_names_constraints_and_lifetimes_are_those_of_the_profile(document: bytes) -> None:
    leaf, instance, zone, region, root = certificates_of(document)
    names = [
        certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
        for certificate in (leaf, instance, zone, region, root)
    ]
    assert names[0] == "i-0123456789abcdef0-enc7fedcba987654321.local.simulated"
    assert names[1] == "i-0123456789abcdef0.local.simulated.nitro-enclaves"
    assert str(names[2]).endswith(".zonal.local.simulated.nitro-enclaves")
    assert str(names[3]).endswith(".local.simulated.nitro-enclaves")
    assert names[4] == "simulated.nitro-enclaves"
    constraints = [
        certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        for certificate in (leaf, instance, zone, region, root)
    ]
    assert [(constraint.ca, constraint.path_length) for constraint in constraints] == [
        (False, None),
        (True, 0),
        (True, 1),
        (True, 2),
        (True, None),
    ]
    lifetimes = [
        certificate.not_valid_after_utc - certificate.not_valid_before_utc
        for certificate in (instance, zone, region)
    ]
    assert lifetimes == [timedelta(hours=24), timedelta(hours=140), timedelta(hours=481)]
    assert f"{leaf.serial_number:032x}".startswith("7fedcba987654321")
    assert [extension.oid for extension in leaf.extensions] == [
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
    ]


def test_every_certificate_says_that_it_is_simulated(document: bytes) -> None:
    for certificate in certificates_of(document):
        assert "Concordat SIMULATED" in certificate.subject.rfc4514_string()
        assert "Amazon" not in certificate.subject.rfc4514_string()


def test_the_chain_is_renewed_while_38_minutes_are_left_and_the_module_id_stays(root: Issuer) -> None:
    now = START
    signer = DocumentSigner(root, MODULE, clock=lambda: now)
    first = payload_of(signer.sign(PCRS))
    now = START + timedelta(hours=2, minutes=20)
    assert payload_of(signer.sign(PCRS))["certificate"] == first["certificate"]
    now = START + timedelta(hours=2, minutes=23)
    renewed = signer.sign(PCRS)
    assert payload_of(renewed)["certificate"] != first["certificate"]
    assert payload_of(renewed)["module_id"] == first["module_id"]
    verify_chain(renewed, root.certificate, now)


def test_a_random_module_id_has_aws_shape_and_a_positive_serial() -> None:
    for _ in range(20):
        instance, enclave = str(ModuleId.random()).split("-enc")
        assert len(instance) == len("i-") + 17
        assert len(enclave) == 16
        assert enclave.startswith("0")
        int(enclave, 16)


def test_the_root_is_kept_and_its_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    state = tmp_path / "new" / "state"
    first = load_or_create_root(state)
    assert fingerprint(load_or_create_root(state).certificate) == fingerprint(first.certificate)
    assert stat.S_IMODE((state / "root.key.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert x509.load_pem_x509_certificate(root_path(state).read_bytes()) == first.certificate


def test_machines_that_start_together_agree_on_the_root(tmp_path: Path) -> None:
    found: list[bytes] = []
    starts = [
        threading.Thread(target=lambda: found.append(fingerprint(load_or_create_root(tmp_path).certificate)))
        for _ in range(8)
    ]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_a_damaged_root_is_refused_and_not_replaced(tmp_path: Path) -> None:
    load_or_create_root(tmp_path)
    other = load_or_create_root(tmp_path / "other")
    root_path(tmp_path).write_bytes(other.certificate.public_bytes(Encoding.PEM))
    with pytest.raises(StateError, match="does not fit its key"):
        load_or_create_root(tmp_path)
    root_path(tmp_path).write_text("not a certificate")
    with pytest.raises(StateError, match="cannot be read"):
        load_or_create_root(tmp_path)
    assert root_path(tmp_path).read_text() == "not a certificate"


def test_a_start_cut_short_before_the_certificate_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "root.key.pem").write_text("half a key")
    (tmp_path / "root.key.pem").chmod(0o400)
    load_or_create_root(tmp_path)
