"""Conditions on an enclave: each refuses what it is about, and combining them never lets more through."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from party_client.attestation import (
    AgreementInPcr16,
    AllOf,
    AllowDebugUnsafe,
    AllowedMeasurements,
    AllowedReleases,
    AnyMeasurementUnsafe,
    AnyOf,
    AttestationError,
    Binding,
    Measurements,
    Policy,
    TrustedRoots,
    verify_replay,
)
from party_client.attestation.errors import (
    AgreementMismatchError,
    BindingMismatchError,
    DebugModeError,
    ExpectationError,
    MeasurementMismatchError,
    NoAlternativeError,
    PcrMissingError,
    PolicyError,
    RootNotAllowedError,
)
from protos.formats.participants import Release
from tests.conformance.nitro.pki import make_chain
from tests.conformance.nitro.signing import AT, document, pcr, pcr_bank

CHAIN = make_chain(AT)
ROOTS = TrustedRoots.from_pem(CHAIN.root.pem, name="test")
ROOT_SHA256 = next(iter(ROOTS)).sha256
AGREEMENT = hashlib.sha384(b"an agreement").digest()
PCR16 = hashlib.sha384(bytes(48) + AGREEMENT).digest()
CODE = Measurements(pcr("code 0"), pcr("code 1"), pcr("code 2"))
OTHER = Measurements(pcr("other 0"), pcr("other 1"), pcr("other 2"))
DOCUMENT = document(CHAIN, AT, pcrs=pcr_bank(pcr16=PCR16), user_data=b"bound")
DEBUG = document(CHAIN, AT, pcrs=pcr_bank(pcr0=bytes(48), pcr1=bytes(48), pcr2=bytes(48)))


RELEASE = Release("1.0", CODE.pcr0, CODE.pcr1, CODE.pcr2, ROOT_SHA256)


def require(policy: Policy, data: bytes = DOCUMENT) -> None:
    verify_replay(data, roots=ROOTS, policy=policy)


def test_the_allowed_measurements_are_accepted_and_one_of_several_is_enough() -> None:
    require(AllowedMeasurements([CODE]))
    require(AllowedMeasurements([OTHER, CODE]))


@pytest.mark.parametrize("register", ["pcr0", "pcr1", "pcr2"])
def test_all_three_registers_count(register: str) -> None:
    with pytest.raises(MeasurementMismatchError, match=register.upper()) as refusal:
        require(AllowedMeasurements([replace(CODE, **{register: pcr("different")})]))
    assert f"differs in {register.upper()})" in refusal.value.message


def test_the_refusal_names_what_differs_from_the_nearest() -> None:
    for allowed in ([OTHER, replace(CODE, pcr1=OTHER.pcr1)], [replace(CODE, pcr1=OTHER.pcr1), OTHER]):
        with pytest.raises(
            MeasurementMismatchError, match=r"one of 2 allowed \(the nearest differs in PCR1\)"
        ):
            require(AllowedMeasurements(allowed))


def test_registers_of_different_releases_do_not_mix() -> None:
    mixed = [replace(CODE, pcr0=OTHER.pcr0), replace(OTHER, pcr0=CODE.pcr0)]
    with pytest.raises(MeasurementMismatchError):
        require(AllowedMeasurements(mixed))


@pytest.mark.parametrize("register", ["pcr0", "pcr1", "pcr2"])
@pytest.mark.parametrize("value", [bytes(48), b"", bytes([1] * 47), bytes([1] * 49)], ids=len)
def test_a_senseless_expectation_cannot_be_stated(register: str, value: bytes) -> None:
    with pytest.raises(ExpectationError, match=register.upper()):
        replace(CODE, **{register: value})


def test_measurements_are_read_from_hexadecimal_digits() -> None:
    assert Measurements.from_hex(CODE.pcr0.hex(), CODE.pcr1.hex().upper(), CODE.pcr2.hex()) == CODE
    with pytest.raises(ExpectationError, match="hexadecimal"):
        Measurements.from_hex("xyz", CODE.pcr1.hex(), CODE.pcr2.hex())


def test_a_release_counts_under_its_own_root_only() -> None:
    require(AllowedReleases([RELEASE]))
    require(AllowedReleases([replace(RELEASE, root_sha256=bytes(32)), RELEASE]))
    with pytest.raises(RootNotAllowedError):
        require(AllowedReleases([replace(RELEASE, root_sha256=bytes(32))]))
    with pytest.raises(MeasurementMismatchError) as refusal:
        require(AllowedReleases([replace(RELEASE, pcr2=OTHER.pcr2)]))
    assert type(refusal.value) is MeasurementMismatchError


def test_two_releases_of_one_name_are_both_looked_at() -> None:
    require(AllowedReleases([RELEASE, replace(RELEASE, pcr0=OTHER.pcr0)]))


def test_the_agreement_is_in_pcr16() -> None:
    policy = AllOf([AnyMeasurementUnsafe(), AgreementInPcr16(AGREEMENT)])
    require(policy)
    with pytest.raises(AgreementMismatchError):
        require(policy, document(CHAIN, AT, pcrs=pcr_bank(pcr16=AGREEMENT)))
    with pytest.raises(AgreementMismatchError):
        require(policy, document(CHAIN, AT, pcrs=pcr_bank(pcr16=bytes(48))))
    with pytest.raises(PcrMissingError, match="PCR16"):
        require(policy, document(CHAIN, AT))
    with pytest.raises(ExpectationError):
        AgreementInPcr16(AGREEMENT[:32])


@pytest.mark.parametrize("got", [None, b"", b"boun", b"bound\x00"], ids=repr)
def test_user_data_is_exactly_what_is_bound(got: bytes | None) -> None:
    policy = AllOf([AnyMeasurementUnsafe(), Binding(b"bound")])
    require(policy)
    with pytest.raises(BindingMismatchError):
        require(policy, document(CHAIN, AT, user_data=got))


def test_a_binding_may_have_the_greatest_length() -> None:
    bound = document(CHAIN, AT, user_data=bytes(1024))
    require(AllOf([AnyMeasurementUnsafe(), Binding(bytes(1024))]), bound)


@pytest.mark.parametrize("length", [0, 1025])
def test_a_binding_has_a_sensible_length(length: int) -> None:
    with pytest.raises(ExpectationError):
        Binding(bytes(length))


def test_debug_mode_passes_only_where_it_is_asked_for() -> None:
    with pytest.raises(DebugModeError):
        require(AnyMeasurementUnsafe(), DEBUG)
    require(AllOf([AnyMeasurementUnsafe(), AllowDebugUnsafe()]), DEBUG)
    with pytest.raises(DebugModeError):
        require(AnyOf([AllOf([AnyMeasurementUnsafe(), AllowDebugUnsafe()]), AnyMeasurementUnsafe()]), DEBUG)
    with pytest.raises(MeasurementMismatchError):
        require(AllOf([AllowedMeasurements([CODE]), AllowDebugUnsafe()]), DEBUG)


def test_empty_policies_cannot_be_made() -> None:
    for make in (AllOf, AnyOf, AllowedMeasurements, AllowedReleases):
        with pytest.raises(PolicyError):
            make([])


@pytest.mark.parametrize(
    "policy",
    [
        Binding(b"bound"),
        AgreementInPcr16(AGREEMENT),
        AllowDebugUnsafe(),
        AllOf([Binding(b"bound"), AgreementInPcr16(AGREEMENT)]),
        AnyOf([AllowedMeasurements([CODE]), Binding(b"bound")]),
        AnyOf([AllowedMeasurements([CODE]), AllowDebugUnsafe()]),
    ],
    ids=str,
)
def test_a_policy_has_to_say_which_code_may_run(policy: Policy) -> None:
    with pytest.raises(PolicyError, match="which code"):
        require(policy)


def test_all_of_requires_every_condition() -> None:
    require(AllOf([AllowedMeasurements([CODE]), Binding(b"bound"), AgreementInPcr16(AGREEMENT)]))
    for failing in (Binding(b"other"), AgreementInPcr16(bytes(48)), AllowedMeasurements([OTHER])):
        with pytest.raises(AttestationError):
            require(AllOf([AllowedMeasurements([CODE]), failing]))


def test_any_of_requires_one_condition_and_tells_why_each_failed() -> None:
    require(AnyOf([AllowedMeasurements([OTHER]), AllowedMeasurements([CODE])]))
    with pytest.raises(NoAlternativeError) as refusal:
        require(AnyOf([AllowedMeasurements([OTHER]), AllOf([AnyMeasurementUnsafe(), Binding(b"x")])]))
    assert "PCR0" in refusal.value.message
    assert "user_data" in refusal.value.message


def test_a_list_that_changes_later_does_not_change_the_policy() -> None:
    allowed, releases, parts = [CODE], [RELEASE], [AnyMeasurementUnsafe()]
    policies: list[Policy] = [
        AllowedMeasurements(allowed),
        AllowedReleases(releases),
        AllOf(parts),
        AnyOf(parts),
    ]
    allowed.clear()
    releases.clear()
    parts.clear()
    for policy in policies:
        require(policy)


def test_policies_are_told_in_words() -> None:
    words = str(AllOf([AllowedReleases([RELEASE]), AgreementInPcr16(AGREEMENT), Binding(b"bound")]))
    assert words == (
        f"(release '1.0') and (PCR16 of agreement {AGREEMENT.hex()[:16]}...) "
        f"and (user_data {b'bound'.hex()}...)"
    )
    assert str(AnyOf([AllowedMeasurements([CODE]), AllowDebugUnsafe()])).count("UNSAFE") == 1
