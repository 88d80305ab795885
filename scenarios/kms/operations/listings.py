"""ListKeys, ListAliases, ListKeyPolicies, GetKeyRotationStatus: what an auditor of a key asks."""

from __future__ import annotations

from typing import Any

from scenarios.kms.operations.call import Call
from scenarios.kms.operations.keys_and_policies import POLICY_NAME
from scenarios.kms.parameters import page


def list_keys(call: Call) -> dict[str, Any]:
    """All keys of the account."""
    call.expect("Limit", "Marker")
    call.permit()
    listed, rest = page(
        call.members, [{"KeyId": key.key_id, "KeyArn": key.arn} for key in call.store.every_key()]
    )
    return {"Keys": listed, **rest}


def list_aliases(call: Call) -> dict[str, Any]:
    """All aliases, or those of one key."""
    call.expect("KeyId", "Limit", "Marker")
    call.permit()
    wanted = call.key().key_id if "KeyId" in call.members else None
    prefix = call.store.arn_prefix.removesuffix("key/")
    aliases = [
        {"AliasName": alias, "AliasArn": f"{prefix}{alias}", "TargetKeyId": key_id}
        for alias, key_id in sorted(call.store.aliases().items())
        if wanted in (None, key_id)
    ]
    listed, rest = page(call.members, aliases)
    return {"Aliases": listed, **rest}


def list_key_policies(call: Call) -> dict[str, Any]:
    """The one that every key has."""
    call.expect("KeyId", "Limit", "Marker")
    call.permit(call.key())
    listed, rest = page(call.members, [POLICY_NAME])
    return {"PolicyNames": listed, **rest}


def get_key_rotation_status(call: Call) -> dict[str, Any]:
    """Never: keys here do not rotate."""
    call.expect("KeyId")
    key = call.key()
    call.permit(key)
    return {"KeyRotationEnabled": False, "KeyId": key.key_id}
