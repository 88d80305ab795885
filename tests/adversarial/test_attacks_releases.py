"""Attacks on which code is accepted, by changes of an agreement's releases: too few signed, old, widened.

Row 45. Every attack is tried with well-made bytes; with enclaves: `test_attacks_release_enclaves`.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from protos.formats.errors import ConcordatError, FormatError, SignatureError
from protos.formats.participants import Release
from protos.release.change import ReleaseChange, sign_change
from protos.release.errors import (
    ChangeOrderError,
    ChangesNotAgreedError,
    ForkError,
    OtherAgreementError,
    QuorumError,
    WideningError,
)
from protos.release.history import (
    SignedChange,
    verify_changes_untrusted,
)
from protos.release.roots import UNSIGNED_EMULATOR_SHA256
from tests.releases_world import (
    AHEAD_S,
    NOW_S,
    OLD,
    agreed_on,
    change,
    ended,
    newer,
    signed,
)
from tests.world import (
    ANALYST,
    PCRS,
    PUBLISHER,
    STRANGER,
    VALID_FROM_S,
    VALID_UNTIL_S,
    approve,
)

# --- who may change ----------------------------------------------------------------------------------------


def test_attack_45_a_change_that_too_few_parties_signed() -> None:
    agreed = agreed_on()
    assert verify_changes_untrusted(agreed, [signed(change(agreed))]).releases[1].name == "2.0"
    with pytest.raises(QuorumError, match=r"got 1 of 2 parties \(publisher\), expected 2"):
        verify_changes_untrusted(agreed, [signed(change(agreed), PUBLISHER)])


def test_attack_45_a_change_that_nobody_signed() -> None:
    agreed = agreed_on()
    for quorum in (1, 2):
        one = replace(agreed, release_quorum=quorum)
        with pytest.raises(QuorumError, match="nobody"):
            verify_changes_untrusted(one, [SignedChange(change(one).encode(), ())])


def test_attack_45_one_party_signs_for_two() -> None:
    agreed = agreed_on()
    with pytest.raises(SignatureError, match="publisher signed twice"):
        verify_changes_untrusted(agreed, [signed(change(agreed), PUBLISHER, PUBLISHER)])
    as_other = sign_change(
        change(agreed).digest(), party="advertiser", key=PUBLISHER.signing_key, signed_at_s=NOW_S
    )
    mine = signed(change(agreed), PUBLISHER).approvals
    with pytest.raises(SignatureError, match="the key is publisher's"):
        verify_changes_untrusted(agreed, [SignedChange(change(agreed).encode(), (*mine, as_other))])


def test_attack_45_a_change_that_a_stranger_signed() -> None:
    agreed = agreed_on()
    with pytest.raises(SignatureError, match="no party of this agreement"):
        verify_changes_untrusted(agreed, [signed(change(agreed), PUBLISHER, STRANGER)])


def test_attack_45_an_analyst_is_no_party() -> None:
    agreed = agreed_on()
    with pytest.raises(SignatureError, match="no party of this agreement"):
        verify_changes_untrusted(agreed, [signed(change(agreed), PUBLISHER, ANALYST)])


def test_attack_45_a_change_of_an_agreement_that_allows_none() -> None:
    agreed = agreed_on(release_quorum=None)
    with pytest.raises(ChangesNotAgreedError):
        verify_changes_untrusted(agreed, [signed(change(agreed))])


def test_attack_45_an_approval_of_the_agreement_is_no_word_on_a_change() -> None:
    agreed = agreed_on()
    with pytest.raises(SignatureError, match="another kind of message"):
        verify_changes_untrusted(agreed, [SignedChange(change(agreed).encode(), tuple(approve(agreed)))])


# --- in which order ----------------------------------------------------------------------------------------


def test_attack_45_a_change_of_another_agreement() -> None:
    agreed, other = agreed_on(), agreed_on(title="Another")
    with pytest.raises(OtherAgreementError):
        verify_changes_untrusted(agreed, [signed(change(other))])


def test_attack_45_an_old_change_is_replayed() -> None:
    """It added a release that a second change ended; it comes once more, and alone after the second."""
    agreed = agreed_on()
    first = change(agreed)
    second = change(
        agreed, number=2, previous=first.digest(), added=(), ended=(ended(first.added[0], AHEAD_S),)
    )
    after = verify_changes_untrusted(agreed, [signed(first), signed(second)])
    assert after.releases[1].valid_until_s == AHEAD_S
    with pytest.raises(ChangeOrderError, match="got release change 1 after 2 others"):
        verify_changes_untrusted(agreed, [signed(first), signed(second), signed(first)])
    with pytest.raises(ChangeOrderError, match="got release change 2 after 0 others"):
        verify_changes_untrusted(agreed, [signed(second)])


def test_attack_45_two_histories_are_a_fork_and_its_signers_are_named() -> None:
    agreed = agreed_on()
    one, other = change(agreed), change(agreed, added=(newer(name="2.1", pcr0=bytes([5]) * 48),))
    with pytest.raises(ForkError, match="publisher") as caught:
        verify_changes_untrusted(agreed, [signed(one), signed(other)])
    for digest in (one.digest(), other.digest()):
        assert digest.hex()[:16] in caught.value.message
    on_other = change(
        agreed, number=2, previous=other.digest(), added=(), ended=(ended(one.added[0], AHEAD_S),)
    )
    with pytest.raises(ForkError, match="follows"):
        verify_changes_untrusted(agreed, [signed(one), signed(on_other)])


# --- how far -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "release",
    [
        newer(bytes([2]) * 32),
        newer(UNSIGNED_EMULATOR_SHA256),
        newer(valid_until_s=VALID_UNTIL_S + 1),
        newer(valid_from_s=VALID_FROM_S - 1),
        replace(OLD, valid_from_s=VALID_FROM_S, valid_until_s=VALID_UNTIL_S),
    ],
    ids=["another root", "the emulator", "after the agreement", "before the agreement", "the old one again"],
)
def test_attack_45_everybody_signs_more_than_a_change_may_do(release: Release) -> None:
    agreed = agreed_on()
    with pytest.raises(WideningError):
        verify_changes_untrusted(agreed, [signed(change(agreed, added=(release,)))])


def test_attack_45_a_change_that_gives_an_old_release_a_longer_life() -> None:
    agreed = agreed_on(releases=(replace(OLD, valid_until_s=AHEAD_S),))
    for until_s in (AHEAD_S, AHEAD_S + 1, VALID_UNTIL_S):
        longer = change(agreed, added=(), ended=(ended(OLD, until_s),))
        with pytest.raises(WideningError, match="expected an earlier end"):
            verify_changes_untrusted(agreed, [signed(longer)])
    first = change(agreed, added=(), ended=(ended(OLD, NOW_S),))
    again = change(agreed, number=2, previous=first.digest(), added=(), ended=(ended(OLD, NOW_S + 1),))
    with pytest.raises(WideningError):
        verify_changes_untrusted(agreed, [signed(first), signed(again)])


def test_attack_45_a_debug_mode_enclave_cannot_be_added() -> None:
    with pytest.raises(FormatError, match="pcr0 is all zero"):
        newer(pcr0=bytes(48))
    encoded = change(agreed_on()).encode().replace(PCRS[0], bytes(48))
    with pytest.raises(FormatError, match="pcr0 is all zero"):
        ReleaseChange.decode_untrusted(encoded)


def test_attack_45_a_change_says_nothing_but_releases() -> None:
    """Not one key beside those of releases has a place in it, so no query, party or rule can ride along."""
    agreed = agreed_on()
    after = verify_changes_untrusted(agreed, [signed(change(agreed))])
    assert after.agreement is agreed
    assert set(vars(change(agreed))) == {"agreement_digest", "number", "previous", "added", "ended"}


def test_errors_of_changes_tell_what_to_do_next() -> None:
    agreed = agreed_on()
    with pytest.raises(ConcordatError) as caught:
        verify_changes_untrusted(agreed, [signed(change(agreed), PUBLISHER)])
    assert "release-change sign" in (caught.value.hint or "")
