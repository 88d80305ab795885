"""The KMS lets go of a key only to the image and agreement that a policy names, and says what did not fit."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from party_client.attestation.measurements import ZERO_PCR, extended_once
from scenarios.kms.errors import AttestationRefusedError
from scenarios.kms.recipient import verify_recipient_untrusted
from scenarios.machine.pki import load_or_create_root
from tests.kms_world import (
    ADMINISTRATION,
    ADMINISTRATOR,
    ATTESTED,
    CONTEXT,
    ENCLAVE_ROLE,
    IMAGE,
    OAEP,
    PCRS,
    ROOT_USER,
    SOUND,
    KmsWorld,
    enclave_key,
    policy,
    refused,
    spki_of,
    statement,
)
from tests.unit.scenarios.kms.enveloped_reader import open_enveloped

DEBUG = {**PCRS, 0: ZERO_PCR, 1: ZERO_PCR, 2: ZERO_PCR}
OTHER_AGREEMENT = {**PCRS, 16: extended_once(bytes(48))}


@pytest.fixture(scope="module")
def arn(world: KmsWorld) -> str:
    return world.key(SOUND)


@pytest.fixture(scope="module")
def blob(world: KmsWorld, arn: str) -> bytes:
    sealed = world.client(ADMINISTRATOR).encrypt(KeyId=arn, Plaintext=b"data key", EncryptionContext=CONTEXT)
    found: bytes = sealed["CiphertextBlob"]
    return found


@pytest.fixture(scope="module")
def enclave(world: KmsWorld) -> Any:
    return world.client(ENCLAVE_ROLE)


def test_the_right_image_under_the_right_agreement(
    world: KmsWorld, enclave: Any, blob: bytes, arn: str
) -> None:
    found = enclave.decrypt(
        CiphertextBlob=blob, EncryptionContext=CONTEXT, KeyId=arn, Recipient=world.recipient()
    )
    assert "Plaintext" not in found
    assert found["KeyId"] == arn
    assert open_enveloped(found["CiphertextForRecipient"], enclave_key()) == b"data key"
    assert world.records[-1]["attested PCR16"] == PCRS[16].hex()


Other = Callable[[KmsWorld], dict[str, Any] | None]

NOT_ATTESTED: list[tuple[str, Other, str]] = [
    ("another image", lambda w: w.recipient({**PCRS, 0: b"\x09" * 48}), "ImageSha384"),
    ("another kernel", lambda w: w.recipient({**PCRS, 1: b"\x09" * 48}), "RecipientAttestation:PCR1 "),
    ("another agreement", lambda w: w.recipient(OTHER_AGREEMENT), "RecipientAttestation:PCR16"),
    ("bound to nothing", lambda w: w.recipient(IMAGE), "PCR16 names"),
    ("a debug image", lambda w: w.recipient(DEBUG), "ImageSha384"),
    ("no document", lambda _: None, "got nothing"),
]


@pytest.mark.parametrize(
    ("other", "says"), [row[1:] for row in NOT_ATTESTED], ids=[row[0] for row in NOT_ATTESTED]
)
def test_any_other_enclave_is_refused_and_told_why(
    world: KmsWorld, enclave: Any, blob: bytes, other: Other, says: str
) -> None:
    recipient = other(world)
    more = {} if recipient is None else {"Recipient": recipient}
    with refused("AccessDeniedException") as messages:
        enclave.decrypt(CiphertextBlob=blob, EncryptionContext=CONTEXT, **more)
    assert says in messages[0]
    assert "AWS does not say" in messages[0]
    assert world.records[-1]["message"] == messages[0]


def test_another_encryption_context_is_refused_and_named(world: KmsWorld, enclave: Any, blob: bytes) -> None:
    with refused("AccessDeniedException") as messages:
        enclave.decrypt(
            CiphertextBlob=blob,
            EncryptionContext={**CONTEXT, "dataset": "payments"},
            Recipient=world.recipient(),
        )
    assert "kms:EncryptionContext:dataset names 'customers', got 'payments'" in messages[0]


def test_zeros_in_a_policy_are_no_debug_image(world: KmsWorld) -> None:
    """Whoever copies the measurements of a debug run into a policy has a policy that nobody meets."""
    zeros = {"StringEqualsIgnoreCase": {"kms:RecipientAttestation:ImageSha384": "00" * 48}}
    arn = world.key(policy(ADMINISTRATION, statement("Debug", "Allow", "*", "kms:GenerateDataKey", zeros)))
    with refused("AccessDeniedException") as messages:
        world.client(ENCLAVE_ROLE).generate_data_key(
            KeyId=arn, KeySpec="AES_256", Recipient=world.recipient(DEBUG)
        )
    assert "got nothing" in messages[0]


def refused_document(world: KmsWorld, recipient: dict[str, Any], enclave: Any, blob: bytes) -> str:
    with refused("ValidationException") as messages:
        enclave.decrypt(CiphertextBlob=blob, EncryptionContext=CONTEXT, Recipient=recipient)
    return messages[0]


def test_a_stale_document(world: KmsWorld, enclave: Any, blob: bytes) -> None:
    ago = datetime.now(UTC) - timedelta(minutes=5, seconds=2)
    old = world.recipient(clock=lambda: ago)
    assert "attestation/stale" in refused_document(world, old, enclave, blob)
    nearly = datetime.now(UTC) - timedelta(minutes=4, seconds=30)
    recipient = world.recipient(clock=lambda: nearly)
    assert "CiphertextForRecipient" in enclave.decrypt(
        CiphertextBlob=blob, EncryptionContext=CONTEXT, Recipient=recipient
    )


def test_a_document_of_another_root(world: KmsWorld, enclave: Any, blob: bytes, tmp_path: Path) -> None:
    stranger = world.recipient(root=load_or_create_root(tmp_path))
    assert "attestation/" in refused_document(world, stranger, enclave, blob)


def test_an_altered_document(world: KmsWorld, enclave: Any, blob: bytes) -> None:
    recipient = world.recipient(IMAGE | {16: OTHER_AGREEMENT[16]})
    document: bytes = recipient["AttestationDocument"]
    assert OTHER_AGREEMENT[16] in document
    recipient["AttestationDocument"] = document.replace(OTHER_AGREEMENT[16], PCRS[16])
    assert "attestation/signature-invalid" in refused_document(world, recipient, enclave, blob)


@pytest.mark.parametrize("document", [b"\x00", b"\x84" * 100, b"x" * 262_144])
def test_what_is_no_document(world: KmsWorld, enclave: Any, blob: bytes, document: bytes) -> None:
    recipient = {"AttestationDocument": document, "KeyEncryptionAlgorithm": OAEP}
    assert "attestation document" in refused_document(world, recipient, enclave, blob)


def test_a_document_without_a_key_to_encrypt_to(world: KmsWorld, enclave: Any, blob: bytes) -> None:
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - it is to be refused
    for key, says in [
        (None, "got no public_key"),
        (b"\x30\x00", "no key in DER"),
        (spki_of(short), "at least 2048 bits"),
        (spki_of(ec.generate_private_key(ec.SECP256R1())), "expected RSA"),
    ]:
        assert says in refused_document(world, world.recipient(public_key=key), enclave, blob)


def test_another_algorithm_or_member(world: KmsWorld, enclave: Any, blob: bytes) -> None:
    other = {**world.recipient(), "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_1"}
    assert OAEP in refused_document(world, other, enclave, blob)
    del other["KeyEncryptionAlgorithm"]
    assert OAEP in refused_document(world, other, enclave, blob)


def test_a_document_may_be_sent_again_and_only_its_enclave_reads_the_answer(
    world: KmsWorld, enclave: Any, blob: bytes
) -> None:
    """As with AWS: there is no nonce. The two answers are different, and for the same key."""
    recipient = world.recipient()
    asked = {"CiphertextBlob": blob, "EncryptionContext": CONTEXT, "Recipient": recipient}
    answers = [enclave.decrypt(**asked)["CiphertextForRecipient"] for _ in range(2)]
    assert answers[0] != answers[1]
    assert {open_enveloped(each, enclave_key()) for each in answers} == {b"data key"}
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    with pytest.raises(ValueError, match="recipient"):
        open_enveloped(answers[0], stranger)


def test_no_answer_with_a_recipient_has_a_secret_in_clear(world: KmsWorld) -> None:
    root_user, recipient = world.client(ROOT_USER), world.recipient()
    arn = world.key()
    agreement_arn = world.key(KeySpec="ECC_NIST_P256", KeyUsage="KEY_AGREEMENT")
    own = ec.generate_private_key(ec.SECP256R1())
    data_key = root_user.generate_data_key(KeyId=arn, KeySpec="AES_256", Recipient=recipient)
    pair = root_user.generate_data_key_pair(KeyId=arn, KeyPairSpec="RSA_4096", Recipient=recipient)
    random = root_user.generate_random(NumberOfBytes=15, Recipient=recipient)
    shared = root_user.derive_shared_secret(
        KeyId=agreement_arn, KeyAgreementAlgorithm="ECDH", PublicKey=spki_of(own), Recipient=recipient
    )
    in_clear = {"Plaintext", "PrivateKeyPlaintext", "SharedSecret"}
    for answer in (data_key, pair, random, shared):
        assert not in_clear & answer.keys()
    secrets = [
        open_enveloped(each["CiphertextForRecipient"], enclave_key())
        for each in (data_key, pair, random, shared)
    ]
    assert [len(secrets[0]), len(secrets[2]), len(secrets[3])] == [32, 15, 32]
    assert secrets[0] == root_user.decrypt(CiphertextBlob=data_key["CiphertextBlob"])["Plaintext"]
    assert secrets[1] == root_user.decrypt(CiphertextBlob=pair["PrivateKeyCiphertextBlob"])["Plaintext"]


@pytest.mark.parametrize("operation", ["Encrypt", "GenerateDataKeyWithoutPlaintext"])
def test_operations_without_a_secret_take_no_recipient(world: KmsWorld, operation: str) -> None:
    """botocore would not send one; whoever does is refused, and not answered as if there were none."""
    body = {"KeyId": world.key(), "Recipient": {"KeyEncryptionAlgorithm": OAEP}}
    status, found = world.post(world.credential(ROOT_USER), operation, body)
    assert (status, found["__type"]) == (400, "ValidationException")
    assert "'Recipient' is unknown here" in found["message"]


def test_a_server_without_a_root_believes_no_document(world: KmsWorld) -> None:
    document = base64.b64encode(world.recipient()["AttestationDocument"]).decode()
    found = {"AttestationDocument": document, "KeyEncryptionAlgorithm": OAEP}
    with pytest.raises(AttestationRefusedError, match="no root of trust"):
        verify_recipient_untrusted(found, roots=None, now=datetime.now(UTC))


def test_one_release_of_two_but_never_half_of_each(world: KmsWorld) -> None:
    """A statement for each release: the image of one with the agreement of another is neither."""
    second = {
        "StringEqualsIgnoreCase": {
            "kms:RecipientAttestation:ImageSha384": "0d" * 48,
            "kms:RecipientAttestation:PCR16": "0e" * 48,
        }
    }
    arn = world.key(
        policy(
            ADMINISTRATION,
            statement("First", "Allow", {"AWS": ENCLAVE_ROLE}, "kms:GenerateDataKey", ATTESTED),
            statement("Second", "Allow", {"AWS": ENCLAVE_ROLE}, "kms:GenerateDataKey", second),
        )
    )
    enclave = world.client(ENCLAVE_ROLE)
    asked = {"KeyId": arn, "KeySpec": "AES_256", "EncryptionContext": CONTEXT}
    enclave.generate_data_key(**asked, Recipient=world.recipient())
    enclave.generate_data_key(**asked, Recipient=world.recipient({**PCRS, 0: b"\x0d" * 48, 16: b"\x0e" * 48}))
    for mixed in ({**PCRS, 16: b"\x0e" * 48}, {**PCRS, 0: b"\x0d" * 48}):
        with refused("AccessDeniedException") as messages:
            enclave.generate_data_key(**asked, Recipient=world.recipient(mixed))
        assert "'First'" in messages[0]
        assert "'Second'" in messages[0]
