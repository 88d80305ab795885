"""Decides whether a request is allowed, and says which statement and which condition decided.

Everything in it was checked before: the caller's signature, the attestation document, the policies'
grammar. The order is AWS's: an explicit deny anywhere wins; a session policy has to allow; then, in the
key's own account, the key policy in person, or the key policy for the account together with an IAM policy,
or a grant; from another account, the key policy and an IAM policy. What has no key needs an IAM policy,
except of the account's root user. The trust policy of a role, which says who takes it on, counts as a key's
policy does. (IAM user guide, "Policy evaluation logic"; AWS KMS developer guide, "Key access and
permissions".)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from scenarios.kms.conditions import Context
from scenarios.kms.errors import AccessDeniedError
from scenarios.kms.grants import Grant
from scenarios.kms.policies import PolicyDocument, Statement
from scenarios.kms.principals import Caller, Reach, reach

NO_KEY: Final = "*"


@dataclass(frozen=True)
class AccessRequest:
    """Who wants to do what with which key or role, and the values that conditions may look at."""

    caller: Caller
    operation: str
    """`Decrypt`"""
    resource: str
    """The ARN of the key or role, or `NO_KEY`."""
    context: Context
    encryption_context: Mapping[str, str]
    service: str = "kms"

    @property
    def action(self) -> str:
        """`kms:Decrypt`"""
        return f"{self.service}:{self.operation}"

    @property
    def is_cross_account(self) -> bool:
        """Whether the resource and the caller belong to two accounts."""
        return self.resource != NO_KEY and self.resource.split(":")[4] != self.caller.account


@dataclass(frozen=True)
class Rules:
    """Everything that may allow or deny one request."""

    resource_policy: PolicyDocument | None
    """Of the key, or the role's trust policy; `None` for an operation without a key."""
    grants: Sequence[Grant]
    iam_policy: PolicyDocument | None
    session_policy: PolicyDocument | None


def require_allowed(request: AccessRequest, rules: Rules) -> str:
    """What allowed it, in words. Raises `AccessDeniedError` with the statements that came nearest."""
    for policy in (rules.resource_policy, rules.iam_policy, rules.session_policy):
        _require_not_denied(request, policy)
    reasons: list[str] = []
    if rules.session_policy and not _allowing(request, rules.session_policy, reasons):
        _refuse(request, "no session policy allows the action", reasons)
    if rules.resource_policy is None:
        if request.caller.is_root:
            return "root user"
        return _require_iam(request, rules.iam_policy, reasons)
    by_resource = _allowing(request, rules.resource_policy, reasons)
    if by_resource is None:
        for grant in rules.grants:
            if grant.covers(request.caller.names, request.operation, request.encryption_context):
                return f"grant {grant.grant_id}"
        _refuse(request, "no resource-based policy allows the action", reasons)
    statement, how = by_resource
    allowed_by = f"{rules.resource_policy.kind} statement {statement.name}"
    if how == "account" or request.is_cross_account:
        return f"{allowed_by} and {_require_iam(request, rules.iam_policy, reasons)}"
    return allowed_by


def _require_not_denied(request: AccessRequest, policy: PolicyDocument | None) -> None:
    for statement in policy.statements if policy else ():
        if statement.effect == "Deny" and _reach(request, statement) and _is_met(request, statement):
            because = "; ".join(each.says(request.context) for each in statement.conditions) or "no condition"
            kind = policy.kind if policy else ""
            _refuse(
                request,
                f"explicit deny in the {kind}",
                [f"statement {statement.name} of the {kind} denies it: {because}"],
            )


def _require_iam(request: AccessRequest, policy: PolicyDocument | None, reasons: list[str]) -> str:
    found = _allowing(request, policy, reasons) if policy else None
    if found is None:
        if policy is None:
            reasons.append("the caller has no IAM policy")
        _refuse(request, "no identity-based policy allows the action", reasons)
    return f"IAM policy statement {found[0].name}"


def _allowing(
    request: AccessRequest, policy: PolicyDocument, reasons: list[str]
) -> tuple[Statement, Reach] | None:
    """The statement that allows it, in person before by account; to `reasons`, why others do not."""
    found: tuple[Statement, Reach] | None = None
    for statement in policy.statements:
        how = _reach(request, statement) if statement.effect == "Allow" else None
        if how is None:
            continue
        failed = [
            each.says(request.context) for each in statement.conditions if not each.holds(request.context)
        ]
        if failed:
            reasons.append(
                f"statement {statement.name} of the {policy.kind} does not apply: {'; '.join(failed)}"
            )
        elif found is None or how == "direct":
            found = statement, how
            if how == "direct":
                break
    return found


def _reach(request: AccessRequest, statement: Statement) -> Reach | None:
    """How `statement` concerns the caller; `None` if it does not, or is about something else."""
    if not statement.is_about(request.action, request.resource):
        return None
    return "direct" if statement.principals is None else reach(statement.principals, request.caller)


def _is_met(request: AccessRequest, statement: Statement) -> bool:
    return all(condition.holds(request.context) for condition in statement.conditions)


def _refuse(request: AccessRequest, because: str, reasons: list[str]) -> NoReturn:
    detail = " | ".join(reasons) or f"no statement is about {request.action} for this caller"
    raise AccessDeniedError(
        f"User: {request.caller} is not authorized to perform: {request.action} "
        f"on resource: {request.resource} because {because} [SIMULATED KMS, AWS does not say: {detail}]"
    )
