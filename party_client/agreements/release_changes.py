"""Proposing, signing and collecting changes of the releases that an agreement accepts.

What others hand over is verified before it is believed or signed: `sign_release_change` signs nothing that
could not stand. Raises `ReleaseChangeError`, `SignatureError`, `FormatError` or `AgreementError`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from party_client.agreements.errors import AgreementError
from party_client.agreements.releases import gaps
from party_client.agreements.signing import require_party
from party_client.identity import Identity
from party_client.times import time_text, validity_text
from protos.formats.participants import Release
from protos.release.change import EndedRelease, ReleaseChange, sign_change, verify_change_approval_untrusted
from protos.release.history import AgreedReleases, SignedChange, releases_after, verify_changes_untrusted


def propose(agreed: AgreedReleases, *, added: Sequence[Release], ends_s: Mapping[str, int]) -> ReleaseChange:
    """The next change: it adds `added` and moves the end of releases, by name, to an earlier second.

    People tell releases apart by name, and later changes end them by it: an added one has a name of its own.
    """
    names = [release.name for release in (*agreed.releases, *added)]
    for release in added:
        if names.count(release.name) > 1:
            raise AgreementError(
                f"release {release.name!r}: got {names.count(release.name)} releases of this name, "
                "expected one",
                hint="give the added release another `name`, such as the next version",
            )
    change = ReleaseChange(
        agreement_digest=agreed.agreement.digest(),
        number=len(agreed.changes) + 1,
        previous=agreed.head,
        added=tuple(added),
        ended=tuple(_ended(agreed, name, end_s) for name, end_s in ends_s.items()),
    )
    releases_after(agreed, change)
    return change


def sign_release_change(
    agreed: AgreedReleases, change: ReleaseChange, identity: Identity, *, now: datetime
) -> bytes:
    """The word of `identity` on `change`, if it is a party and the change could stand."""
    require_party(agreed.agreement, identity)
    releases_after(agreed, change)
    return sign_change(
        change.digest(), party=identity.id, key=identity.signing_key, signed_at_s=int(now.timestamp())
    )


def with_change(agreed: AgreedReleases, change: ReleaseChange, approvals: Sequence[bytes]) -> AgreedReleases:
    """`agreed` after `change`, signed with `approvals`, which are put in the order of the parties."""
    order = [party.id for party in agreed.agreement.parties]
    found = [
        (order.index(verify_change_approval_untrusted(agreed.agreement, change, message).party), message)
        for message in approvals
    ]
    signed = SignedChange(change.encode(), tuple(message for _, message in sorted(found)))
    return verify_changes_untrusted(agreed.agreement, (*agreed.signed, signed))


def change_sentences(agreed: AgreedReleases, change: ReleaseChange) -> list[str]:
    """What `change` would do to the releases that count now, for people."""
    names = {(release.pcr0, release.root_sha256): release.name for release in agreed.releases}
    return [
        *(
            f"adds release {added.name!r}, valid {validity_text(added.valid_from_s, added.valid_until_s)}: "
            f"PCR0 {added.pcr0.hex()}"
            for added in change.added
        ),
        *(
            f"ends release {names.get((ended.pcr0, ended.root_sha256), 'unknown here')!r} at "
            f"{time_text(ended.valid_until_s)}: PCR0 {ended.pcr0.hex()}"
            for ended in change.ended
        ),
    ]


def gap_sentences(agreed: AgreedReleases, releases: Sequence[Release]) -> list[str]:
    """Times of the agreement at which none of `releases` is valid, so that no enclave would be accepted."""
    return [
        f"no release is valid from {time_text(begin)} until {time_text(end)}: no enclave is accepted then"
        for begin, end in gaps(agreed.agreement, releases)
    ]


def _ended(agreed: AgreedReleases, name: str, end_s: int) -> EndedRelease:
    found = [release for release in agreed.releases if release.name == name]
    if len(found) != 1:
        names = ", ".join(repr(release.name) for release in agreed.releases)
        raise AgreementError(
            f"release {name!r}: got {len(found)} releases of this name, expected one",
            hint=f"known here: {names}",
        )
    return EndedRelease(found[0].pcr0, found[0].root_sha256, end_s)
