"""An agreement of the world whose releases two parties may change, and changes of it; for several tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from party_client.identity import Identity
from protos.formats.agreement import Agreement
from protos.formats.participants import Release
from protos.release.change import EndedRelease, ReleaseChange, sign_change
from protos.release.history import SignedChange
from tests.world import ADVERTISER, PCRS, PUBLISHER, VALID_FROM_S, VALID_UNTIL_S, agreement

OLD = Release("1.0", b"\x07" * 48, b"\x08" * 48, b"\x09" * 48, b"\x01" * 32)
NOW_S = int(datetime.now(UTC).timestamp())
AHEAD_S = NOW_S + 86_400
ROOT = bytes([1]) * 32


def agreed_on(root_sha256: bytes = ROOT, **changes: Any) -> Agreement:
    """The world's agreement on an older release, that both parties together may change."""
    releases = (replace(OLD, root_sha256=root_sha256),)
    return agreement(root_sha256, **{"releases": releases, "release_quorum": 2, **changes})


def newer(root_sha256: bytes = ROOT, **changes: Any) -> Release:
    """The world's own code as the release to move to."""
    pcr0, pcr1, pcr2 = PCRS[:3]
    base = Release("2.0", pcr0, pcr1, pcr2, root_sha256, VALID_FROM_S, VALID_UNTIL_S)
    return replace(base, **changes)


def change(agreed: Agreement, **fields: Any) -> ReleaseChange:
    usual: dict[str, Any] = {
        "agreement_digest": agreed.digest(),
        "number": 1,
        "previous": bytes(48),
        "added": (newer(agreed.releases[0].root_sha256),),
        "ended": (),
    }
    return ReleaseChange(**(usual | fields))


def signed(what: ReleaseChange, *who: Identity) -> SignedChange:
    return SignedChange(
        what.encode(),
        tuple(
            sign_change(what.digest(), party=each.id, key=each.signing_key, signed_at_s=NOW_S)
            for each in who or (PUBLISHER, ADVERTISER)
        ),
    )


def ended(release: Release, until_s: int) -> EndedRelease:
    return EndedRelease(release.pcr0, release.root_sha256, until_s)
