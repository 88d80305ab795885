"""One message of every format of `protos.release`, by the people of `formats.samples`, fitting each other."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import cache

from protos.formats.participants import Release
from protos.release.change import EndedRelease, ReleaseChange, sign_change
from protos.release.history import AgreedReleases, SignedChange, verify_changes_untrusted
from protos.release.measurements import PublishedMeasurements, sign_measurements
from tests.conformance.formats import samples
from tests.conformance.formats.sample_people import Person

MOVED_S = 1_790_000_000
"""When the first change ends the agreement's own release."""


def measured(what: str) -> bytes:
    return hashlib.sha384(what.encode()).digest()


@cache
def newer() -> Release:
    """A second release under the same root, whose validity overlaps the first one's."""
    (own,) = samples.agreement().releases
    return replace(
        own,
        name="0.2.0",
        pcr0=measured("0.2.0 image"),
        pcr1=measured("0.2.0 system"),
        pcr2=measured("0.2.0 application"),
        valid_from_s=MOVED_S - 86_400,
        valid_until_s=samples.agreement().valid_until_s,
    )


@cache
def change() -> ReleaseChange:
    (own,) = samples.agreement().releases
    return ReleaseChange(
        agreement_digest=samples.agreement().digest(),
        number=1,
        previous=bytes(48),
        added=(newer(),),
        ended=(EndedRelease(own.pcr0, own.root_sha256, MOVED_S),),
    )


def word(person: Person, of: ReleaseChange | None = None) -> bytes:
    """The signed word of somebody on a change."""
    digest = (of or change()).digest()
    return sign_change(digest, party=person.id, key=person.signing, signed_at_s=samples.SIGNED_AT_S)


def signed(of: ReleaseChange | None = None) -> SignedChange:
    """A change that both parties signed."""
    of = of or change()
    return SignedChange(of.encode(), (word(samples.AIRLINE, of), word(samples.WEATHER, of)))


@cache
def changed() -> AgreedReleases:
    return verify_changes_untrusted(samples.agreement(), (signed(),))


@cache
def measurements() -> PublishedMeasurements:
    release = newer()
    return PublishedMeasurements(
        version="0.2.0",
        built_on="2026-11-27",
        pcr0=release.pcr0,
        pcr1=release.pcr1,
        pcr2=release.pcr2,
        inputs={
            "requirements/enclave.lock": "sha256:" + hashlib.sha256(b"a lock").hexdigest(),
            "source": "git:" + "0123456789" * 4,
        },
    )


def measurements_signature(person: Person = samples.AIRLINE, data: bytes | None = None) -> bytes:
    return sign_measurements(
        measurements().encode() if data is None else data,
        signer=person.id,
        key=person.signing,
        signed_at_s=samples.SIGNED_AT_S,
    )
