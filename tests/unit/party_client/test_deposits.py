"""What a list of deposits proves: the enclave's signature under keys that were attested, nothing else."""

from __future__ import annotations

import pytest

from party_client.attestation import VerifiedEnclave
from party_client.deposits import DepositState, accepted_manifest, deposit_states
from party_client.transport import UnavailableError
from party_client.upload import AcceptanceError
from protos.formats import cose
from protos.formats.agreement import Agreement
from protos.formats.identifiers import ENCLAVE_ID_BYTES
from protos.formats.sealed import ACCEPTANCE_LABEL, acceptance_payload
from protos.v1 import concordat_pb2 as wire
from tests.world import PUBLISHER, VISITS, Enclave, SealedUpload, seal


@pytest.fixture
def accepted(bound: Enclave, agreed: Agreement) -> tuple[SealedUpload, bytes, VerifiedEnclave]:
    """A dataset that an enclave took, its signed word, and the enclave as a party verified it."""
    upload = seal(agreed, bound.keys(), "visits", [VISITS])
    return upload, bound.upload(upload), bound.verify(agreed)


def listed(acceptance: bytes, **more: object) -> wire.Deposit:
    fields = {"dataset": "visits", "deposited_by": "publisher", "complete": True, "job_id": "j"}
    return wire.Deposit(acceptance=acceptance, said="accepted", **(fields | more))  # type: ignore[arg-type]


def state_of(deposit: wire.Deposit, enclave: VerifiedEnclave) -> DepositState:
    (state,) = deposit_states([deposit], lambda _: enclave)
    return state


def test_a_signed_acceptance_is_proved(accepted: tuple[SealedUpload, bytes, VerifiedEnclave]) -> None:
    upload, message, enclave = accepted
    assert accepted_manifest(message, enclave) == upload.manifest.digest()
    state = state_of(listed(message), enclave)
    assert (state.manifest_digest, state.enclave, state.doubt) == (upload.manifest.digest(), enclave, None)


def test_a_word_without_a_signature_proves_nothing(
    accepted: tuple[SealedUpload, bytes, VerifiedEnclave],
) -> None:
    _, _, enclave = accepted
    state = state_of(listed(b""), enclave)
    assert (state.listed.said, state.manifest_digest, state.enclave) == ("accepted", None, None)


@pytest.mark.parametrize("forgery", ["by the party", "about another enclave", "as another message", "junk"])
def test_forged_acceptances(
    accepted: tuple[SealedUpload, bytes, VerifiedEnclave], bound: Enclave, forgery: str
) -> None:
    upload, message, enclave = accepted
    digest = upload.manifest.digest()
    state = bound.life._state
    assert state is not None
    signing = state.keys.signing
    right = acceptance_payload(digest, enclave.keys.enclave_id)
    forged = {
        "by the party": cose.sign(right, typ=ACCEPTANCE_LABEL, key=PUBLISHER.signing_key),
        "about another enclave": cose.sign(
            acceptance_payload(digest, bytes(ENCLAVE_ID_BYTES)),
            typ=ACCEPTANCE_LABEL,
            key=signing,
        ),
        "as another message": cose.sign(
            right,
            typ="concordat/manifest/v1",
            key=signing,
        ),
        "junk": message[:-1] + bytes([message[-1] ^ 1]),
    }[forgery]
    with pytest.raises(AcceptanceError):
        accepted_manifest(forged, enclave)
    found = state_of(listed(forged), enclave)
    assert (found.manifest_digest, found.enclave) == (None, None)
    assert found.doubt


def test_each_job_is_verified_once_and_what_fails_is_said(
    accepted: tuple[SealedUpload, bytes, VerifiedEnclave],
) -> None:
    _, message, enclave = accepted
    asked: list[str] = []

    def verify(job_id: str) -> VerifiedEnclave:
        asked.append(job_id)
        if job_id == "gone":
            raise UnavailableError("nobody there")
        return enclave

    deposits = [listed(message), listed(message, job_id="gone"), listed(message), listed(b"", job_id="")]
    states = list(deposit_states(deposits, verify))
    assert [state.enclave is not None for state in states] == [True, False, True, False]
    assert states[1].doubt == "nobody there"
    assert asked == ["j", "gone"]
