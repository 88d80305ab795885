"""Keys of an enclave through the client: verified, used, approved, and never believed on anybody's word."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from party_client.attestation import AttestationError
from party_client.client import Client
from party_client.identity import Identity
from party_client.keys.approving import approve_uses, load_approvals, save_approvals
from party_client.keys.errors import (
    DoesNotDecryptError,
    KeyAnswerError,
    KeyFileError,
    KeyInputError,
    KeyNotAgreedError,
    PublicKeysError,
)
from party_client.keys.job_keys import JobKeys
from party_client.keys.prepared import load_prepared, save_prepared
from party_client.keys.public import VerifiedPublicKeys, verify_evidence
from party_client.transport import CallRefusedError
from protos.formats.agreement import Agreement
from protos.formats.canonical import decode_untrusted, encode
from protos.formats.key_answer import KeyAnswer, PublicKeys, seal_answer
from protos.formats.limits import KEY_INPUT_MAX_BYTES, MIB
from protos.release.history import agreed_releases
from tests import key_world, world
from tests.key_world import KEYS, RSA_KEYS
from tests.unit.party_client.direct_coordinator import JOB, DirectCoordinator
from tests.world import ADVERTISER, ANALYST, PUBLISHER, Enclave

MESSAGE = b"what is to be signed"


@pytest.fixture
def agreed(enclave: Enclave) -> Agreement:
    (root,) = enclave.roots
    return key_world.agreement(root.sha256)


@pytest.fixture
def coordinator(bound: Enclave) -> DirectCoordinator:
    return DirectCoordinator(bound)


@pytest.fixture
def keys(coordinator: DirectCoordinator, agreed: Agreement) -> JobKeys:
    return keys_of(PUBLISHER, coordinator, agreed)


def keys_of(who: Identity, coordinator: DirectCoordinator, agreed: Agreement) -> JobKeys:
    return Client(coordinator, who, roots=coordinator.enclave.roots).keys(JOB, agreed)


def test_a_signature_verifies_with_the_attested_public_half(keys: JobKeys) -> None:
    signature = keys.sign("edwards", MESSAGE)
    key = load_pem_public_key(keys.public().pem("edwards"))
    assert isinstance(key, Ed25519PublicKey)
    key.verify(signature, MESSAGE)


def test_what_is_encrypted_comes_back(keys: JobKeys) -> None:
    sealed = keys.encrypt("vault", MESSAGE)
    assert MESSAGE not in sealed
    assert keys.decrypt("vault", sealed) == MESSAGE
    with pytest.raises(DoesNotDecryptError, match="this does not decrypt with it"):
        keys.decrypt("vault", sealed[:-1])


def test_codes_are_the_same_for_everybody(
    keys: JobKeys, coordinator: DirectCoordinator, agreed: Agreement
) -> None:
    other = keys_of(ADVERTISER, coordinator, agreed)
    assert keys.hmac("codes", MESSAGE) == other.hmac("codes", MESSAGE)


def test_tokens_keep_index_and_nulls_and_join(
    keys: JobKeys, coordinator: DirectCoordinator, agreed: Agreement
) -> None:
    ours = keys.tokenise(
        "tokens", pd.Series(["ann@x.org", None, "bob@x.org", "ann@x.org"], [7, 8, 9, 10], name="a")
    )
    theirs = keys_of(ADVERTISER, coordinator, agreed).tokenise("tokens", pd.Series([" ANN@x.org", ""]))
    assert (list(ours.index), ours.name) == ([7, 8, 9, 10], "a")
    assert ours[7] == ours[10] == theirs[0]
    assert ours[8] is None
    assert theirs[1] is None
    assert {len(token) for token in ours.dropna()} == {32}


def test_many_identifiers_take_several_uses(enclave: Enclave, agreed: Agreement) -> None:
    root = agreed.releases[0].root_sha256
    key = replace(key_world.TOKENS, max_values=200_000)
    agreed = key_world.agreement(root, (key,))
    enclave.bind(agreed)
    keys = keys_of(PUBLISHER, DirectCoordinator(enclave), agreed)
    values = pd.Series([f"{number:030}" for number in range(70_000)])
    tokens = keys.tokenise("tokens", values)
    assert tokens.nunique() == 70_000
    again = keys.tokenise("tokens", values[::-7])
    assert (again == tokens[::-7]).all()


@pytest.mark.parametrize("values", [pd.Series([1, 2]), pd.Series(["a", 1]), pd.Series(["a" * 70_000])])
def test_what_is_no_identifier_is_said_before_anything_is_sent(keys: JobKeys, values: pd.Series) -> None:
    with pytest.raises(KeyInputError, match="identifiers: "):
        keys.tokenise("tokens", values)


def test_what_is_not_agreed_is_said_before_anything_is_sent(
    keys: JobKeys, coordinator: DirectCoordinator, agreed: Agreement
) -> None:
    with pytest.raises(KeyNotAgreedError, match="no key 'master'"):
        keys.sign("master", MESSAGE)
    with pytest.raises(KeyNotAgreedError, match="is for encrypt, not to decrypt"):
        keys.decrypt("one_way", MESSAGE)
    with pytest.raises(KeyNotAgreedError, match="analyst may not use it"):
        keys_of(ANALYST, coordinator, agreed).sign("edwards", MESSAGE)
    with pytest.raises(KeyInputError, match="expected at most"):
        keys.sign("edwards", bytes(KEY_INPUT_MAX_BYTES + 1))


def test_prepared_approved_and_sent(
    keys: JobKeys, agreed: Agreement, coordinator: DirectCoordinator, tmp_path: Path
) -> None:
    save_prepared(tmp_path / "uses", [keys.prepare("notary", "sign", MESSAGE)])
    assert (tmp_path / "uses").stat().st_mode & 0o077 == 0
    for who in (PUBLISHER, ADVERTISER):
        uses = load_prepared(tmp_path / "uses", agreed)
        assert [use.content for use in uses] == [MESSAGE]
        save_approvals(tmp_path / who.id, approve_uses(agreed, uses, identity=who, signed_at_s=0))
    (use,) = load_prepared(tmp_path / "uses", agreed)
    (approvals,) = load_approvals([tmp_path / "publisher", tmp_path / "advertiser"], uses=1)
    with pytest.raises(CallRefusedError) as refused:
        keys.send(use, approvals[:1])
    assert refused.value.refusal == "not-approved"
    assert keys.send(use, approvals) == keys.send(use, approvals)
    with pytest.raises(KeyFileError, match="got 1 approvals, expected 2"):
        load_approvals([tmp_path / "publisher"], uses=2)


def test_only_who_is_asked_approves(keys: JobKeys, agreed: Agreement) -> None:
    with pytest.raises(KeyNotAgreedError, match="nobody asks for the consent of publisher"):
        approve_uses(agreed, [keys.prepare("edwards", "sign", MESSAGE)], identity=PUBLISHER, signed_at_s=0)


def test_approvers_see_the_input_that_was_signed_for(
    keys: JobKeys, agreed: Agreement, tmp_path: Path
) -> None:
    use = keys.prepare("notary", "sign", MESSAGE)
    shown = {"request": use.signed_request, "salt": use.salt, "input": b"something harmless"}
    (tmp_path / "uses").write_bytes(encode({"uses": [shown]}))
    with pytest.raises(KeyFileError, match="whose input is not the one that was signed for"):
        load_prepared(tmp_path / "uses", agreed)


def test_files_of_others_are_refused_by_name(keys: JobKeys, agreed: Agreement, tmp_path: Path) -> None:
    use = keys.prepare("notary", "sign", MESSAGE)
    save_prepared(tmp_path / "uses", [use])
    other = key_world.agreement(agreed.releases[0].root_sha256, title="Another")
    with pytest.raises(KeyFileError, match="under another agreement"):
        load_prepared(tmp_path / "uses", other)
    (tmp_path / "junk").write_bytes(b"junk")
    with pytest.raises(KeyFileError):
        load_prepared(tmp_path / "junk", agreed)
    with pytest.raises(KeyFileError):
        load_approvals([tmp_path / "junk"], uses=1)


def test_a_use_is_for_one_enclave(keys: JobKeys, agreed: Agreement, tmp_path: Path) -> None:
    use = keys.prepare("edwards", "sign", MESSAGE)
    with world.simulated_enclave(tmp_path) as other:
        other.bind(agreed)
        with pytest.raises(KeyNotAgreedError, match="was prepared for enclave"):
            keys_of(PUBLISHER, DirectCoordinator(other), agreed).send(use)


def test_evidence_is_verified_offline(keys: JobKeys, agreed: Agreement, bound: Enclave) -> None:
    verified = keys.public()
    found = verify_evidence(verified.evidence, agreed=agreed_releases(agreed), roots=bound.roots)
    assert found.pem("p256") == verified.pem("p256")
    assert found.attestation.how == "replay"
    with pytest.raises(KeyNotAgreedError, match="has no public half"):
        found.pem("codes")
    with pytest.raises(KeyFileError):
        verify_evidence(verified.evidence[:-1], agreed=agreed_releases(agreed), roots=bound.roots)
    with pytest.raises(TypeError):
        VerifiedPublicKeys(attestation=found.attestation, keys=found.keys, evidence=b"", mint=None)


def test_evidence_for_other_keys_or_another_agreement_is_none(
    keys: JobKeys, agreed: Agreement, bound: Enclave
) -> None:
    fields = decode_untrusted(keys.public().evidence, max_bytes=MIB, what="evidence")
    theirs = Ed25519PrivateKey.generate().public_key()
    listed = decode_untrusted(fields["public_keys"], max_bytes=MIB, what="keys")
    listed["keys"][2]["public_key"] = listed["keys"][2]["public_key"][:12] + theirs.public_bytes_raw()
    forged = encode({**fields, "public_keys": encode(listed)})
    with pytest.raises(AttestationError):
        verify_evidence(forged, agreed=agreed_releases(agreed), roots=bound.roots)
    other = key_world.agreement(agreed.releases[0].root_sha256, title="Another")
    with pytest.raises(AttestationError):
        verify_evidence(encode(fields), agreed=agreed_releases(other), roots=bound.roots)


def test_keys_that_are_not_the_agreed_ones_are_refused(
    bound: Enclave, agreed: Agreement, keys: JobKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What genuine code of another version could say."""
    decode = PublicKeys.decode_untrusted

    def fewer(data: bytes) -> PublicKeys:
        found = decode(data)
        return PublicKeys(found.agreement_digest, found.enclave_id, found.keys[1:])

    monkeypatch.setattr(PublicKeys, "decode_untrusted", fewer)
    with pytest.raises(PublicKeysError, match="other keys than those of the agreement"):
        keys.public()


