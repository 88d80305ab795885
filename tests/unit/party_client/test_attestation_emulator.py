"""The emulator's unsigned documents: taken when asked for by their unsafe name, and then nothing else is."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import Any

import cbor2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from party_client.attestation import (
    AllOf,
    AllowDebugUnsafe,
    AllowedReleases,
    AnyMeasurementUnsafe,
    AttestationError,
    EmulatorUnsafe,
    TrustedRoots,
    VerifiedAttestation,
    VerifiedEnclave,
    explain,
    verify_enclave,
    verify_now,
    verify_replay,
)
from party_client.attestation import errors as refused
from party_client.attestation.emulator import PLACEHOLDER, require_fitting, require_unmixed
from protos.formats import hpke
from protos.formats.binding import KeyBundle, attestation_user_data
from protos.formats.participants import Release
from protos.release.roots import UNSIGNED_EMULATOR_SHA256
from tests.conformance.nitro.emulated import (
    NOTHING,
    UNSIGNED,
    emulated_bank,
    emulated_document,
    emulated_payload,
    wrapped,
)
from tests.conformance.nitro.pki import INSTANCE, MODULE_ID, make_chain
from tests.conformance.nitro.signing import AT as SIGNED_AT
from tests.conformance.nitro.signing import document, encode_map, fields, pcr, pcr_bank, sign

AT = SIGNED_AT.replace(microsecond=0)
CHAIN = make_chain(SIGNED_AT)
ROOTS = TrustedRoots.from_pem(CHAIN.root.pem, name="test")
NONCE = bytes(range(32))
AGREEMENT = hashlib.sha384(b"an agreement").digest()
BUNDLE = KeyBundle(
    enclave_id=bytes(range(16)), hpke_public_key=bytes(hpke.PUBLIC_KEY_BYTES), signing_key=bytes(range(32))
)
PCR16 = hashlib.sha384(bytes(48) + AGREEMENT).digest()
EMULATED = Release("1.0", pcr("code 0"), pcr("code 1"), pcr("code 2"), UNSIGNED_EMULATOR_SHA256)
REAL = replace(EMULATED, name="real", root_sha256=next(iter(TrustedRoots.aws())).sha256)
LENIENT = AllOf([AnyMeasurementUnsafe(), AllowDebugUnsafe()])
EXPECTED: dict[str, Any] = {
    "pcrs": emulated_bank(pcr16=PCR16),
    "user_data": attestation_user_data(AGREEMENT, BUNDLE.encode(), BUNDLE.enclave_id),
    "nonce": NONCE,
}
DOCUMENT = emulated_document(AT, **EXPECTED)
TICK = timedelta(milliseconds=1)


def attested(**changes: Any) -> bytes:
    """What the emulator says of the agreed enclave, but for `changes`."""
    return emulated_document(AT, **(EXPECTED | changes))


def verify(data: bytes = DOCUMENT, bundle: bytes = BUNDLE.encode(), **changes: Any) -> VerifiedEnclave:
    usual: dict[str, Any] = {
        "roots": EmulatorUnsafe(),
        "nonce": NONCE,
        "agreement_digest": AGREEMENT,
        "releases": [EMULATED],
        "now": AT,
    }
    return verify_enclave(data, bundle, **(usual | changes))


def replay(data: bytes) -> VerifiedAttestation:
    return verify_replay(data, roots=EmulatorUnsafe(), policy=LENIENT)


def test_the_document_is_to_the_byte_what_the_emulator_writes() -> None:
    head = bytes.fromhex("8443a10120a059")
    assert DOCUMENT.startswith(head)
    payload = DOCUMENT[len(head) + 2 : -66]
    assert DOCUMENT[len(head) : len(head) + 2] == len(payload).to_bytes(2)
    assert DOCUMENT.endswith(b"\x58\x40" + bytes(64))
    assert payload.startswith(b"\xa9\x69module_id")
    milliseconds = (int(AT.timestamp()) * 1000).to_bytes(8)
    assert b"\x69timestamp\x1b" + milliseconds + b"\x64pcrs\xb1\x00\x58\x30" in payload
    assert b"\x6bcertificate\x58\x40" + bytes(64) + b"\x68cabundle\x81\x58\x40" + bytes(64) in payload
    assert b"\x6apublic_key\xf6" in payload


def test_it_is_taken_when_asked_for_by_its_unsafe_name_and_says_what_it_is() -> None:
    enclave = verify()
    attestation = enclave.attestation
    assert attestation.is_unsigned_emulator
    assert (attestation.root.name, attestation.root.is_aws) == ("UNSIGNED EMULATOR", False)
    assert not attestation.root.is_simulated
    assert attestation.root.sha256 == hashlib.sha256(PLACEHOLDER).digest() == UNSIGNED_EMULATOR_SHA256
    assert (attestation.how, attestation.nonce_compared) == ("live", True)
    assert (enclave.release_name, enclave.keys, attestation.document.module_id) == ("1.0", BUNDLE, MODULE_ID)
    assert not verify_replay(document(CHAIN, AT), roots=ROOTS, policy=LENIENT).is_unsigned_emulator


def test_the_emulators_own_module_id_is_one_of_an_enclave() -> None:
    assert replay(attested(module_id="i-234-enc5678")).document.instance_id == "i-234"


def test_an_archived_one_is_taken_at_its_own_time_and_says_so() -> None:
    replayed = replay(DOCUMENT)
    assert (replayed.how, replayed.verified_at, replayed.nonce_compared) == ("replay", AT, False)
    assert replayed.is_unsigned_emulator


# Whatever stands in place of signature and certificates is the placeholder, and nothing but.

SIGNED = document(CHAIN, AT, **(EXPECTED | {"pcrs": pcr_bank(pcr16=PCR16)}))
PAYLOAD = emulated_payload(AT, **EXPECTED)
DEVIATIONS: dict[str, bytes] = {
    "really signed": SIGNED,
    "really signed, tag 18": b"\xd2" + SIGNED,
    "signed in the emulator's fields": sign(CHAIN.leaf, PAYLOAD),
    "the header says ES384": wrapped(PAYLOAD, protected=bytes.fromhex("a1013822")),
    "the header says ES256": wrapped(PAYLOAD, protected=bytes.fromhex("a10126")),
    "the header is empty": wrapped(PAYLOAD, protected=b""),
    "the header is an empty map": wrapped(PAYLOAD, protected=b"\xa0"),
    "the header says -1 at length": wrapped(PAYLOAD, protected=bytes.fromhex("a1013800")),
    "the header says more": wrapped(PAYLOAD, protected=bytes.fromhex("a201200240")),
    "an unprotected header": wrapped(PAYLOAD, unprotected={1: -1}),
    "no signature": wrapped(PAYLOAD, signature=b""),
    "a signature one byte short": wrapped(PAYLOAD, signature=bytes(63)),
    "a signature of ES384's size": wrapped(PAYLOAD, signature=bytes(96)),
    "a signature that is not zero": wrapped(PAYLOAD, signature=bytes(63) + b"\x01"),
    "certificate one byte short": attested(certificate=bytes(63)),
    "certificate one byte long": attested(certificate=bytes(65)),
    "certificate not zero": attested(certificate=b"\x01" + bytes(63)),
    "a real certificate": attested(certificate=CHAIN.leaf.der),
    "a real chain": attested(cabundle=CHAIN.cabundle),
    "a real chain and certificate": attested(certificate=CHAIN.leaf.der, cabundle=CHAIN.cabundle),
    "two entries of zeros": attested(cabundle=[NOTHING, NOTHING]),
    "zeros in two halves": attested(cabundle=[bytes(32), bytes(32)]),
    "an entry that is not zero": attested(cabundle=[bytes(63) + b"\x01"]),
    "tag 18": b"\xd2" + DOCUMENT,
    "a byte more": DOCUMENT + b"\x00",
    "a byte less": DOCUMENT[:-1],
    "two documents": DOCUMENT + DOCUMENT,
    "five elements": cbor2.dumps([UNSIGNED, {}, PAYLOAD, NOTHING, NOTHING]),
    "an array of indefinite length": b"\x9f" + DOCUMENT[1:] + b"\xff",
    "a length in more bytes than it needs": DOCUMENT.replace(b"\x43" + UNSIGNED, b"\x58\x03" + UNSIGNED),
    "an unprotected header that is no map": cbor2.dumps([UNSIGNED, [], PAYLOAD, NOTHING]),
    "empty": b"",
    "longer than an NSM can answer": DOCUMENT + bytes(12 * 1024),
}


@pytest.mark.parametrize("name", DEVIATIONS)
def test_anything_but_the_placeholder_is_refused(name: str) -> None:
    with pytest.raises(AttestationError):
        replay(DEVIATIONS[name])
    with pytest.raises(AttestationError):
        verify(DEVIATIONS[name])


@pytest.mark.parametrize("name", ["really signed", "signed in the emulator's fields", "a real chain"])
def test_the_refusal_of_what_is_signed_says_where_it_belongs(name: str) -> None:
    with pytest.raises(refused.NotTheEmulatorsError) as refusal:
        replay(DEVIATIONS[name])
    assert "without --unsafe-emulator" in (refusal.value.hint or "")
    assert "expected" in refusal.value.message


@pytest.mark.parametrize(
    ("name", "error", "told"),
    [
        ("empty", refused.DocumentSizeError, "0 bytes"),
        ("longer than an NSM can answer", refused.DocumentSizeError, "expected 1 to 12288"),
        ("a byte more", refused.TrailingBytesError, "1 bytes"),
        ("tag 18", refused.TagError, "tag 18"),
        ("the header says ES384", refused.NotTheEmulatorsError, "protected header: got h'a1013822'"),
        ("no signature", refused.NotTheEmulatorsError, "signature: got h''"),
        ("an unprotected header", refused.NotTheEmulatorsError, "1 unprotected header fields"),
        ("certificate not zero", refused.NotTheEmulatorsError, "certificate: got h'01"),
        ("two entries of zeros", refused.NotTheEmulatorsError, "cabundle: got 2 entries"),
    ],
)
def test_the_refusal_says_which_part_differs(name: str, error: type[AttestationError], told: str) -> None:
    with pytest.raises(error) as refusal:
        replay(DEVIATIONS[name])
    assert told in refusal.value.message


@given(position=st.integers(0, len(DOCUMENT) - 1), mask=st.integers(1, 255))
@example(position=len(DOCUMENT) - 1, mask=1)
def test_no_byte_of_the_placeholder_can_be_changed(position: int, mask: int) -> None:
    changed = DOCUMENT[:position] + bytes([DOCUMENT[position] ^ mask]) + DOCUMENT[position + 1 :]
    try:
        taken = replay(changed).document
    except AttestationError:
        return
    # What is left is a statement that anybody may write; around it everything is as it was.
    assert (taken.certificate, taken.cabundle) == (PLACEHOLDER, (PLACEHOLDER,))
    assert cbor2.loads(changed)[2] != PAYLOAD
    assert changed == wrapped(cbor2.loads(changed)[2])


@given(
    protected=st.sampled_from([UNSIGNED, b"\xa1\x01\x38\x22", b"\xa0"]) | st.binary(max_size=8),
    signature=st.sampled_from([NOTHING, bytes(96), bytes(32)]) | st.binary(max_size=96),
    certificate=st.sampled_from([NOTHING, bytes(32)]) | st.binary(min_size=1, max_size=80),
    cabundle=st.lists(st.sampled_from([NOTHING, bytes(32)]) | st.binary(min_size=1, max_size=80), max_size=4),
)
@example(protected=UNSIGNED, signature=NOTHING, certificate=NOTHING, cabundle=[NOTHING])
def test_nothing_passes_but_the_placeholder(
    protected: bytes, signature: bytes, certificate: bytes, cabundle: list[bytes]
) -> None:
    payload = emulated_payload(AT, **(EXPECTED | {"certificate": certificate, "cabundle": cabundle}))
    data = wrapped(payload, protected=protected, signature=signature)
    exact = (UNSIGNED, NOTHING, NOTHING, [NOTHING])
    if (protected, signature, certificate, cabundle) == exact:
        replay(data)
    else:
        with pytest.raises(AttestationError):
            replay(data)
    with pytest.raises(AttestationError):
        verify_replay(data, roots=ROOTS, policy=LENIENT)


@given(data=st.binary(max_size=200))
@example(data=b"\x84\x43\xa1\x01\x20\xa0\x40\x58\x40" + bytes(64))
@example(data=b"\x84\xf6\xf6\xf6\xf6")
def test_any_bytes_are_refused_by_name(data: bytes) -> None:
    with pytest.raises(AttestationError):
        replay(data)


def test_what_is_no_document_of_anybody_is_refused_by_the_same_parser() -> None:
    for changes, error in (
        ({"module_id": f"{INSTANCE}-tpm0000000000000000"}, refused.NotAnEnclaveError),
        ({"digest": "SHA256"}, refused.FieldError),
        ({"pcrs": {0: bytes(32)}}, refused.PcrBankError),
        ({"timestamp": 0}, refused.FieldError),
        ({"user_data": bytes(1025)}, refused.FieldError),
        ({"more": None}, refused.UnknownFieldError),
    ):
        with pytest.raises(error):
            replay(attested(**changes))
    twice = encode_map([*fields(CHAIN, AT, certificate=NOTHING, cabundle=[NOTHING]), ("pcrs", {})])
    with pytest.raises(refused.DuplicateKeyError):
        replay(wrapped(twice))


# Every other step holds as it does for signed documents.


def test_age_and_skew_hold() -> None:
    verify(now=AT + timedelta(minutes=5))
    with pytest.raises(refused.StaleDocumentError):
        verify(now=AT + timedelta(minutes=5) + TICK)
    verify(now=AT - timedelta(seconds=30))
    with pytest.raises(refused.FutureDocumentError):
        verify(now=AT - timedelta(seconds=30) - TICK)


@pytest.mark.parametrize("got", [None, b"", bytes(32), NONCE[:-1]], ids=repr)
def test_the_nonce_holds(got: bytes | None) -> None:
    with pytest.raises(refused.NonceMismatchError):
        verify(attested(nonce=got))


@pytest.mark.parametrize("register", [0, 1, 2])
def test_measurements_hold(register: int) -> None:
    other = emulated_bank(pcr16=PCR16) | {register: pcr("something else")}
    with pytest.raises(refused.MeasurementMismatchError):
        verify(attested(pcrs=other))
    missing = {index: value for index, value in other.items() if index != register}
    with pytest.raises(refused.PcrMissingError):
        verify(attested(pcrs=missing))


@pytest.mark.parametrize("register", [0, 1, 2])
def test_debug_mode_is_refused(register: int) -> None:
    with pytest.raises(refused.DebugModeError):
        verify(attested(pcrs=emulated_bank(pcr16=PCR16) | {register: bytes(48)}))


def test_the_instance_holds_where_there_is_one() -> None:
    fitting = hashlib.sha384(bytes(48) + INSTANCE.encode()).digest()
    verify(attested(pcrs=emulated_bank(pcr4=fitting, pcr16=PCR16)))
    with pytest.raises(refused.InstanceMismatchError):
        verify(attested(pcrs=emulated_bank(pcr4=pcr("another instance"), pcr16=PCR16)))


def test_the_agreement_holds() -> None:
    for pcr16 in (bytes(48), hashlib.sha384(bytes(48) + bytes(48)).digest()):
        with pytest.raises(refused.AgreementMismatchError):
            verify(attested(pcrs=emulated_bank(pcr16=pcr16)))
    with pytest.raises(refused.PcrMissingError):
        verify(attested(pcrs=emulated_bank()))
    with pytest.raises(refused.AgreementMismatchError):
        verify(agreement_digest=bytes(48))


def test_the_keys_hold() -> None:
    with pytest.raises(refused.BindingMismatchError):
        verify(attested(user_data=b"something else"))
    with pytest.raises(refused.BindingMismatchError):
        verify(attested(user_data=None))
    with pytest.raises(refused.BindingMismatchError):
        verify(bundle=replace(BUNDLE, signing_key=bytes(32)).encode())


def test_a_policy_that_leaves_the_code_open_is_refused() -> None:
    for policy in (AllowDebugUnsafe(), AllOf([AllowDebugUnsafe()])):
        with pytest.raises(refused.PolicyError):
            verify_now(DOCUMENT, roots=EmulatorUnsafe(), nonce=NONCE, policy=policy, now=AT)


# It stands in place of roots and never beside any, in an agreement as well.


@pytest.mark.parametrize("roots", [TrustedRoots.aws(), ROOTS], ids=["aws", "own"])
def test_it_cannot_be_combined_with_any_root(roots: TrustedRoots) -> None:
    with pytest.raises(refused.EmulatorMixedError):
        _ = roots | EmulatorUnsafe()  # type: ignore[operator]
    with pytest.raises(refused.EmulatorMixedError):
        _ = EmulatorUnsafe() | roots
    with pytest.raises(refused.EmulatorMixedError):
        TrustedRoots((*roots, EmulatorUnsafe()))  # type: ignore[arg-type]


@pytest.mark.parametrize("roots", [TrustedRoots.aws(), ROOTS], ids=["aws", "own"])
def test_without_it_the_emulator_is_refused_whatever_was_agreed(roots: TrustedRoots) -> None:
    with pytest.raises(refused.EmulatorNotAcceptedError):
        verify(roots=roots)
    for policy in (LENIENT, AllowedReleases([EMULATED])):
        with pytest.raises(refused.AlgorithmError):
            verify_now(DOCUMENT, roots=roots, nonce=NONCE, policy=policy, now=AT)
        with pytest.raises(refused.AlgorithmError):
            verify_replay(DOCUMENT, roots=roots, policy=policy)


def test_a_genuine_document_is_not_of_the_emulators_release() -> None:
    with pytest.raises(refused.RootNotAllowedError):
        verify_replay(document(CHAIN, AT), roots=ROOTS, policy=AllowedReleases([EMULATED]))


def test_with_it_no_other_release_is_accepted() -> None:
    for other in (REAL, replace(REAL, root_sha256=next(iter(ROOTS)).sha256)):
        with pytest.raises(refused.EmulatorMixedError, match="all that was asked for"):
            verify(releases=[other])
        with pytest.raises(refused.RootNotAllowedError):
            verify_now(DOCUMENT, roots=EmulatorUnsafe(), nonce=NONCE, policy=AllowedReleases([other]), now=AT)


@pytest.mark.parametrize("releases", [[EMULATED, REAL], [REAL, EMULATED]], ids=["first", "last"])
def test_releases_of_both_kinds_are_refused_together(releases: list[Release]) -> None:
    for anchors in (None, EmulatorUnsafe(), TrustedRoots.aws(), ROOTS):
        with pytest.raises(refused.EmulatorMixedError):
            require_fitting(releases, anchors)
    with pytest.raises(
        refused.EmulatorMixedError, match=r"'1\.0' is of the UNSIGNED EMULATOR, release 'real'"
    ):
        require_unmixed(releases)
    with pytest.raises(refused.EmulatorMixedError):
        AllowedReleases(releases)
    for data, roots in ((DOCUMENT, EmulatorUnsafe()), (SIGNED, ROOTS)):
        with pytest.raises(refused.EmulatorMixedError):
            verify(data, roots=roots, releases=releases)


def test_releases_of_one_kind_fit_who_accepts_that_kind() -> None:
    require_fitting([EMULATED, replace(EMULATED, name="2.0")], EmulatorUnsafe())
    for anchors in (None, TrustedRoots.aws(), ROOTS):
        require_fitting([REAL, replace(REAL, name="2.0")], anchors)
        with pytest.raises(refused.EmulatorNotAcceptedError, match="of the UNSIGNED EMULATOR"):
            require_fitting([EMULATED], anchors)
    with pytest.raises(refused.EmulatorMixedError):
        require_fitting([REAL], EmulatorUnsafe())


def test_explaining_one_says_that_it_is_unsigned() -> None:
    explained = explain(DOCUMENT)
    assert explained.to_dict()["unsigned_emulator"] is True
    assert "UNSIGNED" in explained.to_text()
    assert "EMULATOR" in explained.to_text()
    for other in (SIGNED, DEVIATIONS["a real chain"], DEVIATIONS["a signature of ES384's size"]):
        assert explain(other).to_dict()["unsigned_emulator"] is False
        assert "EMULATOR" not in explain(other).to_text()
