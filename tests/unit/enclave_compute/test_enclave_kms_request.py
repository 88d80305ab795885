"""What is asked of KMS, and what counts as its answer."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from enclave_compute.errors import RefusedError
from enclave_compute.kms.recipient import Recipient
from enclave_compute.kms.request import KeyAnswer
from party_client.attestation.document import parse_untrusted
from protos.formats import limits
from protos.formats.binding import kms_recipient_user_data
from protos.formats.kms import encryption_context
from tests import kms_world
from tests.errands_world import (
    CREDENTIALS,
    HOST,
    KEY_ARN,
    Certified,
    Wanting,
    authority,
    credentials_of,
    decrypting,
    dialled,
    http,
    in_pieces,
    service,
    service_of,
    wanting,
)
from tests.kms_endpoint import DATA_KEY, Kms, Members, generating, public_key_in, sealed
from tests.kms_world import AGREEMENT, ENCLAVE_ROLE, KmsWorld


@pytest.fixture(scope="module")
def root() -> Certified:
    return authority()


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("machine")


@pytest.fixture
def enclave(state: Path, root: Certified) -> Iterator[Wanting]:
    with wanting(state) as found:
        found.want(decrypting(service(root)))
        yield found


@pytest.fixture
def kms(tmp_path: Path, root: Certified) -> Kms:
    return Kms(tmp_path, root)


# --- what is asked ----------------------------------------------------------------------------------------


def test_one_request_with_a_document_for_kms(enclave: Wanting, kms: Kms) -> None:
    assert enclave.carry(kms.server.connected()) == KeyAnswer(DATA_KEY, None, KEY_ARN)
    (request,) = kms.server.requests
    document = base64.b64decode(request.pop("Recipient")["AttestationDocument"])
    assert request == {
        "KeyId": KEY_ARN,
        "CiphertextBlob": base64.b64encode(b"a blob").decode(),
        "EncryptionContext": {"agreement": AGREEMENT.hex(), "party": "shop", "dataset": "customers"},
    }
    _, parsed = parse_untrusted(document)
    assert parsed.nonce is None
    assert parsed.public_key is not None
    assert parsed.user_data == kms_recipient_user_data(AGREEMENT, parsed.public_key, bytes(16))
    head = kms.server.heard.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    assert head[0] == "POST / HTTP/1.1"
    headers = dict(line.split(": ", 1) for line in head[1:])
    assert headers.pop("authorization").startswith("AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/")
    assert headers.keys() == {
        *("content-type", "content-length", "host"),
        *("x-amz-date", "x-amz-security-token", "x-amz-target"),
    }
    assert (headers["host"], headers["x-amz-target"]) == (HOST, "TrentService.Decrypt")
    assert enclave.errands.wanted() == []


@pytest.mark.parametrize("most_bytes", [70, 500, 3000])
def test_one_request_however_its_answer_is_cut(enclave: Wanting, kms: Kms, most_bytes: int) -> None:
    assert enclave.carry(in_pieces(kms.server.connected(), most_bytes)).plaintext == DATA_KEY
    assert len(kms.server.requests) == 1


def test_documents_are_fresh_and_the_key_is_one(enclave: Wanting, kms: Kms) -> None:
    for _ in range(2):
        enclave.want(decrypting(service(kms.root)))
        enclave.carry(kms.server.connected())
    first, second = kms.server.requests
    assert public_key_in(first) == public_key_in(second)
    assert first["Recipient"] != second["Recipient"]


def test_a_host_on_another_port_is_named_with_it(enclave: Wanting, kms: Kms) -> None:
    enclave.want(decrypting(service(kms.root, endpoint=f"{HOST}:8443")))
    enclave.carry(kms.server.connected())
    assert f"\r\nhost: {HOST}:8443\r\n".encode() in kms.server.heard


def test_a_new_key_comes_with_its_wrapping(enclave: Wanting, kms: Kms) -> None:
    enclave.want(generating(service(kms.root)))
    assert enclave.carry(kms.server.connected()) == KeyAnswer(DATA_KEY, b"another blob", KEY_ARN)
    (request,) = kms.server.requests
    assert request["KeySpec"] == "AES_256"
    assert "CiphertextBlob" not in request


def test_a_key_by_its_alias_is_a_key_of_that_account(enclave: Wanting, kms: Kms) -> None:
    where = service(kms.root)
    enclave.want(generating(where, where.alias_arn("state")))
    assert enclave.carry(kms.server.connected()).key_arn == KEY_ARN
    assert kms.server.requests[0]["KeyId"] == where.alias_arn("state")
    for wrong in (
        KEY_ARN.replace("1111", "9999"),
        KEY_ARN.replace("central", "west"),
        where.alias_arn("state"),
    ):
        kms.change = lambda members, wrong=wrong: {**members, "KeyId": wrong}  # type: ignore[misc]
        enclave.want(generating(where, where.alias_arn("state")))
        with pytest.raises(RefusedError, match="of another key than was asked for"):
            enclave.carry(kms.server.connected())


@pytest.mark.parametrize("size", [1, limits.KMS_CIPHERTEXT_MAX_BYTES])
def test_a_wrapping_has_the_sizes_that_kms_gives(enclave: Wanting, kms: Kms, size: int) -> None:
    enclave.want(generating(service(kms.root)))
    blob = base64.b64encode(bytes(size)).decode()
    kms.change = lambda members: {**members, "CiphertextBlob": blob}
    assert enclave.carry(kms.server.connected()).ciphertext == bytes(size)


@pytest.mark.parametrize("size", [0, limits.KMS_CIPHERTEXT_MAX_BYTES + 1])
def test_a_wrapping_of_another_size_is_refused(enclave: Wanting, kms: Kms, size: int) -> None:
    enclave.want(generating(service(kms.root)))
    blob = base64.b64encode(bytes(size)).decode()
    kms.change = lambda members: {**members, "CiphertextBlob": blob}
    with pytest.raises(RefusedError, match=rf"CiphertextBlob: got {size} bytes"):
        enclave.carry(kms.server.connected())


@pytest.mark.parametrize("key_arn", [None, 1, [KEY_ARN], {}])
def test_a_key_by_its_alias_is_a_text(enclave: Wanting, kms: Kms, key_arn: Any) -> None:
    where = service(kms.root)
    enclave.want(generating(where, where.alias_arn("state")))
    kms.change = lambda members: {**members, "KeyId": key_arn}
    with pytest.raises(RefusedError, match="of another key than was asked for"):
        enclave.carry(kms.server.connected())


def test_repr_shows_no_key(enclave: Wanting, kms: Kms) -> None:
    assert DATA_KEY.hex() not in repr(enclave.carry(kms.server.connected()))
    assert repr(DATA_KEY) not in repr(enclave.answers)


# --- what counts as an answer -----------------------------------------------------------------------------


def without(name: str) -> Callable[[Members], Members]:
    return lambda members: {key: value for key, value in members.items() if key != name}


def instead(name: str, value: Any) -> Callable[[Members], Members]:
    return lambda members: {**members, name: value}


PLAIN = base64.b64encode(DATA_KEY).decode()
NOT_ANSWERS: dict[str, tuple[Callable[[Members], Members], str]] = {
    "another key": (instead("KeyId", KEY_ARN[:-1] + "f"), "of another key than was asked for"),
    "the id of the key alone": (instead("KeyId", KEY_ARN.rpartition("/")[2]), "of another key"),
    "no key": (without("KeyId"), "of another key"),
    "a key that is no text": (instead("KeyId", [KEY_ARN]), "of another key"),
    "in clear, beside": (instead("Plaintext", PLAIN), "a key in clear"),
    "in clear, instead": (
        lambda members: {"KeyId": KEY_ARN, "Plaintext": PLAIN},
        "a key in clear",
    ),
    "nothing for the recipient": (without("CiphertextForRecipient"), "no CiphertextForRecipient"),
    "null for the recipient": (instead("CiphertextForRecipient", None), "no CiphertextForRecipient"),
    "empty for the recipient": (instead("CiphertextForRecipient", ""), "got 0 bytes"),
    "too much for the recipient": (instead("CiphertextForRecipient", "A" * 12_000), "got 9000 bytes"),
    "not base 64": (instead("CiphertextForRecipient", "AA=A"), "not base 64"),
    "base 64 with a break": (instead("CiphertextForRecipient", "AAAA\nAAAA"), "not base 64"),
    "base 64 that is not ASCII": (instead("CiphertextForRecipient", "ÄÖ=="), "not base 64"),
    "no CMS": (instead("CiphertextForRecipient", PLAIN), "another element"),
}


@pytest.mark.parametrize("what", NOT_ANSWERS)
def test_what_is_no_answer(enclave: Wanting, kms: Kms, what: str) -> None:
    kms.change, why = NOT_ANSWERS[what]
    with pytest.raises(RefusedError, match=rf"^kms-failed: .*{why}"):
        enclave.carry(kms.server.connected())
    assert enclave.answers == []
    assert [request.subject for request in enclave.errands.wanted()] == ["customers"]
    kms.change = lambda members: members
    assert enclave.carry(kms.server.connected()).plaintext == DATA_KEY


def test_failures_elsewhere_in_openssl_are_no_failure_of_the_connection(enclave: Wanting, kms: Kms) -> None:
    """One library serves both, and keeps a list of errors for each thread."""
    recipient = Recipient.make()
    oaep = OAEP(MGF1(SHA256()), SHA256(), None)
    talk = kms.server.connected()

    def failing(sent: bytes) -> bytes:
        with pytest.raises(ValueError, match="Decryption failed"):
            recipient.private_key.decrypt(bytes(255) + b"\x01", oaep)
        with pytest.raises(InvalidTag):
            AESGCM(bytes(32)).decrypt(bytes(12), bytes(32), None)
        with pytest.raises(ValueError, match="Could not deserialize"):
            load_der_public_key(bytes(100))
        return talk(sent)

    assert enclave.carry(failing).plaintext == DATA_KEY


@pytest.mark.parametrize("plaintext", [None, ""])
def test_an_empty_plaintext_is_none(enclave: Wanting, kms: Kms, plaintext: Any) -> None:
    """AWS's documentation says null or empty; members that we do not know may come."""
    kms.change = lambda members: {**members, "Plaintext": plaintext, "KeyMaterialId": "00" * 32}
    assert enclave.carry(kms.server.connected()).plaintext == DATA_KEY


