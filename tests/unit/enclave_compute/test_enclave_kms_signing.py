"""Requests are signed as botocore signs them, and credentials cannot become another header."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import given
from hypothesis import strategies as st

from enclave_compute.kms.signing import Credentials, signed_headers
from protos.formats.canonical import encode
from protos.formats.errors import FormatError

TOKENS = st.none() | st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=200)
SECRETS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=60)
TIMES = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)).map(
    lambda naive: naive.replace(tzinfo=UTC, microsecond=0)
)
REGIONS = st.sampled_from(["eu-central-1", "us-gov-west-1", "ap-southeast-7"])
GIVEN: dict[str, Any] = {
    "access_key_id": "ASIAIOSFODNN7EXAMPLE",
    "secret_access_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "session_token": "IQoJb3JpZ2luX2VjE==",
}


def headers_of(host: str) -> dict[str, str]:
    return {
        "content-type": "application/x-amz-json-1.1",
        "host": host,
        "x-amz-target": "TrentService.Decrypt",
    }


@given(secret=SECRETS, token=TOKENS, now=TIMES, region=REGIONS, body=st.binary(max_size=300))
def test_a_signature_is_botocores(
    secret: str, token: str | None, now: datetime, region: str, body: bytes
) -> None:
    host = f"kms.{region}.amazonaws.com"
    found = signed_headers(
        headers_of(host),
        body,
        credentials=Credentials("AKIAIOSFODNN7EXAMPLE", secret, token),
        region=region,
        now=now,
    )
    request = AWSRequest("POST", f"https://{host}/", headers=headers_of(host), data=body)
    signer = auth.SigV4Auth(BotoCredentials("AKIAIOSFODNN7EXAMPLE", secret, token), "kms", region)
    with mock.patch.object(auth, "get_current_datetime", lambda: now.replace(tzinfo=None)):
        signer.add_auth(request)
    expected = {name.lower(): value for name, value in request.headers.items()}
    assert found == expected


def test_repr_shows_no_secret() -> None:
    credentials = Credentials(**GIVEN)
    for text in (repr(credentials), str(credentials)):
        assert GIVEN["access_key_id"] in text
        assert GIVEN["secret_access_key"] not in text
        assert GIVEN["session_token"] not in text


def test_credentials_are_read_as_they_are_written() -> None:
    assert Credentials.decode_untrusted(encode(GIVEN)) == Credentials(**GIVEN)
    without = {**GIVEN, "session_token": None}
    assert Credentials.decode_untrusted(encode(without)).session_token is None


@pytest.mark.parametrize("name", GIVEN)
@pytest.mark.parametrize(
    "value",
    [
        *("", "x" * 8193, "a b", "a\r\nx-amz-target: TrentService.Encrypt", "a\n", "a\0", "ä", "a\x7f"),
        *(b"bytes", 1, True, ["a"], {"a": 1}),
    ],
    ids=repr,
)
def test_what_no_credential_has_is_refused(name: str, value: Any) -> None:
    """A line break would end the header, and begin another."""
    with pytest.raises(FormatError) as found:
        Credentials.decode_untrusted(encode({**GIVEN, name: value}))
    assert str(value) not in str(found.value) or len(str(value)) < 3


@pytest.mark.parametrize("name", ["access_key_id", "secret_access_key"])
def test_only_the_token_may_be_missing(name: str) -> None:
    with pytest.raises(FormatError):
        Credentials.decode_untrusted(encode({**GIVEN, name: None}))


@pytest.mark.parametrize(
    "body", [b"", b"\xa0", b"\xff", encode([]), encode({**GIVEN, "more": 1}), bytes(11_000)]
)
def test_what_is_no_credential_is_refused(body: bytes) -> None:
    with pytest.raises(FormatError):
        Credentials.decode_untrusted(body)


def test_a_signature_changes_with_everything_that_it_covers() -> None:
    now = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
    base = {"headers": headers_of("h"), "body": b"{}", "credentials": Credentials(**GIVEN)}
    more: dict[str, Any] = {"region": "eu-central-1", "now": now}

    def signature(**changes: Any) -> str:
        arguments = {**base, **more, **changes}
        headers, body = arguments.pop("headers"), arguments.pop("body")
        return signed_headers(headers, body, **arguments)["authorization"].rpartition("Signature=")[2]

    found = {
        signature(),
        signature(headers={**headers_of("h"), "host": "g"}),
        signature(headers={**headers_of("h"), "x-amz-target": "TrentService.Encrypt"}),
        signature(body=b"{} "),
        signature(region="eu-central-2"),
        signature(now=now + timedelta(seconds=1)),
        signature(credentials=Credentials(**{**GIVEN, "session_token": "other"})),
        signature(credentials=Credentials(**{**GIVEN, "secret_access_key": "other"})),
    }
    assert len(found) == 8
