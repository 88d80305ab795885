"""Signing an agreement as one of its parties, and who has signed it so far.

Approvals come from other organisations through a coordinator that nobody trusts: each is verified against
the agreement's own keys. Raises `NotAPartyError`, `ExpiredError`, and `SignatureError` or `FormatError` for
an approval that is not one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from party_client.agreements.errors import NotAPartyError
from party_client.agreements.validity import require_not_expired
from party_client.attestation import Anchors
from party_client.attestation.emulator import require_fitting
from party_client.identity import Identity, fingerprint
from protos.formats.agreement import Agreement
from protos.formats.approvals import Approval, sign_approval, verify_approval_untrusted
from protos.formats.errors import ConcordatError


@dataclass(frozen=True)
class ApprovalStatus:
    """One approval of each party that signed, in the order of the agreement; and who is missing."""

    signed: tuple[Approval, ...]
    missing: tuple[str, ...]
    """Ids of parties."""

    @property
    def in_force(self) -> bool:
        """Whether all have signed. What relies on it takes an `AgreementInForce` instead of this."""
        return not self.missing


def require_party(agreement: Agreement, identity: Identity) -> None:
    """`identity` is a party of `agreement`, with exactly these keys and this name."""
    named = {party.id: party for party in agreement.parties}.get(identity.id)
    if named is None:
        parties = ", ".join(party.id for party in agreement.parties)
        raise NotAPartyError(
            f"{identity.id!r} is not a party of agreement {agreement.id}; its parties are {parties}",
            hint="analysts do not sign; a party uses the identity whose .pub file it gave to the others",
        )
    if named != identity.public.participant():
        raise NotAPartyError(
            f"agreement {agreement.id} names another identity as {identity.id}: got fingerprint "
            f"{fingerprint(named)}, yours is {identity.public.fingerprint()}",
            hint="send your .pub file to whoever compiled the agreement, and compare fingerprints by phone",
        )


def sign(agreement: Agreement, identity: Identity, *, now: datetime, roots: Anchors | None = None) -> bytes:
    """The approval of `agreement` by `identity`: a COSE_Sign1 message over the agreement's digest.

    Whose roots the releases name is for the reader of the leak report. But the unsigned emulator has to be
    accepted by name, as `roots`: raises `EmulatorNotAcceptedError`, or `EmulatorMixedError` for other
    releases than its.
    """
    require_party(agreement, identity)
    require_fitting(agreement.releases, roots)
    require_not_expired(agreement, now=now)
    return sign_approval(
        agreement.digest(), party=identity.id, key=identity.signing_key, signed_at_s=int(now.timestamp())
    )


def approval_status(agreement: Agreement, messages: Sequence[bytes]) -> ApprovalStatus:
    """Who has signed and who is missing. A party that signed more than once counts once."""
    approvals = {
        approval.party: approval
        for approval in (verify_approval_untrusted(agreement, message) for message in messages)
    }
    ids = [party.id for party in agreement.parties]
    return ApprovalStatus(
        signed=tuple(approvals[id] for id in ids if id in approvals),
        missing=tuple(id for id in ids if id not in approvals),
    )


def approval_by(agreement: Agreement, party: str, messages: Sequence[bytes]) -> bytes | None:
    """The first genuine approval of `party` among messages that anybody may have pinned there; else None.

    The enclave takes exactly one of each party, and what is on a board stays there: look before adding one.
    """
    for message in messages:
        with contextlib.suppress(ConcordatError):  # not an approval of this agreement: nobody's
            if verify_approval_untrusted(agreement, message).party == party:
                return message
    return None
