"""Changes of an agreement's releases: enough signers, in order, and what counts after them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from protos.formats.canonical import decode_untrusted, encode
from protos.formats.errors import FormatError
from protos.release.change import EndedRelease, ReleaseChange
from protos.release.errors import QuorumError, ReleaseChangeError
from protos.release.history import (
    CHANGED_AGREEMENT_MAX_BYTES,
    AgreedReleases,
    SignedChange,
    agreed_releases,
    read_changed_agreement_untrusted,
    releases_after,
    verify_changes_untrusted,
)
from tests.conformance.formats.sample_people import Person
from tests.conformance.formats.samples import AIRLINE, STRANGER, WEATHER, agreement
from tests.conformance.release.samples import change, changed, measured, newer, signed, word

(OWN,) = agreement().releases


def by(what: ReleaseChange, *who: Person) -> SignedChange:
    return SignedChange(what.encode(), tuple(word(person, what) for person in who))


@pytest.mark.parametrize("quorum", [1, 2, 3])
def test_as_many_parties_as_the_agreement_says(quorum: int) -> None:
    """K of N, for every K: one fewer is refused, K and more are enough."""
    people = (AIRLINE, WEATHER, STRANGER)
    three = replace(agreement(), parties=tuple(each.participant() for each in people), release_quorum=quorum)
    what = replace(change(), agreement_digest=three.digest())
    for count in range(4):
        if count < quorum:
            with pytest.raises(QuorumError, match=f"got {count} of 3 parties .*, expected {quorum}"):
                verify_changes_untrusted(three, [by(what, *people[:count])])
        else:
            agreed = verify_changes_untrusted(three, [by(what, *people[:count])])
            assert [each.party for each in agreed.changes[0][1]] == [each.id for each in people[:count]]


def test_nothing_else_makes_agreed_releases() -> None:
    with pytest.raises(TypeError, match="verify_changes_untrusted"):
        AgreedReleases(agreement(), (), (), object())


def test_without_changes_the_file_is_the_agreement() -> None:
    agreed = agreed_releases(agreement())
    assert (agreed.releases, agreed.encode(), agreed.head) == ((OWN,), agreement().encode(), bytes(48))
    assert agreed_releases(agreed) is agreed


def test_what_counts_after_a_change() -> None:
    assert changed().releases == (replace(OWN, valid_until_s=change().ended[0].valid_until_s), newer())
    assert changed().head == change().digest()
    assert releases_after(agreed_releases(agreement()), change()) == changed().releases


@pytest.mark.parametrize(("offset_s", "names"), [(1, ["0.1.0"]), (0, []), (-1, [])])
def test_a_release_that_ends_before_it_begins_is_not_accepted(offset_s: int, names: list[str]) -> None:
    begin_s = agreement().valid_from_s
    ended = EndedRelease(OWN.pcr0, OWN.root_sha256, begin_s + offset_s)
    agreed = verify_changes_untrusted(agreement(), [signed(replace(change(), added=(), ended=(ended,)))])
    assert [release.name for release in agreed.releases] == names


def test_what_is_gone_neither_ends_nor_comes_again() -> None:
    gone = EndedRelease(OWN.pcr0, OWN.root_sha256, 0)
    first = replace(change(), added=(), ended=(gone,))
    again = replace(first, number=2, previous=first.digest())
    with pytest.raises(ReleaseChangeError, match="which is no release here"):
        verify_changes_untrusted(agreement(), [signed(first), signed(again)])
    alike = replace(OWN, valid_from_s=newer().valid_from_s, valid_until_s=newer().valid_until_s)
    back = replace(again, added=(alike,), ended=())
    with pytest.raises(ReleaseChangeError, match="was there before"):
        verify_changes_untrusted(agreement(), [signed(first), signed(back)])


def many(count: int, number: int, previous: bytes) -> ReleaseChange:
    added = tuple(replace(newer(), pcr0=measured(f"{number} {index}")) for index in range(count))
    return replace(change(), number=number, previous=previous, added=added, ended=())


def test_no_more_releases_than_an_agreement_may_have() -> None:
    first = many(32, 1, bytes(48))
    fits, one_more = many(31, 2, first.digest()), many(32, 2, first.digest())
    assert len(verify_changes_untrusted(agreement(), [signed(first), signed(fits)]).releases) == 64
    with pytest.raises(ReleaseChangeError, match="got 65 releases, expected at most 64"):
        verify_changes_untrusted(agreement(), [signed(first), signed(one_more)])
    with pytest.raises(FormatError, match="got 65 added and 0 ended"):
        many(65, 1, bytes(48))


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("agreement", "text"),
        ("agreement", b""),
        ("changes", [{"change": b"", "approvals": [b"a"]}]),
        ("changes", [{"change": "text", "approvals": [b"a"]}]),
        ("changes", [{"change": b"a", "approvals": []}]),
        ("changes", [{"change": b"a", "approvals": ["text"]}]),
        ("changes", [{"change": b"a", "approvals": [b"a"], "note": "hello"}]),
        ("changes", [{"change": b"a"}]),
        ("changes", [b"a"]),
    ],
)
def test_parts_of_a_file_are_what_they_should_be(part: str, value: Any) -> None:
    fields = decode_untrusted(changed().encode(), max_bytes=CHANGED_AGREEMENT_MAX_BYTES, what="sample")
    with pytest.raises(FormatError):
        read_changed_agreement_untrusted(encode({**fields, part: value}))
