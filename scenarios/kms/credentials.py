"""What goes with an access key: its secret, whose it is, and what its session may do.

The SIMULATED KMS issues credentials itself, as AWS IAM and STS would: long-lived ones without a session
token, or those of a role's session, which end. IAM policies stand with the credential, since there is no
IAM here.
"""

from __future__ import annotations

import re
import secrets
import string
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from scenarios.kms.errors import ParameterError
from scenarios.kms.policies import parse_iam_policy_untrusted, parse_session_policy_untrusted
from scenarios.kms.principals import Caller

ACCESS_KEY_ID: Final = re.compile(r"A[KS]IA[A-Z2-7]{16}", re.ASCII)
_BASE32: Final = string.ascii_uppercase + "234567"


@dataclass(frozen=True)
class Credential:
    """One access key; its secrets do not appear when it is printed."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(repr=False)
    caller: Caller
    iam_policy: str | None = None
    """What IAM lets the principal do, JSON; nothing without one."""
    session_policy: str | None = None
    """What the session is cut down to, JSON; not cut down without one."""
    expires_at: datetime | None = None

    def __post_init__(self) -> None:
        if not ACCESS_KEY_ID.fullmatch(self.access_key_id):
            raise ParameterError("access key id: expected AKIA or ASIA and sixteen characters of base 32")
        if self.iam_policy is not None:
            parse_iam_policy_untrusted(self.iam_policy)
        if self.session_policy is not None:
            parse_session_policy_untrusted(self.session_policy)
        if (self.session_token is None) != (self.caller.session is None):
            raise ParameterError(
                "credential: expected a session token for the session of a role, and none otherwise"
            )


def issue(
    caller: Caller,
    *,
    iam_policy: str | None = None,
    session_policy: str | None = None,
    expires_at: datetime | None = None,
) -> Credential:
    """New random secrets for `caller`; with a token if it is a session."""
    prefix = "AKIA" if caller.session is None else "ASIA"
    return Credential(
        access_key_id=prefix + "".join(secrets.choice(_BASE32) for _ in range(16)),
        secret_access_key=secrets.token_urlsafe(30),
        session_token=None if caller.session is None else secrets.token_urlsafe(180),
        caller=caller,
        iam_policy=iam_policy,
        session_policy=session_policy,
        expires_at=expires_at,
    )
