"""The Terraform file holds together: arguments that the provider has, references that lead somewhere."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from party_client.kms import plan, terraform
from party_client.kms.errors import KmsTermsError
from party_client.kms.plan import compact
from party_client.kms.policy import read_policy_untrusted
from party_client.kms.terraform import literal
from tests.unit.party_client.kms_key import ACCOUNT, KEY_ARN, terms

ARGUMENTS = {
    "aws_iam_role": {"name", "description", "assume_role_policy", "max_session_duration"},
    "aws_iam_role_policy": {"name", "role", "policy"},
    "aws_kms_alias": {"name", "target_key_id"},
    "aws_kms_key": {
        *("description", "key_usage", "customer_master_key_spec", "multi_region", "enable_key_rotation"),
        *("deletion_window_in_days", "bypass_policy_lockout_safety_check", "policy", "depends_on"),
    },
}
"""As the provider documents them; a name that is not here is a typing error or needs looking up."""
ATTRIBUTES = {"aws_iam_role": {"arn", "name"}, "aws_kms_key": {"arn", "key_id"}}
REFERENCE = re.compile(r"(?<!\$)\$\{([^}]*)\}")


@pytest.fixture
def made(tmp_path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(terraform(plan(terms(tmp_path))))
    return found


def texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in texts(item)]
    return [value] if isinstance(value, str) else []


def test_only_what_the_provider_has(made: dict[str, Any]) -> None:
    assert set(made) == {"terraform", "provider", "resource", "output"}
    assert {
        kind: set(fields) for kind, named in made["resource"].items() for fields in named.values()
    } == ARGUMENTS
    assert made["provider"]["aws"] == {"region": "eu-central-1", "allowed_account_ids": [ACCOUNT]}


def test_references_lead_to_what_is_made_here(made: dict[str, Any]) -> None:
    found = [name for text in texts(made) for name in REFERENCE.findall(text)]
    assert len(found) == 5
    for name in found:
        kind, label, attribute = name.split(".")
        assert label in made["resource"][kind]
        assert attribute in ATTRIBUTES[kind]
    for dependency in made["resource"]["aws_kms_key"]["concordat"]["depends_on"]:
        kind, label = dependency.split(".")
        assert label in made["resource"][kind]


def test_the_policies_are_those_of_the_plan(made: dict[str, Any], tmp_path: Path) -> None:
    expected = plan(terms(tmp_path), key_arn=KEY_ARN)
    key = made["resource"]["aws_kms_key"]["concordat"]
    role = made["resource"]["aws_iam_role"]["concordat"]
    assert json.loads(key["policy"]) == expected.key_policy
    assert json.loads(role["assume_role_policy"]) == expected.role_trust
    own = made["resource"]["aws_iam_role_policy"]["concordat"]["policy"]
    filled = own.replace("${aws_kms_key.concordat.arn}", KEY_ARN)
    assert json.loads(filled) == expected.role_policy
    read_policy_untrusted(filled, what="role", with_principals=False)
    assert len(compact(expected.key_policy)) == len(key["policy"])


def test_the_key_is_one_that_check_likes(made: dict[str, Any]) -> None:
    key = made["resource"]["aws_kms_key"]["concordat"]
    assert (key["multi_region"], key["enable_key_rotation"]) == (False, True)
    assert key["bypass_policy_lockout_safety_check"] is False
    assert (key["key_usage"], key["customer_master_key_spec"]) == ("ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT")


def test_nothing_in_a_text_is_filled_in() -> None:
    assert literal("${file(1)} %{if} $") == "$${file(1)} %%{if} $"


def test_a_simulated_kms_has_no_terraform(tmp_path: Path) -> None:
    simulated = replace(terms(tmp_path), is_simulated=True)
    with pytest.raises(KmsTermsError, match="SIMULATED"):
        terraform(plan(simulated))
