"""What was read of a key is taken whole or refused; what is missing is told."""

from __future__ import annotations

import json
import urllib.parse
from pathlib import Path
from typing import Any

import pytest

from party_client.kms.errors import PolicyTextError, SnapshotError
from tests.unit.party_client.kms_key import answers, snapshot, terms
from tests.unit.party_client.test_kms_checking import found, planted, with_iam


@pytest.mark.parametrize("operation", ["DescribeKey", "GetKeyPolicy", "ListGrants"])
def test_nothing_is_reported_without_the_key_its_policy_and_grants(tmp_path: Path, operation: str) -> None:
    value = answers(terms(tmp_path))
    del value[operation]
    with pytest.raises(SnapshotError, match=f"no answer of {operation}"):
        snapshot(value)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda value: value.update(Further={}), SnapshotError),
        (lambda value: value["ListGrants"].update(Truncated=True), SnapshotError),
        (lambda value: value["ListGrants"].update(Grants=[{"GrantId": "x"}]), SnapshotError),
        (lambda value: value["DescribeKey"].clear(), SnapshotError),
        (lambda value: value["DescribeKey"]["KeyMetadata"].update(Arn="key"), SnapshotError),
        (lambda value: value["GetKeyPolicy"].update(Policy="{}"), PolicyTextError),
        (
            lambda value: value["GetKeyPolicy"].update(Policy='{"Statement": [{"Effect": "Allow"}]}'),
            PolicyTextError,
        ),
        (
            lambda value: value["GetAccountAuthorizationDetails"]["UserDetailList"][0].update(
                AttachedManagedPolicies=[{"PolicyArn": "arn:aws:iam::aws:policy/Unread"}]
            ),
            SnapshotError,
        ),
    ],
)
def test_answers_that_are_none_are_refused(tmp_path: Path, change: Any, error: type[Exception]) -> None:
    value = answers(terms(tmp_path))
    change(value)
    with pytest.raises(error):
        snapshot(value)


def test_attached_policies_are_read_in_their_default_version(tmp_path: Path) -> None:
    of = terms(tmp_path)
    value = planted(of, with_iam("s3:*"))
    account = value["GetAccountAuthorizationDetails"]
    account["UserDetailList"][0]["AttachedManagedPolicies"] = [{"PolicyArn": "arn:p", "PolicyName": "p"}]
    everything = {"Statement": {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}}
    allowed = urllib.parse.quote(json.dumps(everything))
    nothing = {"Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}}
    versions = [
        {"VersionId": "v1", "IsDefaultVersion": False, "Document": allowed},
        {"VersionId": "v2", "IsDefaultVersion": True, "Document": nothing},
    ]
    account["Policies"] = [{"Arn": "arn:p", "PolicyName": "p", "PolicyVersionList": versions}]
    assert "iam-decrypt" not in found(of, value)
    for version in versions:
        version["IsDefaultVersion"] = not version["IsDefaultVersion"]
    assert "iam-decrypt" in found(of, value)
