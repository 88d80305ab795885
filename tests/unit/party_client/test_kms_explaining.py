"""`concordat kms explain` names the condition that keeps an enclave out, and answers as the key does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from party_client.agreements.agreement_file import save_agreement
from party_client.attestation.document import parse_untrusted
from party_client.attestation.measurements import ZERO_PCR
from party_client.kms import plan
from party_client.kms.evaluation import KeyAccess
from party_client.kms.explaining import explain_access
from party_client.kms.policy import read_policy_untrusted
from scenarios.machine.documents import DocumentSigner, ModuleId
from tests.kms_world import ADMINISTRATOR, refused
from tests.sealing_world import PARENT, SealingWorld, sealing_world
from tests.unit.party_client.whole_stack import Command
from tests.world import VALID_UNTIL_S

PEOPLE = (*("--party", "publisher", "--parent", PARENT, "--administrator", ADMINISTRATOR, "--simulated-kms"),)
OTHER = b"\xfe" * 48


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SealingWorld]:
    with sealing_world(tmp_path_factory.mktemp("explained")) as made:
        yield made


@pytest.fixture
def command_folder(tmp_path: Path) -> Path:
    return tmp_path


def document(world: SealingWorld, pcrs: dict[int, bytes], *, at: datetime | None = None) -> bytes:
    clock = datetime.now(UTC) if at is None else at
    signer = DocumentSigner(world.kms.root, ModuleId.random(), clock=lambda: clock)
    return bytes(signer.sign(pcrs, public_key=None))


def without(pcrs: dict[int, bytes], index: int) -> dict[int, bytes]:
    return {register: value for register, value in pcrs.items() if register != index}


def access(world: SealingWorld) -> KeyAccess:
    policy = plan(world.terms).key_policy
    return KeyAccess(world.arn, read_policy_untrusted(policy, what="key policy", with_principals=True))


WRONG = {
    "another image": ({0: OTHER}, "PCR0 (the image) is fefefefefefefefe…, expected"),
    "another bootstrap": ({1: OTHER}, "PCR1 is fefefefefefefefe…, expected"),
    "another agreement": ({16: OTHER}, "PCR16 (the agreement) is fefefefefefefefe…, expected"),
    "debug mode": (dict.fromkeys(range(3), ZERO_PCR), "PCR0 (the image) is all zero, as in debug mode"),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_condition_is_named_and_the_server_says_no(world: SealingWorld, name: str) -> None:
    changes, sentence = WRONG[name]
    pcrs = world.registers | changes
    _, found = parse_untrusted(document(world, pcrs))
    (answer,) = explain_access(world.terms, access(world), found)
    assert not answer.is_let_in
    sentences = [clause.sentence for verdict in answer.verdicts for clause in verdict.clauses]
    assert any(one.startswith(sentence) for one in sentences), sentences
    assert all("is there" not in one for one in sentences)
    context = world.terms.encryption_context("visits")
    blob = world.kms.client("arn:aws:iam::111122223333:role/sealer").generate_data_key(
        KeyId=world.arn, KeySpec="AES_256", EncryptionContext=context
    )["CiphertextBlob"]
    with refused("AccessDeniedException"):
        world.decrypt(blob, context, pcrs)


def test_the_agreed_enclave_is_let_in_by_its_release(world: SealingWorld) -> None:
    _, found = parse_untrusted(document(world, world.registers))
    (answer,) = explain_access(world.terms, access(world), found)
    assert (answer.subject, answer.is_let_in, answer.allowed_by) == ("visits", True, ("Release1",))
    assert not [verdict for verdict in answer.verdicts if verdict.clauses]


def test_an_enclave_that_is_bound_to_nothing(world: SealingWorld) -> None:
    _, found = parse_untrusted(document(world, without(world.registers, 16)))
    (answer,) = explain_access(world.terms, access(world), found)
    sentences = [clause.sentence for verdict in answer.verdicts for clause in verdict.clauses]
    assert not answer.is_let_in
    assert any("bound to no agreement" in one for one in sentences)


def test_time_is_that_of_the_document(world: SealingWorld) -> None:
    late = document(world, world.registers, at=datetime.fromtimestamp(VALID_UNTIL_S, UTC) + timedelta(1))
    (answer,) = explain_access(world.terms, access(world), parse_untrusted(late)[1])
    assert answer.denied_by == ("DenyReadingAfterTheAgreement",)


def test_the_command(concordat: Command, world: SealingWorld, tmp_path: Path) -> None:
    save_agreement(tmp_path / "reach.agreement", world.agreement)
    (tmp_path / "good.cbor").write_bytes(document(world, world.registers))
    (tmp_path / "bad.cbor").write_bytes(document(world, world.registers | {16: OTHER}))
    (tmp_path / "root.pem").write_bytes((world.kms.folder / "simulator" / "root.pem").read_bytes())
    asked = ("kms", "explain", "reach.agreement", *PEOPLE, "--root", "root.pem", "--document")
    status, out, err = concordat(*asked, "good.cbor")
    assert status == 0, err
    assert "dataset visits: let in\n  allowed by Release1, denied by none" in out
    status, out, _ = concordat(*asked, "bad.cbor")
    assert status == 1
    assert "dataset visits: KEPT OUT" in out
    assert "  Release1 does not let it in:\n    - PCR16 (the agreement) is fefefefefefefefe…" in out
    assert "by a model of AWS's evaluation" in out
    status, out, _ = concordat(*asked, "bad.cbor", "--json")
    value = json.loads(out)
    assert (status, value["let_in"], value["document"]["refusal"]) == (1, False, None)
    (answer,) = value["answers"]
    assert "DenyUseForOtherAgreements" in answer["denied_by"]


def test_a_document_that_kms_would_not_take(concordat: Command, world: SealingWorld, tmp_path: Path) -> None:
    """AWS believes its own root alone, and so does this command unless it is told another."""
    save_agreement(tmp_path / "reach.agreement", world.agreement)
    (tmp_path / "good.cbor").write_bytes(document(world, world.registers))
    status, out, _ = concordat(
        "kms", "explain", "reach.agreement", *PEOPLE, "--document", "good.cbor", "--json"
    )
    value = json.loads(out)
    assert (status, value["let_in"]) == (1, False)
    assert value["document"]["refusal"]
    assert value["answers"][0]["let_in"] is True


def test_a_live_policy_in_place_of_the_planned_one(
    concordat: Command, world: SealingWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = replace(
        world, arn=world.kms.key(json.dumps(plan(world.terms).key_policy).replace("visits", "old"))
    )
    save_agreement(tmp_path / "reach.agreement", world.agreement)
    (tmp_path / "good.cbor").write_bytes(document(world, world.registers))
    (tmp_path / "root.pem").write_bytes((world.kms.folder / "simulator" / "root.pem").read_bytes())
    other.exported(tmp_path / "key.json", monkeypatch)
    status, out, _ = concordat(
        *("kms", "explain", "reach.agreement", *PEOPLE, "--root", "root.pem"),
        *("--document", "good.cbor", "--from", "key.json"),
    )
    assert status == 1
    assert "kms:encryptioncontext:dataset is visits, expected old" in out
