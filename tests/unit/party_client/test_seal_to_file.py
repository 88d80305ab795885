"""Sealing under a key in KMS: what is written, what is refused, and what is nowhere afterwards."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from party_client.agreements.errors import ExpiredError
from party_client.datasets import DatasetError
from party_client.files import FileExistsAlreadyError
from party_client.identity import Identity
from party_client.kms import SealingKey, checked_key, unchecked_key
from party_client.kms.access import Reach
from party_client.kms.data_keys import _data_key_untrusted
from party_client.kms.errors import (
    DataKeyError,
    KeyServiceError,
    NoKeyServiceError,
    UnsoundKeyError,
)
from party_client.kms.snapshot import load_snapshot
from party_client.seal_to_file import SealOptions, seal_dataset
from party_client.sealed_files import open_sealed_file
from party_client.sealed_files.reading import chunks_of
from protos.formats.errors import FormatError, SealError
from protos.formats.kms import encryption_context
from protos.formats.limits import AEAD_TAG_BYTES
from protos.formats.sealed import ChunkOpener
from tests.kms_world import ADMINISTRATOR, enclave_key, statement
from tests.sealing_world import SEALER, SealingWorld, in_place, log_in, sealing_world
from tests.unit.scenarios.kms.enveloped_reader import open_enveloped
from tests.world import ADVERTISER, PUBLISHER

CSV = "email,segment\nann@x.org,sport\nbob@x.org,news\n"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SealingWorld]:
    with sealing_world(tmp_path_factory.mktemp("envelope")) as made:
        yield made


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "visits.csv"
    path.write_text(CSV)
    return path


def seal(world: SealingWorld, data: Path, key: SealingKey, **options: Any) -> Any:
    output = data.with_suffix(".sealed")
    who = options.pop("identity", PUBLISHER)
    agreed = options.pop("agreement", world.agreement)
    dataset = options.pop("dataset", "visits")
    return seal_dataset(agreed, dataset, data, output, identity=who, key=key, options=SealOptions(**options))


def test_an_attested_enclave_opens_what_was_sealed(
    world: SealingWorld, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = seal(world, data, world.checked(monkeypatch), compression="none")
    found = open_sealed_file(made.path, world.agreement)
    context = found.header.context
    assert (found.header, found.manifest) == (made.header, made.manifest)
    assert (context.kms_key, context.enclave_id, found.manifest.rows) == (world.arn, None, 2)
    assert found.size_bytes == made.size_bytes == made.path.stat().st_size
    answer = world.decrypt(
        found.header.wrapped_key,
        encryption_context(world.agreement.digest(), "publisher", "visits"),
        world.registers,
    )
    data_key = open_enveloped(answer["CiphertextForRecipient"], enclave_key())
    opener = ChunkOpener(data_key, found.header.digest())
    with made.path.open("rb") as file:
        (chunk,) = chunks_of(file)
    plaintext = opener.open(chunk, last=True)
    assert b"ann@x.orgbob@x.org" in plaintext
    assert len(chunk) == len(plaintext) + AEAD_TAG_BYTES
    assert not [path for path in data.parent.iterdir() if path not in (data, made.path)]


def test_two_seals_share_neither_key_nor_id(
    world: SealingWorld, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = world.checked(monkeypatch)
    first = seal(world, data, key).header
    data.with_suffix(".sealed").unlink()
    second = seal(world, data, key).header
    assert first.context.upload_id != second.context.upload_id
    assert first.wrapped_key != second.wrapped_key


def test_the_data_key_is_in_no_log_and_in_no_file(
    world: SealingWorld,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """botocore's debugging writes down whole answers; here it writes down that there was one."""
    seen: list[bytes] = []

    def watched(answer: Any, key: SealingKey) -> Any:
        seen.append(answer["Plaintext"])
        return _data_key_untrusted(answer, key)

    monkeypatch.setattr("party_client.kms.data_keys._data_key_untrusted", watched)
    key = world.checked(monkeypatch)
    with caplog.at_level(logging.DEBUG):
        made = seal(world, data, key)
    (data_key,) = seen
    spellings = (repr(data_key)[2:-1], data_key.hex(), base64.b64encode(data_key).decode())
    assert caplog.records, "nothing was logged at all, so this shows nothing"
    assert not [one for one in spellings if one in caplog.text]
    assert data_key not in made.path.read_bytes()
    assert repr(made.header).find(data_key.hex()) < 0


