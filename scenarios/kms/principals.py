"""Who a request is from, and whether a policy's `Principal` names them.

A caller is the root user of an account, a user, or a role with or without a session. A principal in a
policy names everybody, an account (as a whole, `...:root` or its twelve digits), or one of those exactly;
AWS has no wildcards inside (IAM user guide, "AWS JSON policy elements: Principal").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from scenarios.kms.errors import ParameterError

ACCOUNT: Final = re.compile(r"[0-9]{12}", re.ASCII)
_NAME: Final = r"[\w+=,.@/-]{1,512}"
_PRINCIPAL: Final = re.compile(
    rf"arn:aws(-[a-z]+)*:(iam::(?P<account>[0-9]{{12}}):(root|(user|role)/{_NAME})"
    rf"|sts::(?P<session_account>[0-9]{{12}}):assumed-role/{_NAME}/{_NAME})",
    re.ASCII,
)
EVERYBODY: Final = "*"

Reach = Literal["direct", "account"]
"""Named in person (or as everybody), or as one of an account, whose own IAM policies then decide as well."""


@dataclass(frozen=True)
class Caller:
    """Somebody whose signature held."""

    arn: str
    """In IAM: `arn:aws:iam::123456789012:role/enclave`, `...:user/ann` or `...:root`."""
    session: str | None = None
    """The name of a role's session."""

    def __post_init__(self) -> None:
        match = _PRINCIPAL.fullmatch(self.arn)
        if match is None or match["account"] is None:
            raise ParameterError(
                f"principal: got {self.arn[:200]!r}, expected the ARN of a role, a user or root in IAM"
            )
        if self.session is not None and (":role/" not in self.arn or not re.fullmatch(_NAME, self.session)):
            raise ParameterError(f"session: got {self.session[:64]!r} for {self.arn}, expected one of a role")

    @property
    def account(self) -> str:
        """The twelve digits."""
        return self.arn.split(":")[4]

    @property
    def is_root(self) -> bool:
        """Whether it is the root user of its account, to whom IAM policies do not apply."""
        return self.arn.endswith(":root")

    @property
    def session_arn(self) -> str | None:
        """As AWS STS names the session: without the role's path."""
        if self.session is None:
            return None
        partition, role = self.arn.split(":")[1], self.arn.rsplit("/", 1)[1]
        return f"arn:{partition}:sts::{self.account}:assumed-role/{role}/{self.session}"

    @property
    def names(self) -> frozenset[str]:
        """Every ARN under which a policy or a grant may name this caller alone."""
        return frozenset(name for name in (self.arn, self.session_arn) if name is not None)

    def __str__(self) -> str:
        return self.session_arn or self.arn


def is_principal(text: str) -> bool:
    """Whether `text` may stand under "AWS" in a policy's Principal."""
    return text == EVERYBODY or ACCOUNT.fullmatch(text) is not None or is_principal_arn(text)


def is_principal_arn(text: str) -> bool:
    """Whether `text` is the ARN of an account, a user, a role or a session."""
    return _PRINCIPAL.fullmatch(text) is not None


def reach(principals: frozenset[str], caller: Caller) -> Reach | None:
    """How `principals` name `caller`, the stronger way first; `None` when they do not."""
    if EVERYBODY in principals or caller.names & principals:
        return "direct"
    partition = caller.arn.split(":")[1]
    whole_account = {caller.account, f"arn:{partition}:iam::{caller.account}:root"}
    if whole_account & principals:
        return "direct" if caller.is_root else "account"
    return None
