"""Attacks on the way between an enclave and a party's KMS (rows 9, 14 and 37).

The coordinator carries every byte between the two, has credentials for the role, and may carry something
else or to somebody else. Strangers may have rights on the party's key that have nothing to do with
enclaves; the party's KMS may itself be hostile, which must harm nobody but that party.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from enclave_compute.errors import RefusedError
from enclave_compute.kms.enveloped import open_enveloped
from enclave_compute.kms.recipient import Recipient
from party_client.attestation import AttestationError
from protos.formats.calls import Op, Refusal
from protos.formats.canonical import encode
from scenarios.kms.store import KmsStore
from tests import kms_world, world
from tests.enclave_fixtures import refused
from tests.envelope_world import Envelope, agreement, key_policy
from tests.errands_world import (
    Certified,
    MemoryServer,
    authority,
    credentials_of,
    dialled,
    endpoint,
    http,
    service_of,
)
from tests.kms_world import ENCLAVE_ROLE, OAEP, KmsWorld
from tests.world import PCRS, STRANGER, VISITS


@pytest.fixture(scope="module")
def kms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KmsWorld]:
    with kms_world.running(tmp_path_factory.mktemp("kms")) as found:
        yield found


@pytest.fixture
def envelope(kms: KmsWorld) -> Iterator[Envelope]:
    with world.simulated_enclave(kms.folder / "simulator") as enclave:
        yield Envelope.bound(enclave, kms)


def as_the_agreed_endpoint(folder: Path, store: KmsStore, respond: Any) -> MemoryServer:
    """A party's own endpoint, with the certificate that was agreed on, which answers what it likes."""
    certificate, key = store.tls_files(datetime.now(UTC))
    private = load_pem_private_key(key.read_bytes(), None)
    found = Certified(x509.load_pem_x509_certificate(certificate.read_bytes()), private)  # type: ignore[arg-type]
    return MemoryServer(folder, found, respond)


# --- row 37: the only way out -----------------------------------------------------------------------------


def test_attack_37_errand_carried_to_somebody_else(envelope: Envelope, tmp_path: Path) -> None:
    """To whoever has a certificate for the agreed host, of an authority that was not agreed on."""
    envelope.begin(envelope.seal())
    impostor = MemoryServer(tmp_path, endpoint(authority(), "localhost"), lambda _: http(200, {}))
    with refused(Refusal.KMS_FAILED):
        envelope.run_errand(impostor.connected())
    assert impostor.heard == b""


def test_attack_37_the_enclave_asks_for_nothing_that_was_not_agreed(envelope: Envelope) -> None:
    """No subject, endpoint or request of the coordinator's making: before an upload, or beside one."""
    given = encode(vars(credentials_of(envelope.kms, ENCLAVE_ROLE)))
    for subject in ("visits", "purchases", "#state", "localhost:443"):
        with refused(Refusal.UNKNOWN):
            envelope.enclave.call(Op.ERRAND, given, subject=subject)
    envelope.begin(envelope.seal())
    upload = envelope.seal(kms_key=f"arn:aws:kms:us-east-1:{'9' * 12}:key/of-somebody-else")
    with refused(Refusal.WRONG_PLACE):
        envelope.begin(upload)
    assert [errand["endpoint"] for errand in envelope.wanted()] == [service_of(envelope.kms).endpoint]


@pytest.mark.parametrize(
    "token",
    [
        "x\r\nx-amz-target: TrentService.Encrypt",
        "x\r\n\r\nPOST / HTTP/1.1",
        "x\nhost: elsewhere",
        "x y",
        "x\0",
    ],
    ids=repr,
)
def test_attack_37_credentials_that_are_another_request(envelope: Envelope, token: str) -> None:
    envelope.begin(envelope.seal())
    given = {**vars(credentials_of(envelope.kms, ENCLAVE_ROLE)), "session_token": token}
    with refused(Refusal.MALFORMED):
        envelope.enclave.call(Op.ERRAND, encode(given), subject="visits")


