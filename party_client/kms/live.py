"""Reads a live key and its account through botocore, and changes nothing.

Answers come from AWS, or from what stands at the endpoint that the caller names, and are not judged here:
`snapshot` does. What the caller may not read is left out, and the report says so; without the key itself, its
policy and its grants there is nothing to report. Followed: KMS API Reference, IAM API Reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from party_client.kms.errors import KmsReadError
from party_client.kms.snapshot import ACCOUNT, ALIASES, GRANTS, KEY, POLICY, ROTATION

TIMEOUT_S: Final = 10
_MAY_NOT: Final = frozenset({"AccessDenied", "AccessDeniedException", "UnsupportedOperationException"})
_NO_MORE: Final = "ResponseMetadata"


@dataclass(frozen=True)
class Reader:
    """Where to read, and as whom."""

    region: str
    profile: str | None = None
    """Of the AWS configuration; None: as environment and configuration say."""
    endpoint: str | None = None
    """Of a KMS that is not AWS's; then there is no account to read."""
    authority: Path | None = None
    """Certificate authority of that endpoint (PEM)."""

    def read(self, key: str) -> dict[str, Any]:
        """The answers about `key` (id, ARN or alias) by operation. Raises `KmsReadError`."""
        with _explained():
            kms = self._client("kms")
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
                iam = self._client("iam")
                found |= _if_allowed(ACCOUNT, lambda: _all(iam, "get_account_authorization_details"))
            return found

    def _client(self, service: str) -> Any:
        from botocore.config import Config  # noqa: PLC0415 - an extra, and slow to import
        from botocore.session import Session  # noqa: PLC0415

        return Session(profile=self.profile).create_client(
            service,
            region_name=self.region,
            endpoint_url=self.endpoint,
            verify=str(self.authority) if self.authority else None,
            config=Config(connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S),
        )


@contextmanager
def _explained() -> Iterator[None]:
    """Errors of botocore as ours. Its messages name operations and people, and no data."""
    try:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise KmsReadError(
            "reading a live key needs the kms extra (botocore is not installed)",
            hint="pip install 'concordat[kms]', or give what somebody else has read with --from",
        ) from error
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise KmsReadError(
            f"reading the key failed: {error}",
            hint="kms:DescribeKey, kms:GetKeyPolicy and kms:ListGrants are needed; check profile and region",
        ) from error


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
