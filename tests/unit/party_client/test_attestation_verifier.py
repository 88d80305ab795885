"""The eleven steps, live and as a replay: bounds, clocks, nonces, and who may say "verified"."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from party_client.attestation import (
    AllowDebugUnsafe,
    AllowedMeasurements,
    AnyMeasurementUnsafe,
    AnyNonceUnsafe,
    Measurements,
    TrustedRoots,
    VerifiedAttestation,
    verify_now,
    verify_replay,
)
from party_client.attestation.errors import (
    CertificateTimeError,
    ExpectationError,
    FutureDocumentError,
    NonceMismatchError,
    PolicyError,
    StaleDocumentError,
)
from party_client.attestation.verifier import MAX_AGE, MAX_SKEW
from tests.conformance.nitro.pki import MODULE_ID, make_chain
from tests.conformance.nitro.signing import AT, document, pcr

CHAIN = make_chain(AT)
ROOTS = TrustedRoots.from_pem(CHAIN.root.pem, name="test")
NONCE = bytes(range(32))
POLICY = AllowedMeasurements([Measurements(pcr("code 0"), pcr("code 1"), pcr("code 2"))])
DOCUMENT = document(CHAIN, AT, nonce=NONCE, user_data=b"said", public_key=b"")
TICK = timedelta(milliseconds=1)


def verify(data: bytes = DOCUMENT, **changes: Any) -> VerifiedAttestation:
    usual: dict[str, Any] = {"roots": ROOTS, "nonce": NONCE, "policy": POLICY, "now": AT}
    return verify_now(data, **(usual | changes))


def test_a_fresh_document_is_verified() -> None:
    verified = verify()
    assert (verified.how, verified.verified_at, verified.nonce_compared) == ("live", AT, True)
    assert verified.document.module_id == MODULE_ID
    assert verified.document.signed_at == AT
    assert verified.measurements == (pcr("code 0"), pcr("code 1"), pcr("code 2"))
    assert (verified.document.user_data, verified.document.public_key) == (b"said", b"")
    assert verified.root.sha256 == next(iter(ROOTS)).sha256
    assert not verified.root.is_aws


def test_an_archived_document_is_verified_at_its_own_time_and_says_so() -> None:
    verified = verify_replay(DOCUMENT, roots=ROOTS, policy=POLICY)
    assert (verified.how, verified.verified_at, verified.nonce_compared) == ("replay", AT, False)


@pytest.mark.parametrize("late", [timedelta(0), MAX_AGE], ids=str)
def test_age_up_to_the_bound_is_accepted(late: timedelta) -> None:
    verify(now=AT + late)


def test_age_over_the_bound_is_refused() -> None:
    with pytest.raises(StaleDocumentError, match="0:05:00"):
        verify(now=AT + MAX_AGE + TICK)


def test_a_document_from_the_future_is_accepted_up_to_the_skew() -> None:
    verify(now=AT - MAX_SKEW)
    with pytest.raises(FutureDocumentError):
        verify(now=AT - MAX_SKEW - TICK)


def test_a_slow_clock_does_not_make_a_new_leaf_invalid() -> None:
    chain = make_chain(AT, leaf={"starts_before": timedelta(seconds=1)})
    fresh = document(chain, AT, nonce=NONCE)
    assert verify(fresh, now=AT - timedelta(seconds=20)).verified_at == AT - timedelta(seconds=20)


def test_the_skew_does_not_stretch_to_a_leaf_that_begins_after_it() -> None:
    chain = make_chain(AT, leaf={"starts_before": timedelta(seconds=1)})
    fresh = document(chain, AT, nonce=NONCE)
    with pytest.raises(CertificateTimeError):
        verify(fresh, now=AT - timedelta(minutes=2))


def test_the_chain_is_judged_at_the_callers_time_when_live() -> None:
    chain = make_chain(AT, leaf={"lifetime": timedelta(minutes=20, seconds=30)})
    soon_over = document(chain, AT, nonce=NONCE)
    verify(soon_over, now=AT + timedelta(seconds=20))
    with pytest.raises(CertificateTimeError):
        verify(soon_over, now=AT + timedelta(seconds=40))
    verify_replay(soon_over, roots=ROOTS, policy=POLICY)


def test_a_clock_in_another_time_zone_is_the_same_clock() -> None:
    zone = timezone(timedelta(hours=-9))
    verify(now=AT.astimezone(zone))
    with pytest.raises(StaleDocumentError):
        verify(now=(AT + MAX_AGE + TICK).astimezone(zone))


def test_a_clock_without_a_zone_is_refused() -> None:
    with pytest.raises(ExpectationError, match="zone"):
        verify(now=datetime(2026, 1, 15, 12))


@pytest.mark.parametrize("got", [None, b"", NONCE[:-1], NONCE + b"\x00", bytes(32), NONCE[::-1]], ids=repr)
def test_any_other_nonce_is_refused(got: bytes | None) -> None:
    with pytest.raises(NonceMismatchError, match=NONCE.hex()):
        verify(document(CHAIN, AT, nonce=got))


@pytest.mark.parametrize("sent", [b"", bytes(1025)], ids=len)
def test_a_nonce_that_cannot_have_been_sent_is_refused(sent: bytes) -> None:
    with pytest.raises(ExpectationError, match="nonce"):
        verify(document(CHAIN, AT, nonce=b""), nonce=sent)


@pytest.mark.parametrize("sent", [b"x", bytes(1024)], ids=len)
def test_a_nonce_of_any_length_that_fits_is_compared(sent: bytes) -> None:
    assert verify(document(CHAIN, AT, nonce=sent), nonce=sent).nonce_compared


def test_the_refusal_tells_an_absent_nonce_from_an_empty_one() -> None:
    for got, told in ((None, "got none"), (b"", r"got h'' \(0 bytes\)")):
        with pytest.raises(NonceMismatchError, match=told):
            verify(document(CHAIN, AT, nonce=got))


def test_verifying_without_a_nonce_has_to_be_asked_for_and_is_recorded() -> None:
    verified = verify(document(CHAIN, AT), nonce=AnyNonceUnsafe())
    assert not verified.nonce_compared
    with pytest.raises(StaleDocumentError):
        verify(nonce=AnyNonceUnsafe(), now=AT + timedelta(minutes=6))


def test_a_policy_that_leaves_the_code_open_is_refused_both_ways() -> None:
    with pytest.raises(PolicyError):
        verify(policy=AllowDebugUnsafe())
    with pytest.raises(PolicyError):
        verify_replay(DOCUMENT, roots=ROOTS, policy=AllowDebugUnsafe())


def test_any_of_several_roots_may_hold_the_chain_and_the_result_names_it() -> None:
    both = TrustedRoots.aws() | ROOTS
    assert verify(roots=both).root.name == "test"


def test_only_the_verifier_makes_verified_attestations() -> None:
    verified = verify()
    values = {each.name: getattr(verified, each.name) for each in dataclasses.fields(verified)}
    with pytest.raises(TypeError, match="verify_now"):
        VerifiedAttestation(**values, mint=object())
    with pytest.raises(ValueError, match="mint"):
        dataclasses.replace(verified, how="live")  # type: ignore[call-arg]
    with pytest.raises(dataclasses.FrozenInstanceError):
        verified.how = "replay"  # type: ignore[misc]


def test_registers_of_a_document_cannot_be_changed_afterwards() -> None:
    with pytest.raises(TypeError):
        verify().document.pcrs[0] = bytes(48)  # type: ignore[index]


def test_a_refusal_names_what_was_got_and_what_to_do() -> None:
    with pytest.raises(StaleDocumentError) as refusal:
        verify(now=AT + timedelta(hours=1))
    assert refusal.value.message == "signed 1:00:00 ago, expected at most 0:05:00"
    assert refusal.value.hint == "check this computer's clock, then ask for a fresh document"


def test_measurements_are_not_compared_when_any_will_do() -> None:
    assert verify(policy=AnyMeasurementUnsafe()).policy == "UNSAFE: any measurement"
