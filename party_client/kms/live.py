"""Reads a live key and its account through botocore, and changes nothing.

Answers come from AWS, or from what stands at the endpoint that the caller names, and are not judged here:
`snapshot` does. What the caller may not read is left out, and the report says so; without the key itself, its
policy and its grants there is nothing to report. Followed: KMS API Reference, IAM API Reference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from party_client.kms.access import KmsAccess, explained
from party_client.kms.errors import KmsReadError
from party_client.kms.snapshot import ACCOUNT, ALIASES, GRANTS, KEY, POLICY, ROTATION

_MAY_NOT: Final = frozenset({"AccessDenied", "AccessDeniedException", "UnsupportedOperationException"})
_NO_MORE: Final = "ResponseMetadata"
_NEEDED: Final = "kms:DescribeKey, kms:GetKeyPolicy and kms:ListGrants are needed"


@dataclass(frozen=True)
class Reader(KmsAccess):
    """Where to read, and as whom. With an endpoint there is no account to read."""

    @classmethod
    def of(cls, access: KmsAccess) -> Reader:
        """The same place, as the same caller."""
        return cls(access.region, access.profile, access.endpoint, access.authority)

    def read(self, key: str) -> dict[str, Any]:
        """The answers about `key` (id, ARN or alias) by operation. Raises `KmsReadError`."""
        with explained(
            KmsReadError,
            doing="reading the key",
            denied=f"{_NEEDED}, which administrators have",
            otherwise=f"{_NEEDED}; check profile and region",
            without="pip install 'concordat[party,kms]', or give what somebody else has read with --from",
        ):
            kms = self.client("kms")
            described = _plain(kms.describe_key(KeyId=key))
            arn = described["KeyMetadata"]["Arn"]
            found = {
                KEY: described,
                POLICY: _plain(kms.get_key_policy(KeyId=arn, PolicyName="default")),
                GRANTS: _all(kms, "list_grants", KeyId=arn),
            }
            found |= _if_allowed(ROTATION, lambda: _plain(kms.get_key_rotation_status(KeyId=arn)))
            found |= _if_allowed(ALIASES, lambda: _all(kms, "list_aliases"))
            if self.endpoint is None:
                iam = self.client("iam")
                found |= _if_allowed(ACCOUNT, lambda: _all(iam, "get_account_authorization_details"))
            return found


def _if_allowed(operation: str, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The answer under the operation's name; nothing where the caller may not ask."""
    from botocore.exceptions import ClientError  # noqa: PLC0415

    try:
        return {operation: ask()}
    except ClientError as error:
        if error.response["Error"]["Code"] in _MAY_NOT:
            return {}
        raise


def _all(client: Any, operation: str, **parameters: str) -> dict[str, Any]:
    """All pages of an answer as one."""
    return dict(client.get_paginator(operation).paginate(**parameters).build_full_result())


def _plain(answer: Any) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != _NO_MORE}
