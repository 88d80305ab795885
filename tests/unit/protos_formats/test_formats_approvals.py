"""An agreement is in force with one approval of each party, whatever else was pinned to it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protos.formats import cose, limits
from protos.formats.approvals import (
    APPROVAL_LABEL,
    AgreementInForce,
    genuine_approvals_untrusted,
    sign_approval,
    verify_approval_untrusted,
    verify_approvals_untrusted,
)
from protos.formats.canonical import encode
from protos.formats.errors import ConcordatError, FormatError, SignatureError
from tests.conformance.formats.samples import (
    AIRLINE,
    ANALYST,
    SIGNED_AT_S,
    STRANGER,
    WEATHER,
    agreement,
    approval,
)

DIGEST = agreement().digest()


def test_in_force() -> None:
    in_force = verify_approvals_untrusted(agreement(), [approval(AIRLINE), approval(WEATHER)])
    assert (in_force.agreement, in_force.digest) == (agreement(), DIGEST)
    assert [given.party for given in in_force.approvals] == ["airline", "weather"]
    assert [given.signed_at_s for given in in_force.approvals] == [SIGNED_AT_S] * 2


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ([], "not in force: airline, weather of 2 parties did not sign"),
        ([approval(AIRLINE)], "not in force: weather of 2 parties did not sign"),
        ([approval(AIRLINE), approval(AIRLINE)], "approval of airline: signed twice"),
        ([approval(AIRLINE), approval(WEATHER), approval(AIRLINE)], "approval of airline: signed twice"),
        ([approval(AIRLINE), approval(WEATHER), approval(STRANGER)], "a key that no party"),
        ([approval(AIRLINE), approval(ANALYST)], "a key that no party"),
        ([approval(WEATHER), approval(AIRLINE)], "got those of weather, airline, expected them in the"),
    ],
)
def test_not_in_force(messages: list[bytes], text: str) -> None:
    with pytest.raises(SignatureError, match=text) as caught:
        verify_approvals_untrusted(agreement(), messages)
    assert caught.value.hint


JUNK = (
    b"junk",
    bytes(limits.APPROVAL_MAX_BYTES),
    approval(STRANGER),
    approval(ANALYST),
    approval(AIRLINE, agreed=replace(agreement(), purpose="Another purpose")),
    approval(AIRLINE)[:-1] + bytes([approval(AIRLINE)[-1] ^ 1]),
)


def test_genuine_approvals_are_found_among_anything() -> None:
    airline, weather = approval(AIRLINE), approval(WEATHER)
    for messages in ([weather, airline], [*JUNK, weather, *JUNK, airline, *JUNK]):
        assert genuine_approvals_untrusted(agreement(), messages) == (airline, weather)
    assert genuine_approvals_untrusted(agreement(), [*JUNK, weather]) == (weather,)
    assert genuine_approvals_untrusted(agreement(), JUNK) == ()


def test_the_first_genuine_approval_of_a_party_counts() -> None:
    later = sign_approval(DIGEST, party="airline", key=AIRLINE.signing, signed_at_s=SIGNED_AT_S + 1)
    for first, second in ((approval(AIRLINE), later), (later, approval(AIRLINE))):
        assert genuine_approvals_untrusted(agreement(), [*JUNK, first, second]) == (first,)


def test_nothing_else_makes_an_agreement_in_force() -> None:
    with pytest.raises(TypeError, match="comes from verify_approvals_untrusted only"):
        AgreementInForce(agreement(), (), object())


def signed(value: object, *, typ: str = APPROVAL_LABEL) -> bytes:
    return cose.sign(encode(value), typ=typ, key=AIRLINE.signing)


GOOD = {"label": APPROVAL_LABEL, "agreement": DIGEST, "party": "airline", "signed_at_s": SIGNED_AT_S}


@pytest.mark.parametrize(
    ("message", "expect", "text"),
    [
        (b"", FormatError, "approval: ends in the middle"),
        (signed(GOOD, typ="concordat/manifest/v1"), SignatureError, "as another kind of message"),
        (signed({**GOOD, "party": "weather"}), SignatureError, "the key is airline's, the text says weather"),
        (
            signed({**GOOD, "agreement": bytes(48)}),
            SignatureError,
            "airline: signed agreement 0000",
        ),
        (
            signed({**GOOD, "agreement": bytes(32)}),
            FormatError,
            "agreement digest: got 32 bytes",
        ),
        (signed({**GOOD, "signed_at_s": -1}), FormatError, "signed_at_s: got -1"),
        (signed({**GOOD, "party": "Air"}), FormatError, "party: got 'Air'"),
        (signed({**GOOD, "note": "yes"}), FormatError, "unknown keys"),
        (signed([]), FormatError, "got list, expected a map"),
    ],
)
def test_approval_refused(message: bytes, expect: type[ConcordatError], text: str) -> None:
    with pytest.raises(expect, match=text) as caught:
        verify_approval_untrusted(agreement(), message)
    assert type(caught.value) is expect


def test_an_approval_is_for_one_agreement() -> None:
    other = replace(agreement(), purpose="Another purpose")
    with pytest.raises(SignatureError, match=other.digest().hex()[:16]):
        verify_approval_untrusted(other, approval(AIRLINE))
