"""Messages of `protos.release` that have to be refused, each with the error that a reader has to raise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

from protos.formats.canonical import Value, encode
from protos.release.change import ReleaseChange
from protos.release.history import (
    CHANGED_AGREEMENT_LABEL,
    SignedChange,
    read_changed_agreement_untrusted,
    verify_changes_untrusted,
)
from protos.release.measurements import PublishedMeasurements
from tests.conformance.formats import samples as people
from tests.conformance.formats.refused import FORMAT, SIGNATURE, Path, Refused, changed, to
from tests.conformance.release import samples

WIDENING, FORK, ORDER, QUORUM = "WideningError", "ForkError", "ChangeOrderError", "QuorumError"
OTHER, NOT_AGREED, REFUSED = "OtherAgreementError", "ChangesNotAgreedError", "ReleaseChangeError"

READERS: dict[str, Callable[[bytes], object]] = {
    "release-change": ReleaseChange.decode_untrusted,
    "changed-agreement": lambda data: verify_changes_untrusted(*read_changed_agreement_untrusted(data)),
    "measurements": PublishedMeasurements.decode_untrusted,
}

CHANGES: tuple[tuple[str, Path, Callable[[Value], Value]], ...] = (
    ("the first, following another", ("previous",), to(bytes([1]) * 48)),
    ("the second, following none", ("number",), to(2)),
    ("number 0", ("number",), to(0)),
    ("PCR0 of a debug-mode enclave", ("added", 0, "pcr0"), to(bytes(48))),
    ("an added release without an end", ("added", 0, "valid_until_s"), to(None)),
    ("an added release without a beginning", ("added", 0, "valid_from_s"), to(None)),
    ("the same release added twice", ("added",), lambda added: added * 2),
    ("the same release ended twice", ("ended",), lambda ended: ended * 2),
    ("an end that is no time", ("ended", 0, "valid_until_s"), to("now")),
    ("a query", ("ended",), lambda ended: [{**ended[0], "queries": []}]),
    ("an agreement digest of 47 bytes", ("agreement",), to(bytes(47))),
)


def bundle(*signed: SignedChange, agreement: bytes | None = None) -> bytes:
    """A file as `AgreedReleases.encode` writes it, verified by nobody."""
    return encode(
        {
            "label": CHANGED_AGREEMENT_LABEL,
            "agreement": agreement or people.agreement().encode(),
            "changes": [{"change": one.change, "approvals": list(one.approvals)} for one in signed],
        }
    )


def signed_with(**fields: Any) -> SignedChange:
    """The good change with other fields, signed by both parties."""
    return samples.signed(replace(samples.change(), **fields))


def following(**fields: Any) -> SignedChange:
    """A second change that adds yet another release, with other fields."""
    third = replace(samples.newer(), name="0.3.0", pcr0=samples.measured("0.3.0 image"))
    usual: dict[str, Any] = {
        "number": 2,
        "previous": samples.change().digest(),
        "added": (third,),
        "ended": (),
    }
    return signed_with(**(usual | fields))


def added(**fields: Any) -> SignedChange:
    """The good change that adds another release."""
    return signed_with(added=(replace(samples.newer(), **fields),))


def histories() -> list[tuple[str, str, bytes]]:
    """(what is wrong, error, file) where every part is well-formed."""
    good, airline, weather = samples.signed(), samples.word(people.AIRLINE), samples.word(people.WEATHER)
    (own,), end_s = people.agreement().releases, people.agreement().valid_until_s
    (ended,) = samples.change().ended
    rigid = replace(people.agreement(), release_quorum=None)
    renamed = replace(people.agreement(), title="Another title")
    return [
        ("one signature too few", QUORUM, bundle(replace(good, approvals=(airline,)))),
        ("one party twice", SIGNATURE, bundle(replace(good, approvals=(airline, airline)))),
        ("a stranger", SIGNATURE, bundle(replace(good, approvals=(airline, samples.word(people.STRANGER))))),
        ("signatures of another change", SIGNATURE, bundle(replace(good, approvals=following().approvals))),
        (
            "the change itself as its signature",
            FORMAT,
            bundle(replace(good, approvals=(good.change, weather))),
        ),
        ("an old change again", ORDER, bundle(good, good)),
        ("a change missing", ORDER, bundle(following())),
        ("two changes with one number", FORK, bundle(good, added(name="0.2.1"))),
        ("a second change to another first", FORK, bundle(good, following(previous=bytes([1]) * 48))),
        ("a change of another agreement", OTHER, bundle(good, agreement=renamed.encode())),
        (
            "a change where none may be",
            NOT_AGREED,
            bundle(signed_with(agreement_digest=rigid.digest()), agreement=rigid.encode()),
        ),
        ("a later end", WIDENING, bundle(signed_with(ended=(replace(ended, valid_until_s=end_s - 1),)))),
        ("the same end", WIDENING, bundle(signed_with(ended=(replace(ended, valid_until_s=1_800_000_000),)))),
        (
            "a known release again",
            WIDENING,
            bundle(signed_with(added=(replace(own, valid_from_s=1_780_000_000),))),
        ),
        (
            "an ended release again",
            WIDENING,
            bundle(good, following(added=(replace(own, valid_from_s=1_780_000_000),))),
        ),
        ("another root", WIDENING, bundle(added(root_sha256=bytes([1]) * 32))),
        ("a release that outlives the agreement", WIDENING, bundle(added(valid_until_s=end_s + 1))),
        ("a release before the agreement", WIDENING, bundle(added(valid_from_s=1_767_225_599))),
        (
            "an end of a release nobody knows",
            REFUSED,
            bundle(signed_with(ended=(replace(ended, pcr0=bytes([1]) * 48),))),
        ),
        ("no change at all", FORMAT, bundle()),
    ]


def texts() -> list[tuple[str, bytes]]:
    """(what is wrong, file) of measurements."""
    good = samples.measurements().encode()
    inside = good.replace(b'  "version"', b'  "version": "0.1.0",\n  "version"')
    zero = good.replace(samples.newer().pcr2.hex().encode(), b"0" * 96)
    return [
        ("nothing", b""),
        ("no line feed at its end", good[:-1]),
        ("a space more", good.replace(b": {", b":  {", 1)),
        ("a key twice", inside),
        (
            "keys in another order",
            good.replace(b"pcr0", b"pcrx").replace(b"pcr1", b"pcr0").replace(b"pcrx", b"pcr1"),
        ),
        ("capitals", good.replace(b"0123456789", b"ABCDEF0123", 1)),
        ("zero, as in debug mode", zero),
        ("a byte order mark", b"\xef\xbb\xbf" + good),
        ("a day that is none", good.replace(b"2026-11-27", b"2026-11-31")),
        ("no inputs", good[: good.index(b'"inputs"')] + b'"inputs": {}\n}\n'),
        ("an input without a digest", good.replace(b"git:", b"tag:")),
        ("another format", good.replace(b"measurements/v1", b"measurements/v2")),
        ("deep", b"[" * 3_000),
        ("a number of thousands of digits", b"9" * 5_000),
    ]


@cache
def cases() -> tuple[Refused, ...]:
    """All of them."""
    good = samples.change().encode()
    return (
        *(Refused("release-change", what, FORMAT, changed(good, path, how)) for what, path, how in CHANGES),
        *(Refused("changed-agreement", what, error, message) for what, error, message in histories()),
        *(Refused("measurements", what, FORMAT, message) for what, message in texts()),
    )


def messages_of(name: str) -> list[bytes]:
    """What a fuzzer starts from."""
    good = {
        "release-change": samples.change().encode(),
        "changed-agreement": samples.changed().encode(),
        "measurements": samples.measurements().encode(),
    }
    return [good[name], *(case.message for case in cases() if case.format == name)]
