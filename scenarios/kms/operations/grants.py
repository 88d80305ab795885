"""CreateGrant, ListGrants, RetireGrant, RevokeGrant. A grant counts as soon as it is made."""

from __future__ import annotations

import secrets
from typing import Any, Final

from scenarios.kms.conditions import Context
from scenarios.kms.errors import (
    AccessDeniedError,
    GrantNotFoundError,
    GrantTokenError,
    NotModelledError,
    ParameterError,
)
from scenarios.kms.grants import GRANTABLE, ConstraintType, Grant
from scenarios.kms.keys import Key
from scenarios.kms.operations.call import Call
from scenarios.kms.parameters import (
    encryption_context,
    optional_text,
    page,
    require_members,
    text,
    texts,
)
from scenarios.kms.principals import is_principal_arn

_CONSTRAINTS: Final[tuple[ConstraintType, ...]] = ("EncryptionContextEquals", "EncryptionContextSubset")
_USUAL_PAGE: Final = 50


def create_grant(call: Call) -> dict[str, Any]:
    """A new permission beside the policy."""
    call.expect(
        *("KeyId", "GranteePrincipal", "RetiringPrincipal", "Operations", "Constraints", "GrantTokens"),
        *("Name", "DryRun"),
    )
    key, grant = call.key(), _grant(call)
    call.permit(key, encryption_context=grant.constraint_context, conditions=_conditions(grant))
    call.store.put_key(call.usable(key).with_grants(*key.grants, grant))
    return {"GrantToken": grant.token, "GrantId": grant.grant_id}


def list_grants(call: Call) -> dict[str, Any]:
    """The grants of a key, all or those asked for."""
    call.expect("Limit", "Marker", "KeyId", "GrantId", "GranteePrincipal")
    key = call.key()
    grant_id, grantee = (optional_text(call.members, name) for name in ("GrantId", "GranteePrincipal"))
    call.permit(key)
    found = [
        _listed(key, grant)
        for grant in key.grants
        if grant_id in (None, grant.grant_id) and grantee in (None, grant.grantee)
    ]
    listed, rest = page(call.members, found, usual=_USUAL_PAGE)
    return {"Grants": listed, **rest}


def retire_grant(call: Call) -> dict[str, Any]:
    """The end of a grant, by its token or its id, by whom it names for that or whom a policy lets."""
    call.expect("GrantToken", "KeyId", "GrantId")
    token = optional_text(call.members, "GrantToken")
    if token is None:
        key = call.key()
        grant = _find(key, text(call.members, "GrantId"))
    else:
        key, grant = _find_token(call, token)
    if not grant.may_be_retired_by(call.credential.caller.names):
        try:
            call.permit(key)
        except AccessDeniedError as error:
            raise AccessDeniedError(f"{error.message}; nor does the grant name the caller for it") from error
    call.store.put_key(_without(key, grant))
    return {}


def revoke_grant(call: Call) -> dict[str, Any]:
    """The end of a grant, by an administrator of the key."""
    call.expect("KeyId", "GrantId", "DryRun")
    key = call.key()
    call.permit(key)
    call.store.put_key(_without(key, _find(key, text(call.members, "GrantId"))))
    return {}


def _grant(call: Call) -> Grant:
    operations = texts(call.members, "Operations")
    unknown = sorted(set(operations) - GRANTABLE)
    if unknown:
        raise NotModelledError(f"Operations: {unknown[0][:40]!r} cannot be granted here")
    if not operations:
        raise ParameterError("Operations: expected at least one")
    grantee, retiring = (
        text(call.members, "GranteePrincipal"),
        optional_text(call.members, "RetiringPrincipal"),
    )
    if not all(is_principal_arn(name) for name in (grantee, retiring) if name is not None):
        raise ParameterError("GranteePrincipal, RetiringPrincipal: expected ARNs of accounts, users or roles")
    constraints = require_members(call.members.get("Constraints", {}), set(_CONSTRAINTS), where="Constraints")
    if len(constraints) > 1:
        raise NotModelledError("Constraints: two at once are not modelled here")
    constraint = next((name for name in _CONSTRAINTS if name in constraints), None)
    return Grant(
        grant_id=secrets.token_hex(32),
        token=secrets.token_urlsafe(90),
        grantee=grantee,
        retiring=retiring,
        operations=operations,
        constraint=constraint,
        constraint_context=encryption_context(constraints, constraint) if constraint else {},
        name=optional_text(call.members, "Name", max_characters=256) or "",
        created=call.now,
        issuing_account=call.credential.caller.account,
    )


def _conditions(grant: Grant) -> Context:
    found = {
        "kms:grantoperations": grant.operations,
        "kms:granteeprincipal": (grant.grantee,),
        "kms:grantisforawsresource": ("false",),
    }
    if grant.retiring is not None:
        found["kms:retiringprincipal"] = (grant.retiring,)
    if grant.constraint is not None:
        found["kms:grantconstrainttype"] = (grant.constraint,)
    return found


def _listed(key: Key, grant: Grant) -> dict[str, Any]:
    found: dict[str, Any] = {
        "KeyId": key.arn,
        "GrantId": grant.grant_id,
        "Name": grant.name,
        "CreationDate": grant.created.timestamp(),
        "GranteePrincipal": grant.grantee,
        "IssuingAccount": f"arn:aws:iam::{grant.issuing_account}:root",
        "Operations": list(grant.operations),
    }
    if grant.retiring is not None:
        found["RetiringPrincipal"] = grant.retiring
    if grant.constraint is not None:
        found["Constraints"] = {grant.constraint: dict(grant.constraint_context)}
    return found


def _find(key: Key, grant_id: str) -> Grant:
    for grant in key.grants:
        if grant.grant_id == grant_id:
            return grant
    raise GrantNotFoundError(f"{key.arn}: no grant {grant_id[:64]!r}")


def _find_token(call: Call, token: str) -> tuple[Key, Grant]:
    for key in call.store.every_key():
        for grant in key.grants:
            if grant.token == token:
                return key, grant
    raise GrantTokenError("GrantToken: of no grant here")


def _without(key: Key, grant: Grant) -> Key:
    return key.with_grants(*(each for each in key.grants if each != grant))
