"""What holds for all releases and all changes: a validity never widens, a change touches nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from party_client.agreements.releases import gaps
from party_client.attestation import TrustedRoots, VerifiedAttestation, verify_replay
from party_client.attestation.errors import ReleaseNotValidError
from party_client.attestation.expectations import AllowedReleases, require_release
from protos.formats.agreement import Agreement
from protos.formats.errors import ConcordatError
from protos.formats.participants import Release
from protos.release.change import EndedRelease, ReleaseChange
from protos.release.errors import ReleaseChangeError
from protos.release.history import (
    AgreedReleases,
    read_changed_agreement_untrusted,
    verify_changes_untrusted,
)
from tests.conformance.formats import samples as people
from tests.conformance.release import samples

AGREEMENT = people.agreement()
(OWN,) = AGREEMENT.releases
ROOTS = TrustedRoots.from_pem(people.laboratory().chain.root.pem, name="test")
FIRST_S, LAST_S = AGREEMENT.valid_from_s - 5, AGREEMENT.valid_until_s + 5
TIMES = st.integers(FIRST_S, LAST_S)
ENDS = st.none() | TIMES


def attested() -> VerifiedAttestation:
    policy = AllowedReleases([replace(OWN, valid_until_s=None)])
    return verify_replay(people.receipt().attestation, roots=ROOTS, policy=policy)


ATTESTED = attested()
SIGNED_AT = ATTESTED.document.signed_at
NEAR = st.none() | st.integers(-3, 3).map(lambda offset: int(SIGNED_AT.timestamp()) + offset)


@given(NEAR, NEAR, st.none() | st.integers(-3, 3))
def test_a_validity_never_widens(begin_s: int | None, end_s: int | None, offset_s: int | None) -> None:
    """What is accepted with a validity is accepted without; the rest is refused by name."""
    now = None if offset_s is None else SIGNED_AT + timedelta(seconds=offset_s)
    if begin_s is not None and end_s is not None and begin_s >= end_s:
        return
    bounded = replace(OWN, valid_from_s=begin_s, valid_until_s=end_s)
    always = replace(OWN, valid_from_s=None, valid_until_s=None)
    assert require_release(ATTESTED.document, ATTESTED.root, [always], now=now) is always
    times_s = [time.timestamp() for time in (SIGNED_AT, now or SIGNED_AT)]
    inside = all((begin_s or 0) <= time_s < (end_s or 2**62) for time_s in times_s)
    if inside:
        assert require_release(ATTESTED.document, ATTESTED.root, [bounded], now=now) is bounded
    else:
        with pytest.raises(ReleaseNotValidError):
            require_release(ATTESTED.document, ATTESTED.root, [bounded], now=now)


@given(st.lists(st.tuples(ENDS, ENDS), max_size=4))
def test_gaps_are_the_times_without_a_release(spans: list[tuple[int | None, int | None]]) -> None:
    releases = [
        replace(OWN, valid_from_s=begin, valid_until_s=end)
        for begin, end in spans
        if begin is None or end is None or begin < end
    ]
    found = gaps(AGREEMENT, releases)
    interesting = {time + step for span in spans for time in span if time is not None for step in (-1, 0)}
    for time_s in {*interesting, AGREEMENT.valid_from_s, AGREEMENT.valid_until_s - 1}:
        if AGREEMENT.valid_from_s <= time_s < AGREEMENT.valid_until_s:
            in_gap = any(begin <= time_s < end for begin, end in found)
            assert in_gap == (not any(release.is_valid_at(time_s) for release in releases))


def changes_of(data: st.DataObject, before: AgreedReleases) -> ReleaseChange | None:
    """Some next change, good or not."""
    number = len(before.changes) + 1
    known = [*before.agreement.releases, samples.newer()]
    spans = data.draw(st.lists(st.tuples(TIMES, TIMES), max_size=2))
    added = [
        replace(
            samples.newer(),
            name=f"{number}.{index}",
            pcr0=bytes([number, index + 1]) * 24,
            valid_from_s=begin_s,
            valid_until_s=end_s,
        )
        for index, (begin_s, end_s) in enumerate(spans)
        if begin_s < end_s
    ]
    ended = [
        EndedRelease(release.pcr0, release.root_sha256, data.draw(TIMES))
        for release in data.draw(st.lists(st.sampled_from(known), unique=True, max_size=2))
    ]
    if not added and not ended:
        return None
    return ReleaseChange(before.agreement.digest(), number, before.head, tuple(added), tuple(ended))


def accepted(releases: tuple[Release, ...], agreement: Agreement, time_s: int) -> set[bytes]:
    if not agreement.valid_from_s <= time_s < agreement.valid_until_s:
        return set()
    return {release.pcr0 for release in releases if release.is_valid_at(time_s)}


@given(st.data())
def test_a_change_adds_what_it_names_and_never_lengthens(data: st.DataObject) -> None:
    agreed = verify_changes_untrusted(AGREEMENT, (samples.signed(),) if data.draw(st.booleans()) else ())
    times = data.draw(st.lists(TIMES, min_size=1, max_size=8))
    for _ in range(data.draw(st.integers(1, 3))):
        change = changes_of(data, agreed)
        if change is None:
            return
        try:
            after = verify_changes_untrusted(AGREEMENT, (*agreed.signed, samples.signed(change)))
        except ReleaseChangeError:
            return
        new = {release.pcr0 for release in change.added}
        for time_s in times:
            before, now = (accepted(each.releases, AGREEMENT, time_s) for each in (agreed, after))
            assert now <= before | new
        assert {release.root_sha256 for release in after.releases} <= {OWN.root_sha256}
        assert after.agreement.digest() == AGREEMENT.digest()
        assert verify_changes_untrusted(*read_changed_agreement_untrusted(after.encode())).releases == (
            after.releases
        )
        agreed = after


@given(st.integers(0, 2**16), st.integers(0, 7))
def test_a_changed_bit_is_refused_or_says_something_else(at: int, bit: int) -> None:
    good = samples.changed().encode()
    data = bytearray(good)
    data[at % len(data)] ^= 1 << bit
    try:
        read = verify_changes_untrusted(*read_changed_agreement_untrusted(bytes(data)))
    except ConcordatError:
        return
    raise AssertionError(f"every bit is signed: got {read.releases}")


def test_times_are_compared_in_utc() -> None:
    """A document's time is aware; so is a clock in another zone."""
    zone_less = datetime.fromtimestamp(SIGNED_AT.timestamp(), UTC)
    assert require_release(ATTESTED.document, ATTESTED.root, [OWN], now=zone_less) is OWN
