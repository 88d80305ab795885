"""What an enclave signs a request to a party's KMS with, and who finds it for a role.

Credentials are handed to the enclave that asks and to nobody else: they stand in no log, no error and no
`repr`, and never on a command line. What they are worth without an enclave, the party decides: its key lets
the role do nothing unattested. Followed: docs/kms.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from coordinator.errors import CredentialsError

ROLE_ARN: Final = re.compile(r"arn:aws:iam::(?P<account>[0-9]{12}):role/[A-Za-z0-9+=,.@_/-]{1,512}", re.ASCII)
REGION: Final = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]", re.ASCII)
_ACCESS_KEY_ID: Final = re.compile(r"[A-Z0-9]{16,128}", re.ASCII)
_SECRET: Final = re.compile(r"[!-~]{16,256}", re.ASCII)
_TOKEN: Final = re.compile(r"[!-~]{1,8192}", re.ASCII)


@dataclass(frozen=True)
class Credentials:
    """One access key, as AWS issues it; only its id can be seen when it is printed."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(repr=False)
    """Of a role's session."""
    expires_at: datetime | None = None
    """Aware, UTC; None: not known to end."""

    def __post_init__(self) -> None:
        for name, value, form in (
            ("access key id", self.access_key_id, _ACCESS_KEY_ID),
            ("secret access key", self.secret_access_key, _SECRET),
            ("session token", "none" if self.session_token is None else self.session_token, _TOKEN),
        ):
            if not form.fullmatch(value):  # the value is not shown: what stands in the wrong place is secret
                raise CredentialsError(
                    f"{name}: got {len(value)} characters, not of the form that AWS issues"
                )
        if self.expires_at is not None and self.expires_at.tzinfo is None:
            raise CredentialsError("credentials: the time at which they end has no zone")

    def is_valid_for(self, duration: timedelta, *, now: datetime) -> bool:
        """Whether they still hold when `duration` has passed."""
        return self.expires_at is None or now + duration < self.expires_at


class CredentialSource(Protocol):
    """Finds credentials of a role. Threads may ask at once."""

    def get(self, role: str, region: str, agreement_digest: bytes, party: str) -> Credentials:
        """Of `role`, an ARN in the account of `party`, for its KMS in `region`, valid for minutes yet.

        `role`, `region` and `party` are an enclave's words; `agreement_digest` has to be the caller's own.
        Raises `CredentialsError`.
        """
