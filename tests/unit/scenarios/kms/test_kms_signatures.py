"""Only what was signed with a known secret, in full and just now, is answered."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from scenarios.kms.credentials import Credential, issue
from scenarios.kms.errors import ParameterError
from scenarios.kms.principals import Caller
from scenarios.kms.service import KmsService
from scenarios.kms.sigv4 import SignedRequest
from scenarios.kms.store import KmsStore
from tests.kms_world import ENCLAVE_ROLE, ROOT_USER, KmsWorld, policy, refused

BODY = b'{"NumberOfBytes": 8}'
NOW = datetime.now(UTC)
Answer = Callable[[SignedRequest], tuple[int, dict[str, Any]]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> KmsStore:
    return KmsStore(tmp_path_factory.mktemp("kms"))


@pytest.fixture(scope="module")
def session(store: KmsStore) -> Credential:
    may = json.dumps({"Statement": {"Effect": "Allow", "Action": "kms:GenerateRandom", "Resource": "*"}})
    found = issue(Caller(ENCLAVE_ROLE, "job"), iam_policy=may, expires_at=NOW + timedelta(hours=1))
    store.put_credential(found)
    return found


@pytest.fixture
def answer(store: KmsStore) -> Answer:
    return answering(store, ahead=timedelta(0))


def answering(store: KmsStore, *, ahead: timedelta) -> Answer:
    service = KmsService(store, roots=None, clock=lambda: datetime.now(UTC) + ahead, log=lambda record: None)

    def ask(request: SignedRequest) -> tuple[int, dict[str, Any]]:
        found = service.answer_untrusted(request, path="/", source_ip="127.0.0.1")
        return found.status, json.loads(found.body)

    return ask


def signed(
    credential: Credential, *, region: str = "us-east-1", service: str = "kms", **more: str
) -> SignedRequest:
    """A request that botocore signed."""
    headers = {
        "Host": "localhost:1234",
        "X-Amz-Target": "TrentService.GenerateRandom",
        "Content-Type": "application/x-amz-json-1.1",
        **more,
    }
    request = AWSRequest("POST", "https://localhost:1234/", headers=headers, data=BODY)
    secrets = Credentials(credential.access_key_id, credential.secret_access_key, credential.session_token)
    SigV4Auth(secrets, service, region).add_auth(request)
    return SignedRequest({name.lower(): value for name, value in request.headers.items()}, BODY)


def changed(request: SignedRequest, **headers: str | None) -> SignedRequest:
    """The same request with other headers after it was signed; `None` takes one away."""
    renamed = {name.replace("_", "-"): value for name, value in headers.items()}
    merged = {**request.headers, **renamed}
    return SignedRequest({name: value for name, value in merged.items() if value is not None}, request.body)


def test_what_botocore_signs_is_answered(answer: Answer, session: Credential) -> None:
    status, found = answer(signed(session))
    assert (status, set(found)) == (200, {"Plaintext"})


def test_another_body_target_or_date_than_was_signed(answer: Answer, session: Credential) -> None:
    request = signed(session)
    for other in (
        SignedRequest(request.headers, BODY.replace(b"8", b"9")),
        changed(request, x_amz_target="TrentService.ListKeys"),
        changed(request, host="elsewhere"),
        changed(request, content_type="text/plain"),
        changed(request, x_amz_date=(NOW - timedelta(seconds=90)).strftime("%Y%m%dT%H%M%SZ")),
        changed(request, x_amz_content_sha256="0" * 64),
        changed(request, authorization=request.headers["authorization"][:-1] + "g"),
    ):
        status, found = answer(other)
        assert status == 400
        assert found["__type"] in ("InvalidSignatureException", "IncompleteSignatureException")


def test_a_secret_that_is_not_the_keys(answer: Answer, session: Credential) -> None:
    stranger = issue(Caller(ENCLAVE_ROLE, "job"))
    fields = {**vars(session), "secret_access_key": stranger.secret_access_key}
    assert answer(signed(Credential(**fields)))[1]["__type"] == "InvalidSignatureException"


def test_no_signature_or_half_of_one(answer: Answer, session: Credential) -> None:
    request = signed(session)
    found = answer(changed(request, authorization=None))[1]
    assert found["__type"] == "MissingAuthenticationTokenException"
    for text in ("", "Bearer x", request.headers["authorization"].partition("Signature=")[0]):
        found = answer(changed(request, authorization=text))[1]
        assert found["__type"] == "IncompleteSignatureException"
    assert answer(changed(request, x_amz_date=None))[1]["__type"] == "IncompleteSignatureException"


@pytest.mark.parametrize(
    "header", ["host", "x-amz-date", "x-amz-target", "x-amz-security-token", "content-type"]
)
def test_a_header_that_decides_something_has_to_be_signed(
    answer: Answer, session: Credential, header: str
) -> None:
    request = signed(session)
    names = request.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0]
    fewer = ";".join(name for name in names.split(";") if name != header)
    other = changed(request, authorization=request.headers["authorization"].replace(names, fewer))
    found = answer(other)[1]
    assert found["__type"] == "InvalidSignatureException"
    assert found["message"].startswith(f"header {header!r} has to be signed")


def test_a_known_signature_over_fewer_headers(store: KmsStore, session: Credential) -> None:
    """Signed without the target, correctly: then anybody in between could choose the operation."""
    request = AWSRequest("POST", "https://localhost:1234/", headers={"Host": "localhost:1234"}, data=BODY)
    secrets = Credentials(session.access_key_id, session.secret_access_key, session.session_token)
    SigV4Auth(secrets, "kms", "us-east-1").add_auth(request)
    headers = {name.lower(): value for name, value in request.headers.items()}
    added = {**headers, "x-amz-target": "TrentService.GenerateRandom"}
    found = answering(store, ahead=timedelta(0))(SignedRequest(added, BODY))[1]
    assert found["__type"] == "InvalidSignatureException"


@pytest.mark.parametrize("ahead", [timedelta(minutes=6), timedelta(minutes=-6)])
def test_a_request_of_another_time(store: KmsStore, session: Credential, ahead: timedelta) -> None:
    found = answering(store, ahead=ahead)(signed(session))[1]
    assert found["__type"] == "InvalidSignatureException"
    assert "not current" in found["message"]
    assert answering(store, ahead=ahead * 0.7)(signed(session))[0] == 200


def test_another_region_or_service(answer: Answer, session: Credential) -> None:
    for other in (signed(session, region="eu-west-1"), signed(session, service="sts")):
        found = answer(other)[1]
        assert found["__type"] == "InvalidSignatureException"
        assert "us-east-1/kms" in found["message"]


def test_an_unknown_key_or_another_session_token(
    answer: Answer, session: Credential, store: KmsStore
) -> None:
    unknown = issue(Caller(ENCLAVE_ROLE, "job"))
    other_token = Credential(**{**vars(session), "session_token": unknown.session_token})
    request = signed(session)
    for other in (signed(unknown), signed(other_token), changed(request, x_amz_security_token="")):
        assert answer(other)[1]["__type"] in ("UnrecognizedClientException", "InvalidSignatureException")
    assert answer(signed(other_token))[1]["__type"] == "UnrecognizedClientException"


def test_a_session_that_is_over(store: KmsStore) -> None:
    over = issue(Caller(ENCLAVE_ROLE, "job"), expires_at=NOW - timedelta(seconds=1))
    store.put_credential(over)
    assert answering(store, ahead=timedelta(0))(signed(over))[1]["__type"] == "ExpiredTokenException"


def test_a_client_with_a_wrong_secret_over_tls(world: KmsWorld) -> None:
    credential = world.credential(ROOT_USER)
    with refused("InvalidSignatureException"):
        world.client(Credential(**{**vars(credential), "secret_access_key": "x" * 40})).list_keys()


def test_secrets_are_not_shown(session: Credential) -> None:
    assert session.secret_access_key not in repr(session)
    assert str(session.session_token) not in repr(session)


def test_credentials_that_fit_nobody_cannot_be_issued() -> None:
    for arn in ("enclave", "arn:aws:iam::1:role/enclave", "arn:aws:s3:::bucket"):
        with pytest.raises(ParameterError):
            issue(Caller(arn))
    with pytest.raises(ParameterError):
        Caller(ROOT_USER, "session")


def test_the_body_is_read_only_after_the_signature(answer: Answer, session: Credential) -> None:
    request = signed(session)
    assert answer(SignedRequest(request.headers, b"{"))[1]["__type"] == "InvalidSignatureException"


def test_a_policy_of_nobody_is_no_iam_policy() -> None:
    with pytest.raises(Exception, match="Statement: expected 1 to 100"):
        issue(Caller(ENCLAVE_ROLE), iam_policy=policy())