def test_attack_37_whoever_carries_an_errand_reads_nothing(envelope: Envelope) -> None:
    """Neither the request nor the answer; what it recorded is of no use to a second enclave either."""
    data_key, blob = envelope.data_key()
    envelope.begin(envelope.seal(data_key=(data_key, blob)))
    carried: list[bytes] = []
    with dialled(service_of(envelope.kms)) as server:

        def carrying(sent: bytes) -> bytes:
            received = server(sent)
            carried.extend((sent, received))
            return received

        envelope.run_errand(carrying)
    seen = b"".join(carried)
    assert len(seen) > 4000
    for secret in (
        data_key,
        blob,
        base64.b64encode(blob),
        b"TrentService",
        b"CiphertextFor",
        b"kms:us-east-1",
    ):
        assert secret not in seen
    answers = iter(carried[1::2])
    with world.simulated_enclave(envelope.kms.folder / "simulator") as enclave:
        enclave.bind(envelope.agreed)
        second = replace(envelope, enclave=enclave)
        second.begin(second.seal())
        with refused(Refusal.KMS_FAILED):
            second.run_errand(lambda _: next(answers))


# --- row 14: whose upload it is ---------------------------------------------------------------------------


def test_attack_14_upload_of_a_stranger_under_the_owners_key(envelope: Envelope) -> None:
    """The stranger may use the owner's KMS key, so KMS would let go of the stranger's data key as well."""
    forged = envelope.seal(signer=STRANGER)
    with refused(Refusal.BAD_SIGNATURE):
        envelope.begin(forged)
    assert envelope.wanted() == []
    mixed = envelope.seal()
    with refused(Refusal.BAD_SIGNATURE):
        envelope.begin(replace(mixed, signed_header=forged.signed_header))


@pytest.mark.parametrize(
    "context", [{"dataset": "purchases"}, {"party": "advertiser"}, {"agreement": "00" * 48}]
)
def test_attack_14_key_that_was_made_for_another_place(envelope: Envelope, context: dict[str, str]) -> None:
    """The context is what the agreement implies: nothing in an upload can change it."""
    upload = envelope.seal(data_key=envelope.data_key(**context))
    envelope.begin(upload)
    with refused(Refusal.KMS_FAILED):
        envelope.run_errand()
    assert envelope.kms.records[-1]["outcome"] == "InvalidCiphertextException"
    with refused(Refusal.KEY_WANTED):
        envelope.chunks(upload)


def test_attack_14_kms_that_hands_out_another_key(envelope: Envelope, tmp_path: Path) -> None:
    """A key other than the owner sealed with opens nothing: what decides is whether chunks open under it."""
    upload = envelope.seal()
    envelope.begin(upload)
    other = envelope.data_key()[1]

    def respond(request: dict[str, Any]) -> bytes:
        document = base64.b64decode(request["Recipient"]["AttestationDocument"])
        answer = envelope.kms.client(ENCLAVE_ROLE).decrypt(
            KeyId=envelope.key,
            CiphertextBlob=other,
            EncryptionContext=request["EncryptionContext"],
            Recipient={"AttestationDocument": document, "KeyEncryptionAlgorithm": OAEP},
        )
        message = base64.b64encode(answer["CiphertextForRecipient"]).decode()
        return http(200, {"KeyId": envelope.key, "CiphertextForRecipient": message})

    envelope.run_errand(as_the_agreed_endpoint(tmp_path, envelope.kms.store, respond).connected())
    with refused(Refusal.DOES_NOT_OPEN):
        envelope.chunks(upload)


# --- row 9: who gets the key ------------------------------------------------------------------------------


OTHER_IMAGE = (bytes([PCRS[0][0] ^ 1]) + PCRS[0][1:], *PCRS[1:])
DEBUG_IMAGE = (bytes(48),) * 3


@pytest.mark.parametrize("pcrs", [OTHER_IMAGE, DEBUG_IMAGE], ids=["one bit", "debug"])
def test_attack_09_another_image_gets_no_key(kms: KmsWorld, pcrs: tuple[bytes, bytes, bytes]) -> None:
    with world.simulated_enclave(kms.folder / "simulator", pcrs=pcrs) as enclave:
        other = Envelope.bound(enclave, kms)
        upload = other.seal()
        other.begin(upload)
        with refused(Refusal.KMS_DENIED):
            other.run_errand()
        with refused(Refusal.KEY_WANTED):
            other.chunks(upload)