def test_a_key_with_a_hole_is_not_sealed_under(
    world: SealingWorld, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.kms_world import policy

    hole = policy(
        statement("Administration", "Allow", {"AWS": ADMINISTRATOR}, ["kms:DescribeKey", "kms:GetKeyPolicy"]),
        statement("Reading", "Allow", {"AWS": ADMINISTRATOR}, ["kms:ListGrants"]),
        statement("Hole", "Allow", {"AWS": SEALER}, ["kms:GenerateDataKey", "kms:Decrypt"]),
    )
    other = SealingWorld(world.kms, world.agreement, world.terms, world.kms.key(hole))
    with pytest.raises(UnsoundKeyError, match=r"unattested-decrypt") as caught:
        other.checked(monkeypatch)
    assert "kms check" in str(caught.value.hint)
    snapshot = load_snapshot(other.exported(tmp_path / "key.json", monkeypatch))
    with pytest.raises(KeyServiceError, match="got what was read of"):
        checked_key(world.arn, world.service, terms=world.terms, snapshot=snapshot)
    made = seal(world, data, unchecked_key(other.arn, world.service))
    assert made.header.context.kms_key == other.arn


def test_what_closes_nothing_is_told_and_stops_nobody(
    world: SealingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = world.checked(monkeypatch).report
    assert report is not None
    assert {one.code for one in report.findings} <= {"rotation-off"}


def test_a_sealing_key_is_not_made_by_hand(world: SealingWorld) -> None:
    with pytest.raises(TypeError, match="comes from checked_key"):
        SealingKey(arn=world.arn, service=world.service, report=None, mint=object())


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:kms:us-east-1:444455556666:key/1234",
        "arn:aws:kms:eu-central-1:111122223333:key/1234",
        "arn:aws:kms:us-east-1:111122223333:alias/concordat-reach-publisher",
        "1234",
    ],
)
def test_a_key_elsewhere_is_none(world: SealingWorld, arn: str) -> None:
    with pytest.raises(FormatError, match="kms key: got"):
        unchecked_key(arn, world.service)


def test_kms_denies_and_says_what_to_do(
    world: SealingWorld, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = world.checked(monkeypatch)
    log_in(monkeypatch, world.kms, ADMINISTRATOR)
    with pytest.raises(DataKeyError, match="AccessDenied") as caught:
        seal(world, data, key)
    assert "--sealer" in str(caught.value.hint)
    assert not data.with_suffix(".sealed").exists()


def test_credentials_that_are_not_known_or_not_there(
    world: SealingWorld, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = world.checked(monkeypatch)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of another time")
    with pytest.raises(DataKeyError) as caught:
        seal(world, data, key)
    assert "log in again" in str(caught.value.hint), caught.value
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    with pytest.raises(DataKeyError, match="no AWS credentials"):
        seal(world, data, key)


def test_an_endpoint_that_nobody_agreed_on_is_not_believed(
    world: SealingWorld, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The certificate of the endpoint has to be by the agreed authority, or by one that is given."""
    from party_client.kms.authorities import amazon_authorities, as_pem

    key = world.checked(monkeypatch)
    amazon = tmp_path / "amazon.pem"
    amazon.write_bytes(as_pem(amazon_authorities()))
    with pytest.raises(DataKeyError, match=r"SSL|certificate"):
        seal(world, data, key, reach=Reach(authority=amazon))
    assert seal(world, data, key, reach=Reach(authority=world.kms.store.authority_path)).path.exists()


def test_another_key_in_the_answer_is_refused(world: SealingWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    key = world.checked(monkeypatch)
    right = {"KeyId": key.arn, "Plaintext": bytes(32), "CiphertextBlob": b"blob"}
    assert _data_key_untrusted(right, key).ciphertext == b"blob"
    for changes, said in (
        ({"KeyId": key.arn + "0"}, "KMS used the key"),
        ({"Plaintext": bytes(31)}, "32 bytes"),
        ({"Plaintext": None}, "32 bytes"),
        ({"CiphertextBlob": b""}, "wrapped key"),
        ({"CiphertextBlob": bytes(6145)}, "wrapped key"),
    ):
        with pytest.raises(DataKeyError, match=said) as caught:
            _data_key_untrusted(right | changes, key)
        assert bytes(31).hex() not in caught.value.message


def test_who_may_seal_what(world: SealingWorld, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = world.checked(monkeypatch)
    with pytest.raises(SealError, match="belongs to publisher"):
        seal(world, data, key, identity=ADVERTISER)
    with pytest.raises(SealError, match="another signing key"):
        seal(world, data, key, identity=Identity.generate("publisher", "Somebody else"))
    with pytest.raises(NoKeyServiceError, match="does not let purchases"):
        seal(world, data, key, identity=ADVERTISER, dataset="purchases")
    with pytest.raises(ExpiredError):
        seal(world, data, key, agreement=replace(world.agreement, valid_until_s=1_700_000_000))


@pytest.mark.parametrize(
    "text",
    ["email,segment\nann@x.org,sport\nann@x.org,news\n", "email,segment\n,sport\n", "email\nann@x.org\n"],
    ids=["a key twice", "no unit", "a column is missing"],
)
def test_bad_data_leaves_no_file(
    world: SealingWorld, data: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """Nobody of the owner's may be there when an enclave refuses it, so all of it is looked at now."""
    data.write_text(text)
    with pytest.raises(DatasetError):
        seal(world, data, world.checked(monkeypatch))
    assert list(data.parent.iterdir()) == [data]


def test_too_few_rows_are_refused_here(
    world: SealingWorld, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    visits, purchases = world.agreement.datasets
    more = replace(visits, rules=replace(visits.rules, min_rows=3))
    other = in_place(world.kms, replace(world.agreement, datasets=(more, purchases)))
    with pytest.raises(DatasetError, match="got 2 rows, expected at least 3"):
        seal(other, data, other.checked(monkeypatch))
    assert list(data.parent.iterdir()) == [data]


def test_nothing_is_overwritten(world: SealingWorld, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data.with_suffix(".sealed").write_text("mine")
    with pytest.raises(FileExistsAlreadyError):
        seal(world, data, world.checked(monkeypatch))
    assert data.with_suffix(".sealed").read_text() == "mine"
