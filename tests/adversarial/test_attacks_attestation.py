"""Attacks on attestation: what an operator, or a man in the middle, presents instead of the agreed enclave.

The attacker holds genuine documents, can start genuine enclaves with any image, and cannot sign with an NSM's
key. Each test is named after its row in the threat model.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import Any

import cbor2
import pytest

from party_client.attestation import (
    AllowedMeasurements,
    AllowedReleases,
    AnyMeasurementUnsafe,
    EmulatorUnsafe,
    Measurements,
    TrustedRoots,
    VerifiedEnclave,
    verify_enclave,
    verify_now,
    verify_replay,
)
from party_client.attestation import errors as refused
from protos.formats import hpke
from protos.formats.binding import KeyBundle, attestation_user_data, receipt_user_data
from protos.formats.errors import FormatError
from protos.formats.participants import Release
from protos.release.roots import UNSIGNED_EMULATOR_SHA256
from tests.conformance.nitro.emulated import emulated_bank, emulated_document
from tests.conformance.nitro.pki import INSTANCE, make_chain
from tests.conformance.nitro.signing import (
    AT,
    document,
    encode_map,
    fields,
    pcr,
    pcr_bank,
    raw_signature,
    sign,
)

CHAIN = make_chain(AT)
ROOTS = TrustedRoots.from_pem(CHAIN.root.pem, name="test")
ROOT_SHA256 = next(iter(ROOTS)).sha256
OURS, THEIRS = (hashlib.sha384(text).digest() for text in (b"the agreement we signed", b"another agreement"))
NONCE, OLD_NONCE = b"n" * 32, b"o" * 32
ZERO = bytes(48)
KEYS, ATTACKERS_KEYS = (
    KeyBundle(
        enclave_id=bytes([each]) * 16,
        hpke_public_key=bytes([each]) * hpke.PUBLIC_KEY_BYTES,
        signing_key=bytes([each]) * 32,
    )
    for each in (1, 2)
)


AGREED = Release("1.0", pcr("code 0"), pcr("code 1"), pcr("code 2"), ROOT_SHA256)


def extended(data: bytes) -> bytes:
    return hashlib.sha384(ZERO + data).digest()


def bound_to(agreement: bytes, keys: KeyBundle = KEYS) -> bytes:
    return attestation_user_data(agreement, keys.encode(), keys.enclave_id)


def enclave(**changes: Any) -> bytes:
    """The document of the agreed enclave, but for `changes`."""
    usual: dict[str, Any] = {
        "pcrs": pcr_bank(pcr16=extended(OURS)),
        "user_data": bound_to(OURS),
        "nonce": NONCE,
    }
    return document(CHAIN, AT, **(usual | changes))


def attest(data: bytes, keys: KeyBundle = KEYS, **changes: Any) -> VerifiedEnclave:
    """What a party does with what it is handed."""
    usual: dict[str, Any] = {
        "roots": ROOTS,
        "nonce": NONCE,
        "agreement_digest": OURS,
        "releases": [AGREED],
        "now": AT,
    }
    return verify_enclave(data, keys.encode(), **(usual | changes))


def test_the_agreed_enclave_passes() -> None:
    assert attest(enclave()).keys == KEYS


def test_attack_01_replay_of_an_old_attestation() -> None:
    recorded = enclave(nonce=OLD_NONCE)
    attest(recorded, nonce=OLD_NONCE)
    with pytest.raises(refused.NonceMismatchError):
        attest(recorded)
    with pytest.raises(refused.StaleDocumentError):
        attest(enclave(), now=AT + timedelta(minutes=6))


def test_attack_01_a_replay_is_never_taken_for_a_live_enclave() -> None:
    archived = verify_replay(enclave(), roots=ROOTS, policy=AllowedReleases([AGREED]))
    assert archived.how == "replay"
    assert not isinstance(archived, VerifiedEnclave)


def test_attack_02_stale_boot_time_attestation() -> None:
    at_boot = enclave(nonce=None, user_data=bound_to(OURS))
    with pytest.raises(refused.NonceMismatchError):
        attest(at_boot)


@pytest.mark.parametrize("zero", [(0, 1, 2), (0,), (1,), (2,)], ids=str)
def test_attack_03_debug_mode(zero: tuple[int, ...]) -> None:
    registers = pcr_bank(pcr16=extended(OURS)) | dict.fromkeys(zero, ZERO)
    assert any(registers[4])  # debug mode leaves PCR4 set, so "all registers zero" would never be seen
    with pytest.raises(refused.DebugModeError):
        attest(enclave(pcrs=registers))


def test_attack_03_zeros_as_the_expected_value() -> None:
    with pytest.raises(FormatError):
        Release("debug", ZERO, ZERO, ZERO, ROOT_SHA256)
    with pytest.raises(refused.ExpectationError):
        Measurements(ZERO, ZERO, ZERO)


@pytest.mark.parametrize("register", [1, 2])
def test_attack_04_only_pcr0_pinned(register: int) -> None:
    registers = pcr_bank(pcr16=extended(OURS)) | {register: pcr("something else")}
    with pytest.raises(refused.MeasurementMismatchError):
        attest(enclave(pcrs=registers))


def test_attack_05_another_image_under_the_right_signing_certificate() -> None:
    registers = pcr_bank(pcr0=pcr("other image"), pcr8=pcr("our signing certificate"), pcr16=extended(OURS))
    with pytest.raises(refused.MeasurementMismatchError):
        attest(enclave(pcrs=registers))


def test_attack_06_trusting_the_root_that_the_document_brings() -> None:
    own = make_chain(AT, root={"key_label": "the attacker's root"})
    agreed: dict[str, Any] = {
        "pcrs": pcr_bank(pcr16=extended(OURS)),
        "user_data": bound_to(OURS),
        "nonce": NONCE,
    }
    with pytest.raises(refused.UntrustedRootError):
        attest(document(own, AT, **agreed))
    with_ours_in_front = [CHAIN.root.der, *own.cabundle[1:]]
    with pytest.raises(refused.UntrustedRootError):
        attest(document(own, AT, cabundle=with_ours_in_front, **agreed))


def test_attack_06_no_roots_at_all() -> None:
    with pytest.raises(refused.NoTrustedRootsError):
        attest(enclave(), roots=TrustedRoots(()))


def altered(part: int, value: object) -> bytes:
    parts = cbor2.loads(enclave())
    parts[part] = value
    return cbor2.dumps(parts)


def test_attack_07_payload_encoded_again() -> None:
    payload = cbor2.loads(cbor2.loads(enclave())[2])
    with pytest.raises(refused.SignatureInvalidError):
        attest(altered(2, cbor2.dumps(payload)))


def test_attack_07_algorithm_of_the_attackers_choice() -> None:
    for protected in ({1: -7}, {1: -1}, {1: 0}, {}, {1: -35, 2: []}):
        with pytest.raises(refused.AlgorithmError):
            attest(altered(0, cbor2.dumps(protected)))


def test_attack_07_headers_that_nobody_signed() -> None:
    with pytest.raises(refused.UnprotectedHeaderError):
        attest(altered(1, {33: CHAIN.leaf.der}))


def test_attack_07_the_same_field_twice() -> None:
    """The first PCR map would satisfy one reader, the second another."""
    pairs = fields(CHAIN, AT, nonce=NONCE)
    payload = encode_map([*pairs, ("pcrs", pcr_bank(pcr0=pcr("other")))])
    with pytest.raises(refused.DuplicateKeyError):
        attest(sign(CHAIN.leaf, payload))


def test_attack_07_two_documents_in_one_file() -> None:
    with pytest.raises(refused.TrailingBytesError):
        attest(enclave() + enclave())


def test_attack_07_a_second_signature_on_the_same_statement_is_the_same_statement() -> None:
    """(r, n - s) verifies as well, so documents are remembered by nonce and never by their bytes."""
    first = enclave()
    parts = cbor2.loads(first)
    order = int(
        "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16
    )
    signature = raw_signature(CHAIN.leaf, parts[2])
    parts[3] = signature[:48] + (order - int.from_bytes(signature[48:])).to_bytes(48)
    second = cbor2.dumps(parts)
    assert first != second
    assert attest(first).attestation.document == attest(second).attestation.document


def test_attack_07_unsigned_document_of_an_emulator() -> None:
    nothing = bytes(64)
    payload = encode_map(
        fields(CHAIN, AT, certificate=nothing, cabundle=[nothing], nonce=NONCE), indefinite=False
    )
    with pytest.raises(refused.AlgorithmError):
        attest(cbor2.dumps([bytes.fromhex("a10120"), {}, payload, nothing]))
    with pytest.raises(refused.AttestationError):
        attest(cbor2.dumps([bytes.fromhex("a1013822"), {}, payload, bytes(96)]))


def test_attack_07_document_of_an_instance_instead_of_an_enclave() -> None:
    """A NitroTPM signs under the same root, for whoever runs the instance."""
    tpm = [
        ("nitrotpm_pcrs" if name == "pcrs" else name, value)
        for name, value in fields(CHAIN, AT, module_id=f"{INSTANCE}-tpm0000000000000000", nonce=NONCE)
    ]
    with pytest.raises(refused.NotAnEnclaveError):
        attest(sign(CHAIN.leaf, encode_map(tpm)))
    with pytest.raises(refused.NotAnEnclaveError):
        attest(enclave(module_id=f"{INSTANCE}-tpm0000000000000000"))


def test_attack_10_the_agreed_image_with_another_agreement() -> None:
    for changes in (
        {"pcrs": pcr_bank(pcr16=extended(THEIRS)), "user_data": bound_to(THEIRS)},
        {"pcrs": pcr_bank(pcr16=extended(THEIRS))},
        {"pcrs": pcr_bank(pcr16=ZERO)},
    ):
        with pytest.raises(refused.AgreementMismatchError):
            attest(enclave(**changes))
    with pytest.raises(refused.BindingMismatchError):
        attest(enclave(user_data=bound_to(THEIRS)))


def test_attack_10_an_agreement_that_was_never_locked() -> None:
    with pytest.raises(refused.PcrMissingError):
        attest(enclave(pcrs=pcr_bank()))


def test_attack_10_an_agreement_extended_on_top_of_another() -> None:
    twice = hashlib.sha384(extended(THEIRS) + OURS).digest()
    with pytest.raises(refused.AgreementMismatchError):
        attest(enclave(pcrs=pcr_bank(pcr16=twice)))


def test_attack_13_keys_of_an_earlier_enclave_life() -> None:
    earlier = replace(KEYS, enclave_id=b"e" * 16)
    with pytest.raises(refused.BindingMismatchError):
        attest(enclave(), earlier)


def test_attack_17_a_simulated_enclave_under_production_roots() -> None:
    with pytest.raises(refused.UntrustedRootError):
        attest(enclave(), roots=TrustedRoots.aws())
    aws = next(iter(TrustedRoots.aws())).sha256
    with pytest.raises(refused.RootNotAllowedError):
        attest(enclave(), roots=TrustedRoots.aws() | ROOTS, releases=[replace(AGREED, root_sha256=aws)])


UNSIGNED = replace(AGREED, root_sha256=UNSIGNED_EMULATOR_SHA256)


def claimed(**changes: Any) -> bytes:
    """What anybody can write in an editor: an emulator's document with everything that was agreed."""
    usual: dict[str, Any] = {
        "pcrs": emulated_bank(pcr16=extended(OURS)),
        "user_data": bound_to(OURS),
        "nonce": NONCE,
    }
    return emulated_document(AT, **(usual | changes))


