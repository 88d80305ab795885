"""Signs requests to KMS: AWS Signature Version 4, for the one kind of request that an enclave makes.

The credentials are the coordinator's to hand in, for a role that the agreement names. They say who pays
and who is logged; they open nothing by themselves, because the key's policy asks for the enclave's
document as well. Their values go into headers: what could be more than one value, or another header, is
refused. (IAM user guide, "Create a signed AWS API request".)
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from protos.formats import limits
from protos.formats.canonical import Value, decode_untrusted, require_fields
from protos.formats.errors import FormatError

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_SERVICE: Final = "kms"
_ACCESS_KEY_ID: Final = re.compile(r"[A-Za-z0-9_]{16,128}", re.ASCII)
_SECRET: Final = re.compile(r"[!-~]{1,256}", re.ASCII)
_TOKEN: Final = re.compile(r"[!-~]{1,8192}", re.ASCII)


@dataclass(frozen=True)
class Credentials:
    """An access key of a role's session. `repr` shows no secret."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(repr=False)

    def __post_init__(self) -> None:
        _require_form(self.access_key_id, "access_key_id", _ACCESS_KEY_ID)
        _require_form(self.secret_access_key, "secret_access_key", _SECRET)
        if self.session_token is not None:
            _require_form(self.session_token, "session_token", _TOKEN)

    @classmethod
    def decode_untrusted(cls, body: bytes) -> Credentials:
        """Parse; `FormatError` for anything else."""
        value = decode_untrusted(body, max_bytes=limits.CREDENTIALS_MAX_BYTES, what="credentials")
        return cls(**require_fields(value, _KEYS, what="credentials"))


def signed_headers(
    headers: Mapping[str, str], body: bytes, *, credentials: Credentials, region: str, now: datetime
) -> dict[str, str]:
    """`headers` (names in lower case, the host among them) of a `POST /`, signed together with `body`."""
    date = now.strftime("%Y%m%dT%H%M%SZ")
    signed = {**headers, "x-amz-date": date}
    if credentials.session_token is not None:
        signed["x-amz-security-token"] = credentials.session_token
    names = ";".join(sorted(signed))
    lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
    canonical = "\n".join(["POST", "/", "", lines, names, hashlib.sha256(body).hexdigest()])
    scope = f"{date[:8]}/{region}/{_SERVICE}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{credentials.secret_access_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, "\n".join([_ALGORITHM, date, scope, digest]).encode(), "sha256").hex()
    credential = f"{credentials.access_key_id}/{scope}"
    signed["authorization"] = (
        f"{_ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"
    )
    return signed


def _require_form(value: Value, what: str, form: re.Pattern[str]) -> None:
    if type(value) is not str or not form.fullmatch(value):
        raise FormatError(f"{what}: has a character or a length that it never has")


_KEYS: Final = frozenset({"access_key_id", "secret_access_key", "session_token"})
