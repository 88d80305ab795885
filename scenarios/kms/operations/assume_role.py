"""AssumeRole: a session of a role, for whom its trust policy names, cut down to a session policy.

A SIMULATED STS for the roles of one account. Who asks was verified by signature; the role's trust policy is
evaluated with `sts:ExternalId` and `sts:RoleSessionName`, and somebody of another account needs an IAM policy
as well. Tags, source identity, managed policies and multi-factor are not modelled, and refused by name. (AWS
STS API reference, "AssumeRole"; IAM user guide, "Access to AWS accounts owned by third parties".)
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, Final

from scenarios.kms.authorization import AccessRequest, Rules, require_allowed
from scenarios.kms.condition_keys import EXTERNAL_ID, SESSION_NAME
from scenarios.kms.credentials import issue
from scenarios.kms.errors import AccessDeniedError, PackedPolicyError, ParameterError
from scenarios.kms.operations.call import Call
from scenarios.kms.parameters import optional_text, text
from scenarios.kms.policies import parse_session_policy_untrusted, parse_trust_policy_untrusted
from scenarios.kms.principals import Caller
from scenarios.kms.roles import SESSION_LEAST_S, SESSION_MOST_S, SESSION_USUAL_S, Role

POLICY_MAX_CHARACTERS: Final = 2048
_SESSION: Final = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_EXTERNAL_ID: Final = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)
_CHAINED_MOST_S: Final = 3600


def assume_role(call: Call) -> dict[str, Any]:
    """Credentials of a new session."""
    call.expect("RoleArn", "RoleSessionName", "ExternalId", "Policy", "DurationSeconds")
    arn = text(call.members, "RoleArn")
    session = _form(text(call.members, "RoleSessionName"), _SESSION, "RoleSessionName")
    external_id = optional_text(call.members, "ExternalId")
    if external_id is not None:
        _form(external_id, _EXTERNAL_ID, "ExternalId")
    policy = _policy(call)
    call.notes.update(key=arn, session=session)
    role = _permitted(call, arn, session, external_id)
    duration = timedelta(seconds=_duration_s(call, role))
    credential = issue(Caller(arn, session), session_policy=policy, expires_at=call.now + duration)
    call.store.put_credential(credential)
    return {
        "AssumedRoleUser": {
            "AssumedRoleId": f"{role.role_id}:{session}",
            "Arn": credential.caller.session_arn,
        },
        "Credentials": {
            "AccessKeyId": credential.access_key_id,
            "SecretAccessKey": credential.secret_access_key,
            "SessionToken": credential.session_token,
            "Expiration": (call.now + duration).strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
        "PackedPolicySize": len(policy or "") * 100 // POLICY_MAX_CHARACTERS,
    }


def _permitted(call: Call, arn: str, session: str, external_id: str | None) -> Role:
    role = call.store.role(arn)
    if (
        role is None
    ):  # AWS answers as to somebody who may not: whether there is such a role is nobody's business
        raise AccessDeniedError(
            f"User: {call.credential.caller} is not authorized to perform: sts:AssumeRole on resource: "
            f"{arn[:200]!r} [SIMULATED STS, AWS does not say: there is no such role here]"
        )
    conditions = {SESSION_NAME: (session,), "aws:resourceaccount": (call.store.account,)}
    if external_id is not None:
        conditions[EXTERNAL_ID] = (external_id,)
    request = AccessRequest(
        caller=call.credential.caller,
        operation=call.operation,
        resource=arn,
        context={**call.surroundings(), **conditions},
        encryption_context={},
        service="sts",
    )
    rules = Rules(
        parse_trust_policy_untrusted(role.trust_policy), (), call.iam_policy(), call.session_policy()
    )
    call.notes["allowed_by"] = require_allowed(request, rules)
    return role


def _duration_s(call: Call, role: Role) -> int:
    written = optional_text(call.members, "DurationSeconds") or str(SESSION_USUAL_S)
    digits = written if written.isascii() and written.isdigit() and len(written) <= 5 else "0"
    if not SESSION_LEAST_S <= int(digits) <= SESSION_MOST_S:
        raise ParameterError(f"DurationSeconds: expected a number from {SESSION_LEAST_S} to {SESSION_MOST_S}")
    if int(digits) > role.max_session_s:
        raise ParameterError(
            f"The requested DurationSeconds exceeds the MaxSessionDuration set for this role "
            f"({role.max_session_s} s)"
        )
    if call.credential.caller.session is not None and int(digits) > _CHAINED_MOST_S:
        raise ParameterError(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role "
            "chaining"
        )
    return int(digits)


def _policy(call: Call) -> str | None:
    policy = optional_text(call.members, "Policy", max_characters=16_384)
    if policy is None:
        return None
    if len(policy) > POLICY_MAX_CHARACTERS:
        raise PackedPolicyError(
            f"Policy: got {len(policy)} characters, expected at most {POLICY_MAX_CHARACTERS}"
        )
    parse_session_policy_untrusted(policy)
    return policy


def _form(value: str, form: re.Pattern[str], name: str) -> str:
    if not form.fullmatch(value):
        raise ParameterError(f"{name}: got {value[:80]!r}, expected {form.pattern}")
    return value
