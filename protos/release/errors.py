"""Why the releases of an agreement cannot be changed so: one name for each reason, with the next step."""

from __future__ import annotations

from typing import ClassVar

from protos.formats.errors import ConcordatError


class ReleaseChangeError(ConcordatError):
    """A change of releases may not stand; the root of these errors."""

    code = "release-change/refused"
    next_step: ClassVar[str] = "ask the party that proposed it for a change that fits"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint if hint is not None else self.next_step)


class ChangesNotAgreedError(ReleaseChangeError):
    """The agreement does not say that its releases may ever change."""

    code = "release-change/not-agreed"
    next_step = "releases of this agreement stand as all parties signed them: make another agreement"


class QuorumError(ReleaseChangeError):
    """Fewer parties have signed a change than the agreement asks for."""

    code = "release-change/quorum"
    next_step = "ask further parties to sign with `concordat agreement release-change sign`"


class OtherAgreementError(ReleaseChangeError):
    """A change of the releases of another agreement."""

    code = "release-change/other-agreement"
    next_step = "compare the agreement's digest with the party that sent the change"


class ChangeOrderError(ReleaseChangeError):
    """A change that does not follow the one before it: an old one, or one is missing."""

    code = "release-change/order"
    next_step = "changes stand in the order of their numbers, each once; ask other parties for those missing"


class ForkError(ReleaseChangeError):
    """Two different changes with the same number: some parties are shown another history than others."""

    code = "release-change/fork"
    next_step = "rely on neither; ask everybody named here why they signed both, and agree anew"


class WideningError(ReleaseChangeError):
    """A change would let more happen than it may: another kind of root, or a longer life."""

    code = "release-change/widening"
    next_step = "what goes beyond the agreement needs all its parties: make another agreement"
