"""One change of the releases that an agreement accepts, and one party's signed word on it.

The bytes come from other parties. A change names its agreement, its number and the change before it, and
says nothing about anything but releases: which are added, each with both ends of its validity, and when known
ones end. Whether it may stand is for `history`. Followed: protos/README.md, "Release change".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protos.formats import cose, limits
from protos.formats.agreement import Agreement
from protos.formats.canonical import (
    Value,
    decode_map_untrusted,
    digest,
    encode,
    require_bytes,
    require_fields,
    require_int,
    require_list,
)
from protos.formats.errors import FormatError, SignatureError
from protos.formats.identifiers import DIGEST_BYTES, require_slug
from protos.formats.participants import FINGERPRINT_BYTES, Release

CHANGE_LABEL: Final = "concordat/release-change/v1"
CHANGE_APPROVAL_LABEL: Final = "concordat/release-change-approval/v1"
NO_CHANGE: Final = bytes(DIGEST_BYTES)
"""In place of the digest of the change before the first."""
CHANGE_MAX_BYTES: Final = 32 * limits.KIB
CHANGES_MAX: Final = 256
"""Of one agreement."""


@dataclass(frozen=True)
class EndedRelease:
    """A known release, by what it is told apart by, and when it is over."""

    pcr0: bytes
    root_sha256: bytes
    valid_until_s: int
    """Exclusive; earlier than it was."""

    def __post_init__(self) -> None:
        require_bytes(self.pcr0, what="ended release: pcr0", length=DIGEST_BYTES)
        require_bytes(self.root_sha256, what="ended release: root_sha256", length=FINGERPRINT_BYTES)
        require_int(self.valid_until_s, what="ended release: valid_until_s")

    def to_value(self) -> Value:
        """The end as it stands in the change."""
        return {
            "pcr0": self.pcr0,
            "root_sha256": self.root_sha256,
            "valid_until_s": self.valid_until_s,
        }

    @classmethod
    def from_value_untrusted(cls, value: Value) -> EndedRelease:
        """Inverse of `to_value`."""
        keys = frozenset({"pcr0", "root_sha256", "valid_until_s"})
        return cls(**require_fields(value, keys, what="ended release"))


@dataclass(frozen=True)
class ReleaseChange:
    """See the module."""

    agreement_digest: bytes
    number: int
    """1 for the first change of the agreement."""
    previous: bytes
    """Digest of change `number` - 1; `NO_CHANGE` for the first."""
    added: tuple[Release, ...]
    ended: tuple[EndedRelease, ...]

    def __post_init__(self) -> None:
        require_bytes(self.agreement_digest, what="agreement digest", length=DIGEST_BYTES)
        require_int(self.number, what="number of the change", low=1, high=CHANGES_MAX)
        require_bytes(self.previous, what="previous change", length=DIGEST_BYTES)
        if (self.number == 1) != (self.previous == NO_CHANGE):
            raise FormatError("release change: the first one, and no other, follows none")
        if not 1 <= len(self.added) + len(self.ended) <= limits.PARTIES_MAX:
            raise FormatError(
                f"release change: got {len(self.added)} added and {len(self.ended)} ended, expected 1 to "
                f"{limits.PARTIES_MAX} together"
            )
        _require_distinct("added release", ((item.pcr0, item.root_sha256) for item in self.added))
        _require_distinct("ended release", ((item.pcr0, item.root_sha256) for item in self.ended))
        for release in self.added:
            if release.valid_from_s is None or release.valid_until_s is None:
                raise FormatError(
                    f"release {release.name}: got one end of its validity or none, expected both",
                    hint="say from when and until when the added release may be relied on",
                )

    def encode(self) -> bytes:
        """Canonical bytes; what `digest` is over."""
        return encode(
            {
                "label": CHANGE_LABEL,
                "agreement": self.agreement_digest,
                "number": self.number,
                "previous": self.previous,
                "added": [item.to_value() for item in self.added],
                "ended": [item.to_value() for item in self.ended],
            }
        )

    def digest(self) -> bytes:
        """The 48 bytes that parties sign and that the next change names."""
        return digest(CHANGE_LABEL, self.encode())

    @classmethod
    def decode_untrusted(cls, data: bytes) -> ReleaseChange:
        """The change that `data` encodes. Raises `FormatError`."""
        keys = frozenset({"agreement", "number", "previous", "added", "ended"})
        fields = decode_map_untrusted(data, label=CHANGE_LABEL, keys=keys, max_bytes=CHANGE_MAX_BYTES)
        added = require_list(fields["added"], what="added", max_items=limits.PARTIES_MAX)
        ended = require_list(fields["ended"], what="ended", max_items=limits.PARTIES_MAX)
        return cls(
            agreement_digest=fields["agreement"],
            number=fields["number"],
            previous=fields["previous"],
            added=tuple(map(Release.from_value_untrusted, added)),
            ended=tuple(map(EndedRelease.from_value_untrusted, ended)),
        )


@dataclass(frozen=True)
class ChangeApproval:
    """One party's signed yes to one change."""

    change_digest: bytes
    party: str
    signed_at_s: int
    """When the party says it signed; informative, nothing is decided by it."""


