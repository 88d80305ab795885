"""Whose signature a request carries: AWS Signature Version 4, verified.

Reads headers and body from anybody. What returns is the credential whose secret signed exactly this method,
these headers and this body, for this region and service, within five minutes of now. The host, every
`x-amz-*` header (so KMS's operation and the session token) and the content type have to be among what was
signed. (IAM user guide, "Create a signed AWS API request".)
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from scenarios.kms.credentials import Credential
from scenarios.kms.errors import (
    ExpiredCredentialError,
    IncompleteSignatureError,
    NotSignedError,
    UnknownCredentialError,
    WrongSignatureError,
)

WINDOW: Final = timedelta(minutes=5)
_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_DATE_FORMAT: Final = "%Y%m%dT%H%M%SZ"
_AUTHORIZATION: Final = re.compile(
    rf"{_ALGORITHM} Credential=(?P<key>[A-Z0-9]{{16,128}})/(?P<day>[0-9]{{8}})/(?P<region>[a-z0-9-]{{1,32}})"
    r"/(?P<service>[a-z0-9-]{1,32})/aws4_request, ?"
    r"SignedHeaders=(?P<headers>[a-z0-9;_-]{1,1024}), ?Signature=(?P<signature>[0-9a-f]{64})",
    re.ASCII,
)


@dataclass(frozen=True)
class SignedRequest:
    """What a signature is over. There is one resource, `POST /`, and no query."""

    headers: Mapping[str, str]
    """By name in lower case."""
    body: bytes


def verify_signature(
    request: SignedRequest,
    *,
    lookup: Callable[[str], Credential | None],
    region: str,
    service: str,
    now: datetime,
) -> Credential:
    """Who signed `request`. Raises an error of AWS's name for each way not to have."""
    header = request.headers.get("authorization")
    if header is None:
        raise NotSignedError("Missing Authentication Token: no Authorization header")
    match = _AUTHORIZATION.fullmatch(header)
    if match is None:
        raise IncompleteSignatureError("Authorization header: expected AWS4-HMAC-SHA256 with its three parts")
    signed_at = _require_date(request.headers.get("x-amz-date"), match["day"], now)
    if (match["region"], match["service"]) != (region, service):
        raise WrongSignatureError(
            f"Credential should be scoped to {region}/{service}, got {match['region']}/{match['service']}"
        )
    names = match["headers"].split(";")
    _require_signed(names, request.headers)
    credential = _require_credential(lookup(match["key"]), request.headers.get("x-amz-security-token"))
    scope = f"{match['day']}/{region}/{service}/aws4_request"
    expected = _signature(request, names, credential.secret_access_key, scope, signed_at)
    if not hmac.compare_digest(expected, match["signature"]):
        raise WrongSignatureError(
            "The request signature we calculated does not match the signature you provided",
            hint="check the secret access key, and that nothing between changes headers or body",
        )
    if credential.expires_at is not None and now >= credential.expires_at:
        raise ExpiredCredentialError("The security token included in the request is expired")
    return credential


def _require_date(text: str | None, day: str, now: datetime) -> str:
    try:
        signed_at = datetime.strptime(text or "", _DATE_FORMAT).replace(tzinfo=UTC)
    except ValueError as error:
        raise IncompleteSignatureError("X-Amz-Date: expected YYYYMMDDTHHMMSSZ") from error
    if signed_at.strftime(_DATE_FORMAT) != text or not text.startswith(day):
        raise IncompleteSignatureError("X-Amz-Date: expected one date, that of the credential's scope")
    if abs(now - signed_at) > WINDOW:
        raise WrongSignatureError(
            f"Signature not current: {text} is more than {WINDOW} from {now.strftime(_DATE_FORMAT)}",
            hint="check this computer's clock",
        )
    return text


def _require_signed(names: list[str], headers: Mapping[str, str]) -> None:
    if names != sorted(set(names)):
        raise IncompleteSignatureError("SignedHeaders: expected names in order, each once")
    needed = {"host", "x-amz-date"}
    needed |= {name for name in headers if name.startswith("x-amz-") or name == "content-type"}
    for missing in sorted(needed - set(names)):
        raise WrongSignatureError(f"header {missing!r} has to be signed, and is not")
    for absent in sorted(set(names) - headers.keys()):
        raise WrongSignatureError(f"header {absent!r} is signed, and not there")


def _require_credential(credential: Credential | None, token: str | None) -> Credential:
    if credential is None or not hmac.compare_digest(
        (credential.session_token or "").encode(), (token or "").encode()
    ):
        raise UnknownCredentialError("The security token included in the request is invalid")
    return credential


def _signature(request: SignedRequest, names: list[str], secret: str, scope: str, signed_at: str) -> str:
    payload = hashlib.sha256(request.body).hexdigest()
    lines = [f"{name}:{' '.join(request.headers[name].split())}\n" for name in names]
    canonical = "\n".join(["POST", "/", "", "".join(lines), ";".join(names), payload])
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, "\n".join([_ALGORITHM, signed_at, scope, digest]).encode(), "sha256").hex()