@pytest.mark.parametrize("size", [0, 16, 31, 33, 64])
def test_a_data_key_has_32_bytes(enclave: Wanting, kms: Kms, size: int) -> None:
    kms.change = lambda members: {
        **members,
        "CiphertextForRecipient": sealed(kms.server.requests[-1], bytes(size)),
    }
    with pytest.raises(RefusedError, match="a key of another length"):
        enclave.carry(kms.server.connected())


def test_an_answer_for_another_enclave_is_refused(enclave: Wanting, kms: Kms, state: Path) -> None:
    """Whoever holds another enclave's document could have KMS answer that one, and hand the answer in."""
    with wanting(state) as other:
        other.want(decrypting(service(kms.root)))
        other.carry(kms.server.connected())
    foreign = sealed(kms.server.requests[-1])
    kms.change = lambda members: {**members, "CiphertextForRecipient": foreign}
    with pytest.raises(RefusedError, match="for another key than this enclave's"):
        enclave.carry(kms.server.connected())


@pytest.mark.parametrize(
    ("status", "members", "refusal"),
    [
        (400, {"__type": "AccessDeniedException", "message": "no"}, "kms-denied"),
        (400, {"__type": "com.amazonaws.kms#AccessDeniedException"}, "kms-denied"),
        (400, {"__type": "InvalidCiphertextException"}, "kms-failed"),
        (400, {"__type": "ExpiredTokenException"}, "kms-failed"),
        (400, {"__type": "NotAccessDeniedException"}, "kms-failed"),
        (400, {"__type": ["AccessDeniedException"]}, "kms-failed"),
        (400, {}, "kms-failed"),
        (500, {"__type": "KMSInternalException"}, "kms-failed"),
        (201, {}, "kms-failed"),
        (301, {}, "kms-failed"),
    ],
    ids=str,
)
def test_refusals_of_kms(enclave: Wanting, kms: Kms, status: int, members: Members, refusal: str) -> None:
    kms.raw = http(status, members)
    with pytest.raises(RefusedError, match=rf"^{refusal}: "):
        enclave.carry(kms.server.connected())
    assert enclave.errands.wanted()