def test_attack_09_the_same_image_under_another_agreement_gets_no_key(envelope: Envelope) -> None:
    """The parties signed both agreements, and the key is for the first."""
    kms = envelope.kms
    with world.simulated_enclave(kms.folder / "simulator") as enclave:
        (root,) = enclave.roots
        second = agreement(kms, root.sha256, title="Another reach")
        enclave.bind(second)
        other = replace(envelope, enclave=enclave, agreed=second)
        other.begin(other.seal())
        with refused(Refusal.KMS_DENIED):
            other.run_errand()
        # Nor an upload of the first agreement.
        with refused(Refusal.WRONG_PLACE):
            other.begin(envelope.seal())


def test_attack_09_document_of_a_genuine_enclave_sent_by_another(envelope: Envelope, tmp_path: Path) -> None:
    """Whoever has a document may show it to KMS: the answer is of use to the genuine enclave alone."""
    envelope.begin(envelope.seal())
    seen: list[dict[str, Any]] = []

    def respond(request: dict[str, Any]) -> bytes:
        seen.append(request)
        return http(500, {})

    with refused(Refusal.KMS_FAILED):
        envelope.run_errand(as_the_agreed_endpoint(tmp_path, envelope.kms.store, respond).connected())
    (request,) = seen
    document = base64.b64decode(request["Recipient"]["AttestationDocument"])
    answer = envelope.kms.client(ENCLAVE_ROLE).decrypt(
        KeyId=envelope.key,
        CiphertextBlob=base64.b64decode(request["CiphertextBlob"]),
        EncryptionContext=request["EncryptionContext"],
        Recipient={"AttestationDocument": document, "KeyEncryptionAlgorithm": OAEP},
    )
    assert "Plaintext" not in answer
    with pytest.raises(RefusedError, match="for another key than this enclave's"):
        open_enveloped(answer["CiphertextForRecipient"], Recipient.make())


def test_attack_09_document_for_kms_shown_to_a_party(envelope: Envelope, tmp_path: Path) -> None:
    """Same enclave, same registers: what it says is for KMS, and a party asked for something else."""
    envelope.begin(envelope.seal())
    seen: list[bytes] = []

    def respond(request: dict[str, Any]) -> bytes:
        seen.append(base64.b64decode(request["Recipient"]["AttestationDocument"]))
        return http(500, {})

    with refused(Refusal.KMS_FAILED):
        envelope.run_errand(as_the_agreed_endpoint(tmp_path, envelope.kms.store, respond).connected())
    envelope.enclave.verify(envelope.agreed)
    bundle = envelope.enclave.attest(bytes(32))[1]
    showing = replace(envelope.enclave)
    showing.attest = lambda nonce: (seen[0], bundle)  # type: ignore[method-assign]
    with pytest.raises(AttestationError):
        showing.verify(envelope.agreed)


def test_attack_09_answer_in_clear(envelope: Envelope, tmp_path: Path) -> None:
    """A KMS that does not look at documents, as some emulators, is told from one that does."""
    data_key, blob = envelope.data_key()
    envelope.begin(envelope.seal(data_key=(data_key, blob)))
    answer = {"KeyId": envelope.key, "Plaintext": base64.b64encode(data_key).decode()}
    server = as_the_agreed_endpoint(tmp_path, envelope.kms.store, lambda _: http(200, answer))
    with refused(Refusal.KMS_FAILED):
        envelope.run_errand(server.connected())
    assert envelope.wanted()


def test_attack_09_a_policy_that_lets_nobody_in_is_a_refusal(envelope: Envelope) -> None:
    closed = replace(envelope, key=envelope.kms.key(key_policy(envelope.agreed, bytes(48))))
    closed.begin(closed.seal(VISITS))
    with refused(Refusal.KMS_DENIED):
        closed.run_errand()
