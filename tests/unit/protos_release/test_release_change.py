"""A change of releases and a party's word on it: refusal by refusal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from protos.formats import cose
from protos.formats.canonical import encode
from protos.formats.errors import FormatError, LimitExceededError, SignatureError
from protos.release.change import (
    CHANGE_APPROVAL_LABEL,
    CHANGE_MAX_BYTES,
    ChangeApproval,
    EndedRelease,
    ReleaseChange,
    verify_change_approval_untrusted,
)
from tests.conformance.formats.samples import AIRLINE, SIGNED_AT_S, agreement
from tests.conformance.release.samples import change, word

(OWN,) = agreement().releases


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pcr0": bytes(47)}, "ended release: pcr0: got 47 bytes, expected 48"),
        ({"root_sha256": bytes(48)}, "ended release: root_sha256: got 48 bytes, expected 32"),
        ({"valid_until_s": -1}, "ended release: valid_until_s: got -1"),
        ({"valid_until_s": True}, "ended release: valid_until_s: got bool"),
    ],
)
def test_end_refuses(changes: dict[str, Any], message: str) -> None:
    good = EndedRelease(OWN.pcr0, OWN.root_sha256, 1)
    with pytest.raises(FormatError, match=message):
        replace(good, **changes)
    with pytest.raises(FormatError, match=message):
        EndedRelease.from_value_untrusted({**good.to_value(), **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"agreement_digest": bytes(47)}, "agreement digest: got 47 bytes"),
        ({"number": "1"}, "number of the change: got str"),
        ({"number": 0}, "number of the change: got 0, expected 1 to 256"),
        ({"number": 257, "previous": bytes([1]) * 48}, "number of the change: got 257"),
        ({"previous": b""}, "previous change: got 0 bytes"),
        ({"number": 2}, "the first one, and no other, follows none"),
        ({"previous": bytes([1]) * 48}, "the first one, and no other, follows none"),
        ({"added": (), "ended": ()}, "got 0 added and 0 ended"),
        ({"added": change().added * 2}, "an added release stands twice"),
        ({"ended": change().ended * 2}, "an ended release stands twice"),
        ({"added": (OWN,)}, "got one end of its validity or none"),
    ],
)
def test_change_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        replace(change(), **changes)


def test_change_comes_back() -> None:
    assert ReleaseChange.decode_untrusted(change().encode()) == change()
    last = replace(change(), number=256, previous=change().digest())
    assert ReleaseChange.decode_untrusted(last.encode()) == last
    with pytest.raises(LimitExceededError):
        ReleaseChange.decode_untrusted(bytes(CHANGE_MAX_BYTES + 1))


@pytest.mark.parametrize("key", ["added", "ended"])
def test_lists_are_lists(key: str) -> None:
    fields = {
        "label": "concordat/release-change/v1",
        "agreement": change().agreement_digest,
        "number": 1,
        "previous": bytes(48),
        "added": [release.to_value() for release in change().added],
        "ended": [],
    }
    assert ReleaseChange.decode_untrusted(encode(fields)) == replace(change(), ended=())
    with pytest.raises(FormatError, match=f"{key}: got dict, expected a list"):
        ReleaseChange.decode_untrusted(encode({**fields, key: {}}))


def said(**changes: Any) -> bytes:
    """The airline's word with other fields, under a good signature."""
    fields = {
        "label": CHANGE_APPROVAL_LABEL,
        "change": change().digest(),
        "party": "airline",
        "signed_at_s": SIGNED_AT_S,
    }
    return cose.sign(encode({**fields, **changes}), typ=CHANGE_APPROVAL_LABEL, key=AIRLINE.signing)


def test_a_word_is_read() -> None:
    assert said() == word(AIRLINE)
    read = verify_change_approval_untrusted(agreement(), change(), word(AIRLINE))
    assert read == ChangeApproval(change().digest(), "airline", SIGNED_AT_S)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"change": bytes(48)}, SignatureError),
        ({"change": bytes(47)}, FormatError),
        ({"party": "weather"}, SignatureError),
        ({"party": "Airline"}, FormatError),
        ({"signed_at_s": -1}, FormatError),
        ({"label": "concordat/approval/v1"}, FormatError),
        ({"comment": "yes"}, FormatError),
    ],
)
def test_a_word_that_says_something_else_is_refused(changes: dict[str, Any], error: type) -> None:
    with pytest.raises(error):
        verify_change_approval_untrusted(agreement(), change(), said(**changes))
