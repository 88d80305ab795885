"""Treacheries with agreements: who agreed on what."""

from __future__ import annotations

from dataclasses import replace

from scenarios.hostile.holdings import Holdings, approval
from scenarios.hostile.machines import Enclave
from scenarios.hostile.mischief import Mischief, Refuser, Step
from scenarios.hostile.recordings import Pinned


class AnotherAgreementShown(Mischief):
    """The split view: one party signs something else than the others."""

    name = "another-agreement-shown"
    deed = "shows one party another agreement under the digest that it asked for"
    attacks = (34,)
    step = Step.READ
    code = "agreement/split-view"

    def shown(self, at: Holdings, pinned: Pinned) -> Pinned:
        """The version of impostors: the same words, other keys."""
        return replace(pinned, agreement=at.own_version.agreement)


class SignatureNobodyGave(Mischief):
    """An approval in the name of a party."""

    name = "signature-nobody-gave"
    deed = "shows an approval of the advertiser that it signed itself"
    attacks = (34,)
    step = Step.READ
    code = "signature/invalid"

    def shown(self, at: Holdings, pinned: Pinned) -> Pinned:
        """The publisher's true approval, and one that the operator made."""
        return replace(
            pinned, approvals=(pinned.approvals[0], approval(at.agreement, at.impostors["advertiser"]))
        )


class _BindsTheSpare(Mischief):
    """Binds an enclave that stays of use: a refused binding changes nothing in it."""

    step = Step.START
    refuser = Refuser.ENCLAVE
    code = "not-in-force"

    def enclave(self, at: Holdings) -> Enclave:
        """The one that is bound to nothing."""
        return at.spare


class SignatureLeftOut(_BindsTheSpare):
    """Starts before everybody has agreed."""

    name = "signature-left-out"
    deed = "starts an enclave although one party has not signed"
    attacks = (34,)

    def binding(self, at: Holdings, pinned: Pinned) -> Pinned:  # noqa: ARG002 - nothing of its own is needed
        """The first party's approval alone."""
        return replace(pinned, approvals=pinned.approvals[:1])


class MemberAdded(_BindsTheSpare):
    """Joins an agreement that the others have signed already."""

    name = "member-added"
    deed = "adds itself as a party to an agreement that the others have signed"
    attacks = (35,)

    def binding(self, at: Holdings, pinned: Pinned) -> Pinned:
        """The agreement with one party more, the old approvals and its own."""
        joined = replace(at.agreement, parties=(*at.agreement.parties, at.operator.public.participant()))
        return Pinned(joined.encode(), (*pinned.approvals, approval(joined, at.operator)))