def test_an_answer_that_somebody_else_made_is_refused(
    keys: JobKeys, coordinator: DirectCoordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    use = keys.prepare("vault", "decrypt", keys.encrypt("vault", MESSAGE))
    forged = seal_answer(
        KeyAnswer(use.request.digest(), 1, 0, b"what the coordinator would like"),
        signing=Ed25519PrivateKey.generate(),
        receiver=PUBLISHER.id,
        receiving_key=PUBLISHER.public.receiving_key,
    )
    monkeypatch.setattr(coordinator, "use_key", lambda *_: forged)
    with pytest.raises(KeyAnswerError, match="not one of this enclave"):
        keys.send(use)


def test_an_answer_to_another_use_is_refused(
    keys: JobKeys, coordinator: DirectCoordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = keys.prepare("codes", "hmac", MESSAGE)
    recorded = coordinator.use_key(JOB, first.call(keys.enclave, ()))
    monkeypatch.setattr(coordinator, "use_key", lambda *_: recorded)
    assert keys.send(first)
    with pytest.raises(KeyAnswerError):
        keys.hmac("codes", b"something else")


def test_keys_and_secrets_are_not_in_what_is_printed(keys: JobKeys) -> None:
    use = keys.prepare("vault", "encrypt", MESSAGE)
    assert repr(MESSAGE)[2:-1] not in repr(use)
    assert repr(use.salt)[2:-1] not in repr(use)


def test_all_kinds_are_in_the_world() -> None:
    assert {key.kind for key in (*KEYS, *RSA_KEYS)} >= {
        *("ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-2048", "aes-256", "hmac-sha256"),
    }
