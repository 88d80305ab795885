"""Every operation that exists here: KMS's by the name in `X-Amz-Target`, STS's by its `Action`."""

from __future__ import annotations

from typing import Final

from scenarios.kms.operations import (
    assume_role,
    cryptographic,
    grants,
    key_pairs,
    keys_and_policies,
    listings,
)
from scenarios.kms.operations.call import Operation

TARGET_PREFIX: Final = "TrentService."

OPERATIONS: Final[dict[str, Operation]] = {
    "CreateKey": keys_and_policies.create_key,
    "DescribeKey": keys_and_policies.describe_key,
    "EnableKey": keys_and_policies.enable_key,
    "DisableKey": keys_and_policies.disable_key,
    "PutKeyPolicy": keys_and_policies.put_key_policy,
    "GetKeyPolicy": keys_and_policies.get_key_policy,
    "CreateAlias": keys_and_policies.create_alias,
    "ListKeys": listings.list_keys,
    "ListAliases": listings.list_aliases,
    "ListKeyPolicies": listings.list_key_policies,
    "GetKeyRotationStatus": listings.get_key_rotation_status,
    "CreateGrant": grants.create_grant,
    "ListGrants": grants.list_grants,
    "RetireGrant": grants.retire_grant,
    "RevokeGrant": grants.revoke_grant,
    "Encrypt": cryptographic.encrypt,
    "Decrypt": cryptographic.decrypt,
    "GenerateDataKey": cryptographic.generate_data_key,
    "GenerateDataKeyWithoutPlaintext": cryptographic.generate_data_key_without_plaintext,
    "GenerateRandom": cryptographic.generate_random,
    "GenerateDataKeyPair": key_pairs.generate_data_key_pair,
    "GenerateDataKeyPairWithoutPlaintext": key_pairs.generate_data_key_pair_without_plaintext,
    "DeriveSharedSecret": key_pairs.derive_shared_secret,
    "GetPublicKey": key_pairs.get_public_key,
}

STS_OPERATIONS: Final[dict[str, Operation]] = {"AssumeRole": assume_role.assume_role}
