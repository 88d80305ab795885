"""How the privacy accounting says no: a parameter without meaning, or a budget that does not suffice."""

from __future__ import annotations

from protos.formats.errors import ConcordatError


class PrivacyParameterError(ConcordatError):
    """A bound, a share or a budget for which no guarantee could be stated."""

    code = "privacy/parameter"


class BudgetExceededError(ConcordatError):
    """What a run would cost is more than the owner has left."""

    code = "privacy/budget-exceeded"