def test_attack_17_unsigned_document_with_everything_that_was_agreed() -> None:
    for roots in (TrustedRoots.aws(), ROOTS, TrustedRoots.aws() | ROOTS):
        with pytest.raises(refused.AlgorithmError):
            attest(claimed(), roots=roots)
        with pytest.raises(refused.EmulatorNotAcceptedError):
            attest(claimed(), roots=roots, releases=[UNSIGNED])
    assert attest(claimed(), roots=EmulatorUnsafe(), releases=[UNSIGNED]).attestation.is_unsigned_emulator


def test_attack_17_emulator_slipped_into_an_agreement_about_real_enclaves() -> None:
    """The operator gets a second release into the text, of the same code: 'for trials'."""
    for releases in ([AGREED, UNSIGNED], [UNSIGNED, AGREED]):
        for roots in (ROOTS, EmulatorUnsafe()):
            for data in (claimed(), enclave()):
                with pytest.raises(refused.EmulatorMixedError):
                    attest(data, roots=roots, releases=releases)


def test_attack_17_party_that_tries_the_emulator_is_not_talked_into_more() -> None:
    """Asked for by its unsafe name, it holds for an agreement that says the same, and for nothing signed."""
    with pytest.raises(refused.EmulatorMixedError):
        attest(claimed(), roots=EmulatorUnsafe(), releases=[AGREED])
    with pytest.raises(refused.NotTheEmulatorsError):
        attest(enclave(), roots=EmulatorUnsafe(), releases=[UNSIGNED])
    with pytest.raises(refused.EmulatorMixedError):
        _ = TrustedRoots.aws() | EmulatorUnsafe()  # type: ignore[operator]


