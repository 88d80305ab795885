"""Which releases an agreement accepts after the changes that enough of its parties signed.

Reads changes and signatures from others. `AgreedReleases` is made here and nowhere else: code that is handed
one need not ask who signed. A change is taken if the agreement allows changes at all, enough distinct parties
of it signed the same bytes, it follows the one before, and it touches nothing but releases: it adds none
under a root that the agreement has none under, none that outlives the agreement, none that was there before,
and moves the end of a known one to an earlier time only. Followed: protos/README.md, "Release change".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from protos.formats import limits
from protos.formats.agreement import Agreement
from protos.formats.canonical import (
    Value,
    decode_map_untrusted,
    encode,
    require_bytes,
    require_fields,
    require_list,
)
from protos.formats.errors import SignatureError
from protos.formats.participants import Release
from protos.release.change import (
    CHANGE_MAX_BYTES,
    CHANGES_MAX,
    NO_CHANGE,
    ChangeApproval,
    EndedRelease,
    ReleaseChange,
    verify_change_approval_untrusted,
)
from protos.release.errors import (
    ChangeOrderError,
    ChangesNotAgreedError,
    ForkError,
    OtherAgreementError,
    QuorumError,
    ReleaseChangeError,
    WideningError,
)

CHANGED_AGREEMENT_LABEL: Final = "concordat/changed-agreement/v1"
CHANGED_AGREEMENT_MAX_BYTES: Final = 8 * limits.MIB
_ONLY_HERE: Final = object()
_Key = tuple[bytes, bytes]


@dataclass(frozen=True)
class SignedChange:
    """A change as bytes, and the signatures that came with it. Nothing is verified."""

    change: bytes
    approvals: tuple[bytes, ...]


class AgreedReleases:
    """An agreement and the releases that count under it; only `verify_changes_untrusted` makes one."""

    def __init__(
        self,
        agreement: Agreement,
        changes: tuple[tuple[ReleaseChange, tuple[ChangeApproval, ...]], ...],
        signed: tuple[SignedChange, ...],
        token: object,
    ) -> None:
        if token is not _ONLY_HERE:
            raise TypeError("AgreedReleases come from verify_changes_untrusted only")
        self.agreement: Final = agreement
        self.changes: Final = changes
        """Each with the parties that signed it."""
        self.signed: Final = signed
        """The same changes as they came."""
        self.releases: Final = _applied(agreement, [change for change, _ in changes])
        """Without those that were ended before they began; may be empty, and then nothing is accepted."""

    @property
    def head(self) -> bytes:
        """Digest of the last change; `NO_CHANGE` where there is none."""
        return self.changes[-1][0].digest() if self.changes else NO_CHANGE

    def encode(self) -> bytes:
        """One file: the agreement's own bytes, or those with the changes and their signatures."""
        if not self.signed:
            return self.agreement.encode()
        return encode(
            {
                "label": CHANGED_AGREEMENT_LABEL,
                "agreement": self.agreement.encode(),
                "changes": [{"change": one.change, "approvals": list(one.approvals)} for one in self.signed],
            }
        )


Agreed = Agreement | AgreedReleases
"""An agreement as all parties signed it, or with the changes of its releases since."""


def agreed_releases(agreed: Agreed) -> AgreedReleases:
    """`agreed`, with no changes if it came without any."""
    return agreed if isinstance(agreed, AgreedReleases) else verify_changes_untrusted(agreed, ())


def releases_after(agreed: AgreedReleases, change: ReleaseChange) -> tuple[Release, ...]:
    """What would be accepted if enough parties signed `change` next. Raises as `verify_changes_untrusted`."""
    unsigned = SignedChange(change.encode(), ())
    in_order = [found for found, _ in _in_order(agreed.agreement, (*agreed.signed, unsigned))]
    return _applied(agreed.agreement, in_order)


def read_changed_agreement_untrusted(data: bytes) -> tuple[Agreement, tuple[SignedChange, ...]]:
    """The parts of the inverse of `AgreedReleases.encode`, changes included; those are not verified."""
    fields = decode_map_untrusted(
        data,
        label=CHANGED_AGREEMENT_LABEL,
        keys=frozenset({"agreement", "changes"}),
        max_bytes=CHANGED_AGREEMENT_MAX_BYTES,
    )
    agreement = require_bytes(fields["agreement"], what="agreement", max_length=limits.AGREEMENT_MAX_BYTES)
    changes = require_list(fields["changes"], what="changes", min_items=1, max_items=CHANGES_MAX)
    return Agreement.decode_untrusted(agreement), tuple(map(_signed_change, changes))


def verify_changes_untrusted(agreement: Agreement, signed: Sequence[SignedChange]) -> AgreedReleases:
    """The releases of `agreement` after all of `signed`, in this order.

    Raises `ReleaseChangeError`, `SignatureError` or `FormatError`; then none of them counts.
    """
    verified = [(change, _signers(agreement, change, one)) for change, one in _in_order(agreement, signed)]
    return AgreedReleases(agreement, tuple(verified), tuple(signed), _ONLY_HERE)


