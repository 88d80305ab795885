"""A live key is read through an unmodified botocore, from something that answers as AWS's services do."""

from __future__ import annotations

import json
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from party_client.kms import check_key
from party_client.kms.errors import KmsReadError
from party_client.kms.live import Reader
from party_client.kms.snapshot import read_snapshot_untrusted
from tests.unit.party_client.kms_key import ACCOUNT, KEY_ARN, KEY_ID, MALLORY, answers, terms

DENIED = {"__type": "AccessDeniedException", "message": "not for you"}
USER = f"""<member><Arn>{MALLORY}</Arn><UserName>mallory</UserName><UserId>AIDA1</UserId><Path>/</Path>
<GroupList/><AttachedManagedPolicies/><UserPolicyList><member><PolicyName>p</PolicyName>
<PolicyDocument>DOCUMENT</PolicyDocument></member></UserPolicyList></member>"""


class Services(ThreadingHTTPServer):
    """KMS and IAM on one port: what they know, what they deny, and what they were asked."""

    def __init__(self, known: dict[str, Any]) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.known = known
        self.denied: set[str] = set()
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answering(BaseHTTPRequestHandler):
    server: Services

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        target = self.headers.get("X-Amz-Target", "")
        if target:
            self.kms(target.removeprefix("TrentService."), json.loads(body))
        else:
            self.iam(urllib.parse.parse_qs(body.decode()))

    def kms(self, operation: str, asked: dict[str, Any]) -> None:
        self.server.asked.append(operation)
        if operation in self.server.denied:
            self.answer(400, json.dumps(DENIED), "application/x-amz-json-1.1")
            return
        found = dict(self.server.known[operation])
        if operation == "ListGrants":  # in two pages
            first = "Marker" not in asked
            found["Grants"] = found["Grants"][:1] if first else found["Grants"][1:]
            found |= {"Truncated": first} | ({"NextMarker": "more"} if first else {})
        self.answer(200, json.dumps(found), "application/x-amz-json-1.1")

    def iam(self, asked: dict[str, list[str]]) -> None:
        (operation,) = asked["Action"]
        self.server.asked.append(operation)
        if operation in self.server.denied:
            error = "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"
            self.answer(403, error, "text/xml")
            return
        document = {"Statement": {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}}
        user = USER.replace("DOCUMENT", urllib.parse.quote(json.dumps(document)))
        result = (
            f"<UserDetailList>{user}</UserDetailList><IsTruncated>false</IsTruncated>"
            if "Marker" in asked
            else "<UserDetailList/><IsTruncated>true</IsTruncated><Marker>more</Marker>"
        )
        name = "GetAccountAuthorizationDetails"
        self.answer(
            200, f"<{name}Response><{name}Result>{result}</{name}Result></{name}Response>", "text/xml"
        )

    def answer(self, status: int, text: str, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    """Both services, where botocore's own environment variables lead to them."""
    known = answers(terms(tmp_path))
    known["ListGrants"] = {
        "Grants": [
            {"GrantId": f"g{number}", "GranteePrincipal": MALLORY, "Operations": ["Decrypt"]}
            for number in range(2)
        ]
    }
    with Services(known) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name, value in {
            "AWS_ENDPOINT_URL_KMS": server.url,
            "AWS_ENDPOINT_URL_IAM": server.url,
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "example",
            "AWS_CONFIG_FILE": str(tmp_path / "no-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "no-credentials"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
        }.items():
            monkeypatch.setenv(name, value)
        yield server
        server.shutdown()


def test_a_live_key_is_read_whole(services: Services, tmp_path: Path) -> None:
    found = read_snapshot_untrusted(Reader("eu-central-1").read(KEY_ID))
    assert found.access.arn == KEY_ARN
    assert [grant.id for grant in found.access.grants] == ["g0", "g1"]
    assert found.rotates is True
    assert found.iam_was_read
    (statement,) = found.access.identities[MALLORY]
    assert statement.actions == ("kms:*",)
    report = check_key(terms(tmp_path), found)
    assert [finding.code for finding in report.findings] == ["grant", "grant"]


def test_what_changes_something_is_never_asked(services: Services) -> None:
    Reader("eu-central-1").read(KEY_ID)
    assert set(services.asked) == {
        *("DescribeKey", "GetKeyPolicy", "ListGrants", "GetKeyRotationStatus", "ListAliases"),
        "GetAccountAuthorizationDetails",
    }


def test_what_may_not_be_read_is_left_out(services: Services) -> None:
    services.denied = {"GetKeyRotationStatus", "ListAliases", "GetAccountAuthorizationDetails"}
    found = read_snapshot_untrusted(Reader("eu-central-1").read(KEY_ID))
    assert (found.rotates, found.aliases, found.iam_was_read) == (None, None, False)


@pytest.mark.parametrize("operation", ["DescribeKey", "GetKeyPolicy", "ListGrants"])
def test_the_key_itself_has_to_be_readable(services: Services, operation: str) -> None:
    services.denied = {operation}
    with pytest.raises(KmsReadError, match=f"AccessDeniedException.*{operation}"):
        Reader("eu-central-1").read(KEY_ID)


def test_another_endpoint_has_no_account(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_KMS")
    found = read_snapshot_untrusted(Reader("eu-central-1", endpoint=services.url).read(KEY_ID))
    assert not found.iam_was_read
    assert "GetAccountAuthorizationDetails" not in services.asked
    assert ACCOUNT in found.access.arn


def test_nobody_there(services: Services) -> None:
    services.shutdown()
    services.server_close()
    with pytest.raises(KmsReadError, match="reading the key failed"):
        Reader("eu-central-1", endpoint="http://127.0.0.1:1").read(KEY_ID)
