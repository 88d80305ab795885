"""CreateKey, DescribeKey, EnableKey, DisableKey, PutKeyPolicy, GetKeyPolicy, CreateAlias.

A policy is read in full before it is kept, and, as with AWS, has to leave its author able to change it
unless the author waives that. What a key has of its own at AWS and not here (imported material, replicas,
custom key stores, tags) is refused by name.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Final, cast

from scenarios.kms.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    MalformedPolicyError,
    NotModelledError,
    ParameterError,
)
from scenarios.kms.keys import USAGES, Key, KeySpec, default_policy, make_key
from scenarios.kms.operations.call import Call
from scenarios.kms.parameters import flag, optional_text, text
from scenarios.kms.policies import POLICY_MAX_BYTES, parse_key_policy_untrusted

POLICY_NAME: Final = "default"
_ALIAS: Final = re.compile(r"alias/(?!aws/)[a-zA-Z0-9/_-]{1,250}", re.ASCII)
_BYPASS: Final = "BypassPolicyLockoutSafetyCheck"


def create_key(call: Call) -> dict[str, Any]:
    """A new key; without a policy, the whole account decides by IAM, as with AWS."""
    call.expect(
        *("Policy", "Description", "KeyUsage", "KeySpec", "CustomerMasterKeySpec", "Origin", "MultiRegion"),
        _BYPASS,
    )
    if flag(call.members, "MultiRegion") or optional_text(call.members, "Origin") not in (None, "AWS_KMS"):
        raise NotModelledError("keys of several regions and keys from outside are not modelled here")
    spec = optional_text(call.members, "KeySpec") or optional_text(call.members, "CustomerMasterKeySpec")
    spec = spec or "SYMMETRIC_DEFAULT"
    if spec not in USAGES:
        raise NotModelledError(f"KeySpec: got {spec[:40]!r}, expected one of {', '.join(USAGES)}")
    if (optional_text(call.members, "KeyUsage") or "ENCRYPT_DECRYPT") != USAGES[spec]:
        raise ParameterError(f"KeyUsage: expected {USAGES[spec]} for {spec}")
    call.permit(conditions={"kms:keyspec": (spec,), "kms:keyusage": (USAGES[spec],)})
    key = make_key(
        cast(KeySpec, spec),
        arn_prefix=call.store.arn_prefix,
        policy=optional_text(call.members, "Policy", max_characters=POLICY_MAX_BYTES)
        or default_policy(call.store.account),
        description=optional_text(call.members, "Description", max_characters=8192) or "",
        now=call.now,
    )
    _require_sound_policy(call, key, key.policy)
    call.store.put_key(key)
    return {"KeyMetadata": _metadata(key)}


def describe_key(call: Call) -> dict[str, Any]:
    """What the key is."""
    call.expect("KeyId", "GrantTokens")
    key = call.key()
    call.permit(key)
    return {"KeyMetadata": _metadata(key)}


def enable_key(call: Call) -> dict[str, Any]:
    """The key can be used."""
    return _set_enabled(call, enabled=True)


def disable_key(call: Call) -> dict[str, Any]:
    """The key cannot be used until it is enabled."""
    return _set_enabled(call, enabled=False)


def put_key_policy(call: Call) -> dict[str, Any]:
    """Another policy in place of the key's."""
    call.expect("KeyId", "PolicyName", "Policy", _BYPASS)
    key = call.key()
    _require_policy_name(call)
    policy = text(call.members, "Policy", max_characters=POLICY_MAX_BYTES)
    bypass = str(flag(call.members, _BYPASS)).lower()
    call.permit(key, conditions={"kms:bypasspolicylockoutsafetycheck": (bypass,)})
    _require_sound_policy(call, key, policy)
    call.store.put_key(replace(key, policy=policy))
    return {}


def get_key_policy(call: Call) -> dict[str, Any]:
    """The key's policy, exactly as it was put."""
    call.expect("KeyId", "PolicyName")
    key = call.key()
    _require_policy_name(call)
    call.permit(key)
    return {"Policy": key.policy, "PolicyName": POLICY_NAME}


def create_alias(call: Call) -> dict[str, Any]:
    """Another name for a key. (AWS asks for permission on the alias too.)"""
    call.expect("AliasName", "TargetKeyId")
    alias, key = text(call.members, "AliasName"), call.key("TargetKeyId")
    if not _ALIAS.fullmatch(alias):
        raise ParameterError("AliasName: expected alias/ and letters, digits, /, _ or -; not alias/aws/")
    call.permit(key)
    if alias in call.store.aliases():
        raise AlreadyExistsError(f"{alias} exists")
    call.store.put_alias(alias, key.key_id)
    return {}


def _set_enabled(call: Call, *, enabled: bool) -> dict[str, Any]:
    call.expect("KeyId")
    key = call.key()
    call.permit(key)
    call.store.put_key(replace(key, enabled=enabled))
    return {}


def _require_policy_name(call: Call) -> None:
    if optional_text(call.members, "PolicyName") not in (None, POLICY_NAME):
        raise ParameterError(f"PolicyName: expected {POLICY_NAME}")


def _require_sound_policy(call: Call, key: Key, policy: str) -> None:
    """Readable in full, and its author can still change it."""
    parse_key_policy_untrusted(policy)
    if flag(call.members, _BYPASS):
        return
    try:
        call.permit(key, policy=policy, operation="PutKeyPolicy")
    except AccessDeniedError as error:
        raise MalformedPolicyError(
            "The new key policy will not allow you to update the key policy in the future",
            hint=f"name its administrators, or set {_BYPASS}; {error.message}",
        ) from error


def _metadata(key: Key) -> dict[str, Any]:
    symmetric = key.spec == "SYMMETRIC_DEFAULT"
    algorithms = {"EncryptionAlgorithms": [key.spec]} if symmetric else {"KeyAgreementAlgorithms": ["ECDH"]}
    return {
        "AWSAccountId": key.arn.split(":")[4],
        "KeyId": key.key_id,
        "Arn": key.arn,
        "CreationDate": key.created.timestamp(),
        "Enabled": key.enabled,
        "Description": key.description,
        "KeyUsage": key.usage,
        "KeyState": "Enabled" if key.enabled else "Disabled",
        "Origin": "AWS_KMS",
        "KeyManager": "CUSTOMER",
        "CustomerMasterKeySpec": key.spec,
        "KeySpec": key.spec,
        "MultiRegion": False,
        **algorithms,
    }
