"""When an agreement is in force: all its parties, and nobody else, have signed its digest.

An approval is a COSE_Sign1 message by one party's key from the agreement itself. `verify_approvals_untrusted`
returns an `AgreementInForce`, a value that nothing else can make: code that asks for one cannot be handed an
agreement that somebody has not signed. Where anybody may have added to the messages (a board),
`genuine_approvals_untrusted` finds those that it takes. Followed: protos/README.md, "Approval".
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protos.formats import cose, limits
from protos.formats.agreement import Agreement
from protos.formats.canonical import decode_map_untrusted, encode, require_bytes, require_int
from protos.formats.errors import ConcordatError, SignatureError
from protos.formats.identifiers import DIGEST_BYTES, require_slug

APPROVAL_LABEL: Final = "concordat/approval/v1"
_ONLY_HERE: Final = object()


@dataclass(frozen=True)
class Approval:
    """One party's signed yes to one agreement digest."""

    agreement_digest: bytes
    party: str
    signed_at_s: int
    """When the party says it signed; informative, nothing is decided by it."""


class AgreementInForce:
    """An agreement that all its parties have signed; only `verify_approvals_untrusted` makes one."""

    def __init__(self, agreement: Agreement, approvals: tuple[Approval, ...], token: object) -> None:
        if token is not _ONLY_HERE:
            raise TypeError("an AgreementInForce comes from verify_approvals_untrusted only")
        self.agreement: Final = agreement
        self.approvals: Final = approvals
        self.digest: Final = agreement.digest()


def sign_approval(agreement_digest: bytes, *, party: str, key: Ed25519PrivateKey, signed_at_s: int) -> bytes:
    """The approval message of `party` for the agreement with this digest."""
    payload = encode(
        {"label": APPROVAL_LABEL, "agreement": agreement_digest, "party": party, "signed_at_s": signed_at_s}
    )
    return cose.sign(payload, typ=APPROVAL_LABEL, key=key)


def verify_approval_untrusted(agreement: Agreement, message: bytes) -> Approval:
    """The approval in `message`, by one of the parties of `agreement`, for exactly this agreement.

    Raises `FormatError` or `SignatureError`.
    """
    kid = cose.signer_untrusted(message, max_bytes=limits.APPROVAL_MAX_BYTES, what="approval")
    signers = {cose.key_id(party.signing_key): party for party in agreement.parties}
    if kid not in signers:
        raise SignatureError(
            "approval: signed by a key that no party of this agreement has",
            hint="a stranger's signature, or a party signed with a key that is not in the agreement",
        )
    party = signers[kid]
    payload = cose.verify_untrusted(
        message, typ=APPROVAL_LABEL, public_key=party.signing_key, max_bytes=limits.APPROVAL_MAX_BYTES
    )
    fields = decode_map_untrusted(
        payload,
        label=APPROVAL_LABEL,
        keys=frozenset({"agreement", "party", "signed_at_s"}),
        max_bytes=limits.APPROVAL_MAX_BYTES,
    )
    approval = Approval(
        agreement_digest=require_bytes(fields["agreement"], what="agreement digest", length=DIGEST_BYTES),
        party=require_slug(fields["party"], what="party"),
        signed_at_s=require_int(fields["signed_at_s"], what="signed_at_s"),
    )
    digest = agreement.digest()
    if approval.agreement_digest != digest:
        raise SignatureError(
            f"approval of {party.id}: signed agreement {approval.agreement_digest.hex()[:16]}…, "
            f"this one is {digest.hex()[:16]}…",
            hint="the party signed another text; compare with `concordat agreement diff`",
        )
    if approval.party != party.id:
        raise SignatureError(f"approval: the key is {party.id}'s, the text says {approval.party}")
    return approval


def genuine_approvals_untrusted(agreement: Agreement, messages: Sequence[bytes]) -> tuple[bytes, ...]:
    """The first genuine approval of each party that has one in `messages`, in the order of the parties.

    Anybody may have added to them: what is not an approval of this agreement, and what is one too many, is
    left out and never an error, so that no stranger can keep an agreement from being in force.
    """
    first: dict[str, bytes] = {}
    for message in messages:
        with contextlib.suppress(ConcordatError):
            first.setdefault(verify_approval_untrusted(agreement, message).party, message)
    return tuple(first[party.id] for party in agreement.parties if party.id in first)


def verify_approvals_untrusted(agreement: Agreement, messages: Sequence[bytes]) -> AgreementInForce:
    """The agreement as one in force, when `messages` are one approval of each party, in their order.

    Raises `SignatureError` naming who is missing, signed twice or stands elsewhere, `FormatError` for other
    bytes.
    """
    approvals = tuple(verify_approval_untrusted(agreement, message) for message in messages)
    signed = [approval.party for approval in approvals]
    parties = [party.id for party in agreement.parties]
    if twice := [party for party in parties if signed.count(party) > 1]:
        raise SignatureError(
            f"approval of {twice[0]}: signed twice",
            hint="keep one of the two approvals and drop the other",
        )
    if missing := [party for party in parties if party not in signed]:
        raise SignatureError(
            f"not in force: {', '.join(missing)} of {len(parties)} parties did not sign",
            hint="each party signs with `concordat agreement sign`",
        )
    if signed != parties:
        raise SignatureError(
            f"approvals: got those of {', '.join(signed)}, expected them in the agreement's order: "
            f"{', '.join(parties)}",
            hint="somebody rearranged them: ask for the original",
        )
    return AgreementInForce(agreement, approvals, _ONLY_HERE)
