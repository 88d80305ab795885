"""How KMS is reached: botocore, with what the caller's AWS configuration says, and its errors as ours.

Credentials are botocore's business: nothing here reads, keeps or shows them. An endpoint other than AWS's is
one that the caller names, or the agreement does, with who vouches for it. Followed: KMS API Reference.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from party_client.kms.agreed import is_aws
from party_client.kms.authorities import as_pem
from party_client.kms.errors import KmsError
from protos.formats.kms import KeyService

TIMEOUT_S: Final = 10
_EXPIRED: Final = frozenset(
    {
        *("ExpiredToken", "ExpiredTokenException", "RequestExpired"),
        *("InvalidClientTokenId", "UnrecognizedClientException", "InvalidSignatureException"),
    }
)


@dataclass(frozen=True)
class KmsAccess:
    """Where to ask, and as whom."""

    region: str
    profile: str | None = None
    """Of the AWS configuration; None: as environment and configuration say."""
    endpoint: str | None = None
    """URL of a KMS that is not at AWS's usual place."""
    authority: Path | None = None
    """Who vouches for that endpoint (PEM)."""

    def client(self, service: str) -> Any:
        """A botocore client."""
        from botocore.config import Config  # noqa: PLC0415 - an extra, and slow to import
        from botocore.session import Session  # noqa: PLC0415

        return Session(profile=self.profile).create_client(
            service,
            region_name=self.region,
            endpoint_url=self.endpoint,
            verify=str(self.authority) if self.authority else None,
            config=Config(connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S),
        )


@dataclass(frozen=True)
class Reach:
    """How this caller reaches a service that was agreed on; the defaults are as agreed."""

    profile: str | None = None
    """Of the AWS configuration; None: as environment and configuration say."""
    endpoint: str | None = None
    """URL of another way to it."""
    authority: Path | None = None
    """Who vouches for that way (PEM)."""


@contextmanager
def reached(service: KeyService, reach: Reach) -> Iterator[KmsAccess]:
    """The agreed service: where it was agreed to be and under those who were agreed to vouch for it."""
    endpoint = reach.endpoint
    if endpoint is None and not is_aws(service):
        endpoint = f"https://{service.endpoint}"
    if reach.authority is not None:
        yield KmsAccess(service.region, reach.profile, endpoint, reach.authority)
        return
    with tempfile.NamedTemporaryFile(prefix="concordat-authorities-", suffix=".pem") as file:
        file.write(as_pem(service.authorities))
        file.flush()
        yield KmsAccess(service.region, reach.profile, endpoint, Path(file.name))


@contextmanager
def explained(
    raised: type[KmsError], *, doing: str, denied: str, otherwise: str, without: str
) -> Iterator[None]:
    """Errors of botocore as `raised`, which say that `doing` failed. They name no data.

    Hints: `denied` where the caller may not, `without` where botocore is not installed, else `otherwise`.
    """
    try:
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise raised(f"{doing} needs the kms extra (botocore is not installed)", hint=without) from error
    try:
        yield
    except NoCredentialsError as error:
        raise raised(f"{doing} failed: there are no AWS credentials", hint=_LOG_IN) from error
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in _EXPIRED:
            hint = f"the credentials have ended or are not known: {_LOG_IN}"
        else:
            hint = denied if code.startswith("AccessDenied") else _HINTS.get(code, otherwise)
        raise raised(f"{doing} failed: {error}", hint=hint) from error
    except BotoCoreError as error:
        raise raised(f"{doing} failed: {error}", hint=otherwise) from error


_LOG_IN: Final = "log in again (`aws sso login`), or name another profile with --profile"
_HINTS: Final = {
    "NotFoundException": "is it the key's ARN, and is the region right? An alias is no key here",
    "DisabledException": "the key is disabled: its administrator can enable it",
    "KMSInvalidStateException": "the key cannot be used as it is now: see its state in AWS's console",
}
