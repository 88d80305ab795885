"""Whether AWS would let a request through, and by which statement or grant.

Pure, over what was read of a key and an account: the key's policy, its grants, and the policies of the
account's users and roles. An explicit denial anywhere wins. Otherwise one of these has to allow: the key's
policy, by the caller's name; a policy of the caller, where the key's policy hands that to the account; or a
grant.
Left out, because they only ever take away: permissions boundaries, service control policies, session and VPC
endpoint policies. Callers of other accounts are taken to have what their own account must allow.
Followed: "Policy evaluation logic" (IAM User Guide), "Troubleshooting key access" and "Grants in AWS KMS"
(KMS Developer Guide).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from party_client.kms.conditions import hold, matches
from party_client.kms.policy import ANYBODY, Statement
from party_client.kms.request import Request

KEY_POLICY: Final = "key policy"
GRANT: Final = "grant"
IAM: Final = "IAM policy"
_KMS: Final = "kms:"


@dataclass(frozen=True)
class Grant:
    """What `ListGrants` says of one grant."""

    id: str
    grantee: str
    operations: tuple[str, ...]
    """As in `Decrypt`."""
    context_equals: Mapping[str, str] | None = None
    context_subset: Mapping[str, str] | None = None


@dataclass(frozen=True)
class KeyAccess:
    """Everything that decides about requests for one key."""

    arn: str
    policy: tuple[Statement, ...]
    grants: tuple[Grant, ...] = ()
    identities: Mapping[str, tuple[Statement, ...]] = field(default_factory=dict)
    """Statements of every policy of a user or role, by its ARN."""

    @property
    def account(self) -> str:
        """That owns the key."""
        return self.arn.split(":")[4]


@dataclass(frozen=True)
class Source:
    """What lets a request through."""

    kind: str
    """`KEY_POLICY`, `GRANT` or `IAM`."""
    label: str
    """Of the statement or grant."""
    statement: Statement | None = None
    """None of a grant."""
    delegated_by: str | None = None
    """Of an IAM policy: the statement of the key's policy that lets it count."""


@dataclass(frozen=True)
class Decision:
    """The answer to one request."""

    denied_by: tuple[str, ...]
    """Labels of the statements that deny it, whatever else allows it."""
    sources: tuple[Source, ...]
    """All that would allow it."""

    @property
    def is_allowed(self) -> bool:
        """Whether it passes, or could if the caller chooses what was left open."""
        return bool(self.sources) and not self.denied_by


def decide(access: KeyAccess, request: Request) -> Decision:
    """What happens to `request`."""
    own = access.identities.get(request.principal, ())
    denied = [one.label for one in (*access.policy, *own) if not one.allows and _denies(access, one, request)]
    direct, delegating = [], []
    for statement in access.policy:
        if statement.allows and _applies(access, statement, request):
            relation = _relation(statement, request)
            if relation == "named":
                direct.append(Source(KEY_POLICY, statement.label, statement))
            elif relation == "account":
                delegating.append(statement.label)
    sources = [*direct, *_grants(access.grants, request)]
    if delegating:
        sources += [
            Source(IAM, statement.label, statement, delegating[0])
            for statement in own
            if statement.allows and _applies(access, statement, request)
        ]
    return Decision(tuple(denied), tuple(sources))


def concerns(access: KeyAccess, statement: Statement, request: Request) -> bool:
    """Whether a statement is about such a request and its caller, whatever its conditions say."""
    named = statement.principals is None or _relation(statement, request) is not None
    return named and _covers(access, statement, request)


def _denies(access: KeyAccess, statement: Statement, request: Request) -> bool:
    return concerns(access, statement, request) and hold(statement.conditions, request) is True


def _applies(access: KeyAccess, statement: Statement, request: Request) -> bool:
    return _covers(access, statement, request) and hold(statement.conditions, request) is not False


def _covers(access: KeyAccess, statement: Statement, request: Request) -> bool:
    action = request.action.lower()
    is_action = any(matches(pattern, action) for pattern in statement.actions)
    is_resource = any(matches(pattern, access.arn) for pattern in statement.resources)
    return is_action is not statement.not_actions and is_resource is not statement.not_resources


def _relation(statement: Statement, request: Request) -> str | None:
    """`named`; `account` where only the caller's account is; None where the statement is about others."""
    names = statement.principals or ()
    root = f"{_partition(request.principal)}:iam::{request.account}:root"
    is_named = ANYBODY in names or request.principal in names
    if statement.not_principals:
        return None if is_named or root in names else "named"
    if is_named:
        return "named"
    return "account" if request.account and root in names else None


def _partition(arn: str) -> str:
    return ":".join(arn.split(":")[:2])


def _grants(grants: Iterable[Grant], request: Request) -> Iterable[Source]:
    for grant in grants:
        if (
            grant.grantee == request.principal
            and request.action.lower() in {f"{_KMS}{name}".lower() for name in grant.operations}
            and _fits(grant, request)
        ):
            yield Source(GRANT, grant.id)


def _fits(grant: Grant, request: Request) -> bool:
    """The constraints of a grant are on the encryption context, which is compared with regard to case."""
    if request.encryption_context is None and request.open:
        return True
    context = dict(request.encryption_context or {})
    if grant.context_equals is not None and context != dict(grant.context_equals):
        return False
    return grant.context_subset is None or dict(grant.context_subset).items() <= context.items()