def _in_order(
    agreement: Agreement, signed: Sequence[SignedChange]
) -> Iterator[tuple[ReleaseChange, SignedChange]]:
    before: list[ReleaseChange] = []
    for one in signed:
        change = ReleaseChange.decode_untrusted(one.change)
        if agreement.release_quorum is None:
            raise ChangesNotAgreedError(f"release change {change.number}: {agreement.id} allows no changes")
        if change.agreement_digest != agreement.digest():
            raise OtherAgreementError(
                f"release change {change.number}: got one of agreement "
                f"{change.agreement_digest.hex()[:16]}…, expected {agreement.digest().hex()[:16]}…"
            )
        if change.number <= len(before) and before[change.number - 1] != change:
            raise _fork(agreement, change, signed)
        if change.number != len(before) + 1:
            raise ChangeOrderError(
                f"got release change {change.number} after {len(before)} others, expected number "
                f"{len(before) + 1}"
            )
        if change.previous != (before[-1].digest() if before else NO_CHANGE):
            raise ForkError(
                f"release change {change.number} follows {change.previous.hex()[:16]}…, change "
                f"{change.number - 1} here is {before[-1].digest().hex()[:16]}…"
            )
        before.append(change)
        yield change, one


def _signers(agreement: Agreement, change: ReleaseChange, one: SignedChange) -> tuple[ChangeApproval, ...]:
    approvals = [verify_change_approval_untrusted(agreement, change, message) for message in one.approvals]
    parties = [approval.party for approval in approvals]
    if twice := [party for party in parties if parties.count(party) > 1]:
        raise SignatureError(
            f"release change {change.number}: {twice[0]} signed twice, which counts once",
            hint="keep one of the two signatures and drop the other",
        )
    needed = agreement.release_quorum or len(agreement.parties)
    if len(parties) < needed:
        raise QuorumError(
            f"release change {change.number}: got {len(parties)} of {len(agreement.parties)} parties "
            f"({', '.join(parties) or 'nobody'}), expected {needed}"
        )
    return tuple(approvals)


def _fork(agreement: Agreement, change: ReleaseChange, signed: Sequence[SignedChange]) -> ForkError:
    """Names both changes, and the parties whose genuine signature is under both."""
    digests, signers = [], []
    for one in signed:
        found = ReleaseChange.decode_untrusted(one.change)
        if found.number == change.number:
            digests.append(f"{found.digest().hex()[:16]}…")
            signers.append({approval.party for approval in _signers(agreement, found, one)})
    both = ", ".join(sorted(set.intersection(*signers))) or "nobody"
    return ForkError(
        f"{len(digests)} different changes have number {change.number}: {', '.join(digests)}; signed all "
        f"of them: {both}"
    )


def _applied(agreement: Agreement, changes: Sequence[ReleaseChange]) -> tuple[Release, ...]:
    known: dict[_Key, Release | None] = {_key(release): release for release in agreement.releases}
    roots = {release.root_sha256 for release in agreement.releases}
    for change in changes:
        for ended in change.ended:
            known[_key(ended)] = _ended(agreement, change, ended, known)
        for added in change.added:
            _require_addable(agreement, change, added, roots)
            if _key(added) in known:
                raise WideningError(
                    f"release change {change.number} adds {added.name!r}, which was there before: nothing "
                    "that is known gets a longer life"
                )
            known[_key(added)] = added
        if len(known) > limits.PARTIES_MAX:
            raise ReleaseChangeError(f"got {len(known)} releases, expected at most {limits.PARTIES_MAX}")
    return tuple(release for release in known.values() if release is not None)


def _ended(
    agreement: Agreement, change: ReleaseChange, ended: EndedRelease, known: dict[_Key, Release | None]
) -> Release | None:
    """The release with its new end; None if that is not after its beginning."""
    release = known.get(_key(ended))
    if release is None:
        raise ReleaseChangeError(
            f"release change {change.number} ends PCR0={ended.pcr0.hex()[:16]}…, which is no release here"
        )
    until_s = agreement.valid_until_s if release.valid_until_s is None else release.valid_until_s
    if ended.valid_until_s >= until_s:
        raise WideningError(
            f"release change {change.number}: {release.name!r} ends at {until_s}, got {ended.valid_until_s} "
            "(seconds since 1970), expected an earlier end"
        )
    begin_s = agreement.valid_from_s if release.valid_from_s is None else release.valid_from_s
    return None if ended.valid_until_s <= begin_s else replace(release, valid_until_s=ended.valid_until_s)


def _require_addable(agreement: Agreement, change: ReleaseChange, added: Release, roots: set[bytes]) -> None:
    if added.root_sha256 not in roots:
        raise WideningError(
            f"release change {change.number} adds {added.name!r} under root "
            f"{added.root_sha256.hex()[:16]}…, expected one that the agreement's own releases are under"
        )
    begins_s, ends_s = added.valid_from_s, added.valid_until_s
    if (
        begins_s is None
        or ends_s is None
        or not agreement.valid_from_s <= begins_s < ends_s <= agreement.valid_until_s
    ):
        raise WideningError(
            f"release change {change.number}: {added.name!r} is valid from {begins_s} until {ends_s} "
            f"(seconds since 1970), expected a time inside the agreement's, {agreement.valid_from_s} to "
            f"{agreement.valid_until_s}"
        )


def _key(release: Release | EndedRelease) -> _Key:
    return release.pcr0, release.root_sha256


def _signed_change(value: Value) -> SignedChange:
    fields = require_fields(value, frozenset({"change", "approvals"}), what="change")
    approvals = require_list(fields["approvals"], what="approvals", min_items=1, max_items=limits.PARTIES_MAX)
    return SignedChange(
        change=require_bytes(fields["change"], what="change", max_length=CHANGE_MAX_BYTES),
        approvals=tuple(
            require_bytes(item, what="approval", max_length=limits.APPROVAL_MAX_BYTES) for item in approvals
        ),
    )