def test_attack_17_whoever_writes_the_emulators_documents_is_the_enclave() -> None:
    """Not held, and said so: with no signature, the parent's own keys pass. Only made-up data may be sent."""
    own = claimed(user_data=bound_to(OURS, ATTACKERS_KEYS))
    taken = attest(own, ATTACKERS_KEYS, roots=EmulatorUnsafe(), releases=[UNSIGNED])
    assert taken.keys == ATTACKERS_KEYS
    assert taken.attestation.root.name == "UNSIGNED EMULATOR"


def test_attack_34_split_view_of_the_agreement() -> None:
    """Another party signed OURS; this one signed THEIRS. The enclave can only be bound to one of them."""
    attest(enclave(), agreement_digest=OURS)
    with pytest.raises(refused.AgreementMismatchError):
        attest(enclave(), agreement_digest=THEIRS)


def test_attack_36_the_parent_puts_its_own_key_in_between() -> None:
    with pytest.raises(refused.BindingMismatchError):
        attest(enclave(), ATTACKERS_KEYS)


def test_attack_36_the_parent_runs_its_own_enclave_for_the_key() -> None:
    own_code = pcr_bank(pcr0=pcr("the parent's own image"), pcr16=extended(OURS))
    with pytest.raises(refused.MeasurementMismatchError):
        attest(enclave(pcrs=own_code, user_data=bound_to(OURS, ATTACKERS_KEYS)), ATTACKERS_KEYS)


def test_attack_36_a_document_made_for_a_receipt() -> None:
    with pytest.raises(refused.BindingMismatchError):
        attest(enclave(user_data=receipt_user_data(KEYS.encode())))


def test_attack_39_a_document_from_the_future() -> None:
    with pytest.raises(refused.FutureDocumentError):
        attest(enclave(), now=AT - timedelta(minutes=5))


def test_the_library_call_stops_the_same_attacks() -> None:
    """`verify_now` alone, for whoever needs no agreement."""
    allowed = AllowedMeasurements([Measurements(AGREED.pcr0, AGREED.pcr1, AGREED.pcr2)])
    verify_now(enclave(), roots=ROOTS, nonce=NONCE, policy=allowed, now=AT)
    with pytest.raises(refused.MeasurementMismatchError):
        verify_now(enclave(pcrs=pcr_bank(pcr0=pcr("x"))), roots=ROOTS, nonce=NONCE, policy=allowed, now=AT)
    with pytest.raises(refused.NonceMismatchError):
        verify_now(enclave(nonce=None), roots=ROOTS, nonce=NONCE, policy=AnyMeasurementUnsafe(), now=AT)
