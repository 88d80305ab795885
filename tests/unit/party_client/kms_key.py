"""A party's key in AWS KMS as it should be, and ways to change it; for several tests."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from party_client.agreements import compile_toml
from party_client.kms import KeyTerms, Place, key_terms, plan
from party_client.kms.snapshot import Snapshot, read_snapshot_untrusted
from protos.formats.agreement import Agreement
from protos.formats.participants import Release
from protos.release.history import agreed_releases
from protos.release.roots import AWS_NITRO_ROOT_G1_SHA256
from tests.unit.party_client.written_agreement import write

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ACCOUNT, OPERATOR = "111122223333", "444455556666"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/concordat-enclave"
ADMINISTRATOR = f"arn:aws:iam::{ACCOUNT}:role/key-admin"
SEALER = f"arn:aws:iam::{ACCOUNT}:role/sealer"
PARENT = f"arn:aws:iam::{OPERATOR}:role/parent"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
MALLORY = f"arn:aws:iam::{ACCOUNT}:user/mallory"
KEY_ID = "1234abcd-12ab-34cd-56ef-1234567890ab"
KEY_ARN = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/{KEY_ID}"
PLACE = Place(ACCOUNT, "eu-central-1", "concordat-enclave", (PARENT,), (ADMINISTRATOR,), (SEALER,))


def release(name: str, number: int, **validity: int) -> Release:
    """A release under AWS's root, all of whose registers are its own."""
    pcr0, pcr1, pcr2 = (bytes([number + register]) * 48 for register in range(3))
    begin_s, end_s = validity.get("valid_from_s"), validity.get("valid_until_s")
    return Release(name, pcr0, pcr1, pcr2, AWS_NITRO_ROOT_G1_SHA256, begin_s, end_s)


FIRST, SECOND = release("1.0.0", 0x10), release("1.1.0", 0x20)


def agreement(folder: Path, releases: Sequence[Release] = (FIRST,)) -> Agreement:
    """Of an airline and a weather service, valid in 2026."""
    return replace(compile_toml(write(folder)), releases=tuple(releases))


def terms(folder: Path, releases: Sequence[Release] = (FIRST,), place: Place = PLACE) -> KeyTerms:
    """The airline's."""
    agreed = agreed_releases(agreement(folder, releases))
    return key_terms(agreed, party="airline", place=place, now=NOW)


def answers(sound: KeyTerms) -> dict[str, Any]:
    """What AWS's operations answer about a key that was set up by the plan, with the account's people."""
    return {
        "DescribeKey": {
            "KeyMetadata": {
                "Arn": KEY_ARN,
                "KeyId": KEY_ID,
                "KeyState": "Enabled",
                "KeyUsage": "ENCRYPT_DECRYPT",
                "KeySpec": "SYMMETRIC_DEFAULT",
                "KeyManager": "CUSTOMER",
                "Origin": "AWS_KMS",
                "MultiRegion": False,
            }
        },
        "GetKeyPolicy": {"Policy": json.dumps(plan(sound).key_policy), "PolicyName": "default"},
        "ListGrants": {"Grants": [], "Truncated": False},
        "GetKeyRotationStatus": {"KeyRotationEnabled": True},
        "ListAliases": {"Aliases": [{"AliasName": plan(sound).alias, "TargetKeyId": KEY_ID}]},
        "GetAccountAuthorizationDetails": {
            "UserDetailList": [{"Arn": MALLORY, "UserName": "mallory", "GroupList": ["developers"]}],
            "GroupDetailList": [
                {"GroupName": "developers", "Arn": f"arn:aws:iam::{ACCOUNT}:group/developers"}
            ],
            "RoleDetailList": [
                {
                    "Arn": ROLE,
                    "RoleName": PLACE.role,
                    "RolePolicyList": [
                        {"PolicyName": "attested-decryption", "PolicyDocument": plan(sound).role_policy}
                    ],
                }
            ],
            "Policies": [],
        },
    }


def snapshot(value: Mapping[str, Any]) -> Snapshot:
    """Of a copy, as it comes out of a file."""
    return read_snapshot_untrusted(json.loads(json.dumps(value)))


def with_policy(value: Mapping[str, Any], policy: Mapping[str, Any]) -> dict[str, Any]:
    """The same key with another policy."""
    changed = copy.deepcopy(dict(value))
    changed["GetKeyPolicy"]["Policy"] = json.dumps(policy)
    return changed


def policy_of(value: Mapping[str, Any]) -> dict[str, Any]:
    """The key's policy, to be changed."""
    found: dict[str, Any] = json.loads(value["GetKeyPolicy"]["Policy"])
    return found


def statement(policy: Mapping[str, Any], sid: str) -> dict[str, Any]:
    """The one with this Sid."""
    (found,) = [one for one in policy["Statement"] if one["Sid"] == sid]
    return found  # type: ignore[no-any-return]