def test_nobody_follows_a_redirection(enclave: Wanting, kms: Kms) -> None:
    kms.raw = http(307, {}, f"Location: https://{HOST}.example.org/")
    with pytest.raises(RefusedError, match="status 307"):
        enclave.carry(kms.server.connected())
    assert len(kms.server.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b"1", b"null", b"{", b'{"KeyId": 1, "KeyId": 2}', b"\xff\xfe", b"{}{}", b"[" * 60_000),
        *(b'{"a": ' * 10_000, b'{"a": NaN', b"9" * 60_000),
    ],
    ids=lambda body: repr(body[:20]),
)
def test_what_is_no_json_object(enclave: Wanting, kms: Kms, body: bytes) -> None:
    kms.raw = http(200, body)
    with pytest.raises(RefusedError, match=r"^kms-failed: answer of KMS: (not JSON|no JSON object)"):
        enclave.carry(kms.server.connected())


# --- the SIMULATED KMS ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KmsWorld]:
    with kms_world.running(tmp_path_factory.mktemp("kms")) as found:
        yield found


def test_both_operations_against_the_simulated_kms(simulated: KmsWorld) -> None:
    where = service_of(simulated)
    context = encryption_context(AGREEMENT, "shop", "customers")
    allowed = kms_world.statement(
        "Enclave", "Allow", {"AWS": ENCLAVE_ROLE}, ["kms:Decrypt", "kms:GenerateDataKey"]
    )
    arn = simulated.key(kms_world.policy(kms_world.ADMINISTRATION, allowed))
    given_in = credentials_of(simulated, ENCLAVE_ROLE)
    with wanting(simulated.folder / "simulator") as enclave:
        enclave.want(generating(where, arn))
        with dialled(where) as server:
            made = enclave.carry(server, credentials=given_in)
        assert made.key_arn == arn
        assert made.ciphertext is not None
        enclave.want(replace(decrypting(where, arn, made.ciphertext), context=context))
        with dialled(where) as server:
            assert enclave.carry(server, credentials=given_in).plaintext == made.plaintext
        enclave.want(replace(decrypting(where, arn, made.ciphertext), context={**context, "party": "bank"}))
        with dialled(where) as server, pytest.raises(RefusedError, match=r"^kms-failed: .*status 400"):
            enclave.carry(server, credentials=given_in)
        assert simulated.records[-1]["outcome"] == "InvalidCiphertextException"
        enclave.want(decrypting(where, arn, made.ciphertext))
        wrong = replace(given_in, secret_access_key="another")
        with dialled(where) as server, pytest.raises(RefusedError, match=r"^kms-failed: "):
            enclave.carry(server, credentials=wrong)


def test_nothing_of_a_credential_or_a_key_is_in_an_error(enclave: Wanting, kms: Kms) -> None:
    kms.raw = http(400, {"__type": "ExpiredTokenException", "message": json.dumps(vars(CREDENTIALS))})
    with pytest.raises(RefusedError) as found:
        enclave.carry(kms.server.connected())
    for secret in (CREDENTIALS.secret_access_key, CREDENTIALS.session_token):
        assert str(secret) not in str(found.value)