def sign_change(change_digest: bytes, *, party: str, key: Ed25519PrivateKey, signed_at_s: int) -> bytes:
    """The word of `party` on the change with this digest."""
    payload = encode(
        {
            "label": CHANGE_APPROVAL_LABEL,
            "change": change_digest,
            "party": party,
            "signed_at_s": signed_at_s,
        }
    )
    return cose.sign(payload, typ=CHANGE_APPROVAL_LABEL, key=key)


def verify_change_approval_untrusted(
    agreement: Agreement, change: ReleaseChange, message: bytes
) -> ChangeApproval:
    """What `message` says, if a party of `agreement` signed it and it is about exactly `change`.

    Raises `FormatError` or `SignatureError`.
    """
    kid = cose.signer_untrusted(message, max_bytes=limits.APPROVAL_MAX_BYTES, what=CHANGE_APPROVAL_LABEL)
    signers = {cose.key_id(party.signing_key): party for party in agreement.parties}
    if kid not in signers:
        raise SignatureError(
            f"release change {change.number}: signed by a key that no party of this agreement has",
            hint="only parties of the agreement decide on its releases; leave this signature out",
        )
    party = signers[kid]
    payload = cose.verify_untrusted(
        message,
        typ=CHANGE_APPROVAL_LABEL,
        public_key=party.signing_key,
        max_bytes=limits.APPROVAL_MAX_BYTES,
    )
    fields = decode_map_untrusted(
        payload,
        label=CHANGE_APPROVAL_LABEL,
        keys=frozenset({"change", "party", "signed_at_s"}),
        max_bytes=limits.APPROVAL_MAX_BYTES,
    )
    approval = ChangeApproval(
        change_digest=require_bytes(fields["change"], what="digest of the change", length=DIGEST_BYTES),
        party=require_slug(fields["party"], what="party"),
        signed_at_s=require_int(fields["signed_at_s"], what="signed_at_s"),
    )
    if approval.change_digest != change.digest():
        raise SignatureError(
            f"release change {change.number}: {party.id} signed {approval.change_digest.hex()[:16]}…, "
            f"this one is {change.digest().hex()[:16]}…",
            hint="the party signed another change; ask which one",
        )
    if approval.party != party.id:
        raise SignatureError(f"release change: the key is {party.id}'s, the text says {approval.party}")
    return approval


def _require_distinct(what: str, keys: Iterable[tuple[bytes, bytes]]) -> None:
    seen = list(keys)
    if len(set(seen)) != len(seen):
        raise FormatError(f"release change: an {what} stands twice")
