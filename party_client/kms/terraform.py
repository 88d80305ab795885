"""A plan as Terraform's JSON syntax: the role, the key with its policy from the first moment, and an alias.

Pure. The key is made with its policy, so there is no moment with AWS's default one, which hands everything to
the account. Texts are escaped: only the references written here are filled in by Terraform.
Followed: "JSON Configuration Syntax" (Terraform language), resources of the provider hashicorp/aws.
"""

from __future__ import annotations

import json
from typing import Any, Final

from party_client.kms.errors import KmsTermsError
from party_client.kms.plan import KmsPlan, compact, role_policy

PROVIDER_VERSION: Final = ">= 5.0, < 7.0"
TERRAFORM_VERSION: Final = ">= 1.5"
SESSION_S: Final = 3600
DELETION_DAYS: Final = 30
_NAME: Final = "concordat"


def terraform(plan: KmsPlan) -> str:
    """A `.tf.json` file. Raises `KmsTermsError` for a simulated KMS, which Terraform knows nothing of."""
    terms, place = plan.terms, plan.terms.place
    if terms.is_simulated:
        raise KmsTermsError("Terraform sets up AWS: got terms for a SIMULATED KMS, expected terms for AWS's")
    key_arn = f"${{aws_kms_key.{_NAME}.arn}}"
    described = f"Concordat: {terms.party} in {terms.agreement_id}"
    made: dict[str, Any] = {
        "terraform": {
            "required_version": TERRAFORM_VERSION,
            "required_providers": {"aws": {"source": "hashicorp/aws", "version": PROVIDER_VERSION}},
        },
        "provider": {"aws": {"region": place.region, "allowed_account_ids": [place.account]}},
        "resource": {
            "aws_iam_role": {
                _NAME: {
                    "name": place.role,
                    "description": literal(f"{described}: brings the enclave's requests to KMS"),
                    "assume_role_policy": literal(compact(plan.role_trust)),
                    "max_session_duration": SESSION_S,
                }
            },
            "aws_kms_key": {
                _NAME: {
                    "description": literal(described),
                    "key_usage": "ENCRYPT_DECRYPT",
                    "customer_master_key_spec": "SYMMETRIC_DEFAULT",
                    "multi_region": False,
                    "enable_key_rotation": True,
                    "deletion_window_in_days": DELETION_DAYS,
                    "bypass_policy_lockout_safety_check": False,
                    "policy": literal(compact(plan.key_policy)),
                    "depends_on": [f"aws_iam_role.{_NAME}"],
                }
            },
            "aws_kms_alias": {
                _NAME: {"name": literal(plan.alias), "target_key_id": f"${{aws_kms_key.{_NAME}.key_id}}"}
            },
            "aws_iam_role_policy": {
                _NAME: {
                    "name": "attested-decryption",
                    "role": f"${{aws_iam_role.{_NAME}.name}}",
                    "policy": _with_key(plan, key_arn),
                }
            },
        },
        "output": {
            "key_arn": {"value": key_arn},
            "role_arn": {"value": f"${{aws_iam_role.{_NAME}.arn}}"},
        },
    }
    return json.dumps(made, indent=2) + "\n"


def literal(text: str) -> str:
    """`text` as Terraform takes it: nothing in it is filled in."""
    return text.replace("${", "$${").replace("%{", "%%{")


def _with_key(plan: KmsPlan, key_arn: str) -> str:
    """The role's policy for this key, whose ARN Terraform fills in; everything else is literal."""
    mark = "KEY-ARN"
    before, _, after = literal(compact(role_policy(plan.terms, mark))).partition(f'"{mark}"')
    return f'{before}"{key_arn}"{after}'
