"""What a live key and its account are, as AWS's operations answered.

Reads one JSON file with an answer under the name of each operation, as the `aws` command prints them or
`concordat kms export` wrote them. Nothing in it is believed to be complete: what was not read is told, and
what does not look like the operation's answer is an error. Followed: docs/kms.md, "What check reads".
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from party_client import files
from party_client.kms.errors import SnapshotError
from party_client.kms.evaluation import Grant, KeyAccess
from party_client.kms.policy import Statement, read_json_untrusted, read_policy_untrusted

FILE_MAX_BYTES: Final = 64 * 1024 * 1024
KEY, POLICY, GRANTS = "DescribeKey", "GetKeyPolicy", "ListGrants"
ROTATION, ALIASES, ACCOUNT = "GetKeyRotationStatus", "ListAliases", "GetAccountAuthorizationDetails"
OPERATIONS: Final = (KEY, POLICY, GRANTS, ROTATION, ALIASES, ACCOUNT)
_REQUIRED: Final = (KEY, POLICY, GRANTS)


@dataclass(frozen=True)
class Snapshot:
    """A key as it was when somebody looked."""

    access: KeyAccess
    metadata: Mapping[str, Any]
    """`KeyMetadata`."""
    rotates: bool | None
    """None: not read."""
    aliases: Mapping[str, str] | None
    """Key id by name of the alias; None: not read."""
    iam_was_read: bool


def load_snapshot(path: Path) -> Snapshot:
    """The snapshot in a file. Raises `FileAccessError`, `SnapshotError` or `PolicyTextError`."""
    data = files.read(path, max_bytes=FILE_MAX_BYTES, private=False)
    return read_snapshot_untrusted(read_json_untrusted(data, what=str(path)))


def read_snapshot_untrusted(value: Any) -> Snapshot:
    """The snapshot that a JSON object holds. Raises `SnapshotError` or `PolicyTextError`."""
    answers = _table(value, what="snapshot")
    if missing := [name for name in _REQUIRED if name not in answers]:
        raise SnapshotError(
            f"snapshot: got no answer of {missing[0]}, expected those of {', '.join(OPERATIONS)}",
            hint="docs/kms.md says how to write the file; only the last three can be left out",
        )
    if unknown := sorted(set(answers) - set(OPERATIONS)):
        raise SnapshotError(f"snapshot: got {unknown[0][:64]!r}, expected those of {', '.join(OPERATIONS)}")
    metadata = _table(_field(answers, KEY, "KeyMetadata"), what="KeyMetadata")
    arn = metadata.get("Arn")
    if not isinstance(arn, str) or len(arn.split(":")) != 6:
        raise SnapshotError("KeyMetadata: Arn: expected the ARN of a key")
    account = answers.get(ACCOUNT)
    access = KeyAccess(
        arn=arn,
        policy=read_policy_untrusted(
            _field(answers, POLICY, "Policy"), what="key policy", with_principals=True
        ),
        grants=tuple(map(_grant, _rows(_field(answers, GRANTS, "Grants"), what="Grants"))),
        identities={} if account is None else _identities(_table(account, what=ACCOUNT)),
    )
    rotation = answers.get(ROTATION)
    return Snapshot(
        access=access,
        metadata=metadata,
        rotates=None if rotation is None else _field(answers, ROTATION, "KeyRotationEnabled") is True,
        aliases=_aliases(_field(answers, ALIASES, "Aliases")) if ALIASES in answers else None,
        iam_was_read=account is not None,
    )


def _grant(value: Mapping[str, Any]) -> Grant:
    constraints = _table(value.get("Constraints") or {}, what="Constraints")
    grantee, operations = value.get("GranteePrincipal"), value.get("Operations")
    if not isinstance(grantee, str) or not isinstance(operations, list):
        raise SnapshotError("Grants: expected GranteePrincipal and Operations in each")
    return Grant(
        id=str(value.get("GrantId", "without an id")),
        grantee=grantee,
        operations=tuple(map(str, operations)),
        context_equals=constraints.get("EncryptionContextEquals"),
        context_subset=constraints.get("EncryptionContextSubset"),
    )


def _aliases(value: Any) -> dict[str, str]:
    found = {}
    for row in _rows(value, what="Aliases"):
        if isinstance(target := row.get("TargetKeyId"), str):  # AWS's own have none until they are used
            found[str(row.get("AliasName"))] = target
    return found


def _identities(account: Mapping[str, Any]) -> dict[str, tuple[Statement, ...]]:
    """Statements of all policies of each user and role, those of a user's groups included."""
    managed = {
        str(row.get("Arn")): _default_version(row)
        for row in _rows(account.get("Policies", []), what="Policies")
    }
    groups = {
        str(row.get("GroupName")): _policies(row, "GroupPolicyList", managed)
        for row in _rows(account.get("GroupDetailList", []), what="GroupDetailList")
    }
    found: dict[str, tuple[Statement, ...]] = {}
    for listed, inline in (("UserDetailList", "UserPolicyList"), ("RoleDetailList", "RolePolicyList")):
        for row in _rows(account.get(listed, []), what=listed):
            statements = _policies(row, inline, managed)
            for group in row.get("GroupList", []):
                statements += groups.get(str(group), ())
            found[str(row.get("Arn"))] = statements
    return found


def _policies(
    row: Mapping[str, Any], inline: str, managed: Mapping[str, tuple[Statement, ...]]
) -> tuple[Statement, ...]:
    found: list[Statement] = []
    for policy in _rows(row.get(inline, []), what=inline):
        found += _document(policy.get("PolicyDocument"), name=str(policy.get("PolicyName")))
    for attached in _rows(row.get("AttachedManagedPolicies", []), what="AttachedManagedPolicies"):
        arn = str(attached.get("PolicyArn"))
        if arn not in managed:
            raise SnapshotError(
                f"{ACCOUNT}: got no text of the attached policy {arn}",
                hint="ask for all of it: leave out --filter",
            )
        found += managed[arn]
    return tuple(found)


def _default_version(row: Mapping[str, Any]) -> tuple[Statement, ...]:
    for version in _rows(row.get("PolicyVersionList", []), what="PolicyVersionList"):
        if version.get("IsDefaultVersion") is True:
            return _document(version.get("Document"), name=str(row.get("PolicyName")))
    raise SnapshotError(f"{ACCOUNT}: policy {row.get('PolicyName')}: expected a default version")


def _document(value: Any, *, name: str) -> tuple[Statement, ...]:
    """IAM answers documents as objects, or percent-encoded where nothing decoded them."""
    if isinstance(value, str) and value.startswith("%"):
        value = urllib.parse.unquote(value)
    found = read_policy_untrusted(value, what=f"IAM policy {name}", with_principals=False)
    return tuple(replace(statement, label=f"{name}, {statement.label}") for statement in found)


def _field(answers: Mapping[str, Any], operation: str, name: str) -> Any:
    answer = _table(answers[operation], what=operation)
    if name not in answer:
        raise SnapshotError(f"{operation}: expected {name} in its answer")
    if answer.get("Truncated") is True:
        raise SnapshotError(f"{operation}: got a part of the answer, expected all of it")
    return answer[name]


def _rows(value: Any, *, what: str) -> Iterable[Mapping[str, Any]]:
    if not isinstance(value, list):
        raise SnapshotError(f"{what}: expected a list")
    return [_table(row, what=what) for row in value]


def _table(value: Any, *, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise SnapshotError(f"{what}: expected a JSON object")
    return value
