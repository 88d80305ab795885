"""A role of the account: who may take it on, and what IAM lets its sessions do.

Both policies come from whoever owns the state folder, and are read in full before they are kept. Sessions
live by the role's policy as it is when they ask, not as it was when they began, as with AWS.
"""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass
from typing import Final

from scenarios.kms.errors import ParameterError
from scenarios.kms.policies import parse_iam_policy_untrusted, parse_trust_policy_untrusted
from scenarios.kms.principals import Caller

SESSION_LEAST_S: Final = 900
SESSION_MOST_S: Final = 43_200
SESSION_USUAL_S: Final = 3600


@dataclass(frozen=True)
class Role:
    """See the module."""

    arn: str
    role_id: str
    """What AWS tells two roles of the same name apart by."""
    trust_policy: str
    policy: str | None = None
    """What its sessions may do by IAM, JSON; nothing without one."""
    max_session_s: int = SESSION_USUAL_S

    def __post_init__(self) -> None:
        if ":role/" not in Caller(self.arn).arn:
            raise ParameterError(f"role: got {self.arn[:200]!r}, expected the ARN of a role")
        if not SESSION_USUAL_S <= self.max_session_s <= SESSION_MOST_S:
            raise ParameterError(
                f"role: got sessions of {self.max_session_s} s, expected {SESSION_USUAL_S} to "
                f"{SESSION_MOST_S}"
            )
        parse_trust_policy_untrusted(self.trust_policy)
        if self.policy is not None:
            parse_iam_policy_untrusted(self.policy)


def new_role_id() -> str:
    """`AROA` and seventeen random characters."""
    return "AROA" + "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(17))
