"""Envelope mode in the enclave: an upload whose key is with its owner's KMS counts once the key has come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from protos.formats.calls import Op, Refusal
from tests import kms_world, world
from tests.enclave_fixtures import refused
from tests.envelope_world import Envelope, key_policy
from tests.errands_world import service_of
from tests.kms_world import ENCLAVE_ROLE, KmsWorld
from tests.world import VISITS


@pytest.fixture(scope="module")
def kms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KmsWorld]:
    with kms_world.running(tmp_path_factory.mktemp("kms")) as found:
        yield found


@pytest.fixture
def envelope(kms: KmsWorld) -> Iterator[Envelope]:
    with world.simulated_enclave(kms.folder / "simulator") as enclave:
        yield Envelope.bound(enclave, kms)


def test_an_upload_opens_with_the_key_that_kms_let_go_of(envelope: Envelope) -> None:
    upload = envelope.seal(VISITS.slice(0, 2), VISITS.slice(2))
    service = service_of(envelope.kms)
    errand = {
        "subject": "visits",
        "endpoint": service.endpoint,
        "role": ENCLAVE_ROLE,
        "region": "us-east-1",
        "party": "publisher",
    }
    begun = envelope.begin(upload)
    assert begun == {"id": begun["id"], "ok": True, "next": 0, "errand": errand}
    assert envelope.wanted() == [errand]
    envelope.run_errand()
    assert envelope.wanted() == []
    assert "errand" not in envelope.begin(upload)
    envelope.chunks(upload)
    envelope.finish(upload)
    assert envelope.result() == [{"segment": "sport", "purchases": 3, "total": 60}]
    record = envelope.kms.records[-1]
    assert (record["operation"], record["outcome"]) == ("Decrypt", "ok")


def test_nothing_opens_before_the_key_has_come(envelope: Envelope) -> None:
    upload = envelope.seal()
    envelope.begin(upload)
    with refused(Refusal.KEY_WANTED):
        envelope.enclave.chunk(upload, 0, upload.chunks[0])
    with refused(Refusal.KEY_WANTED):
        envelope.finish(upload)
    assert envelope.begin(upload)["errand"]["subject"] == "visits"
    envelope.run_errand()
    envelope.chunks(upload)
    envelope.finish(upload)


def test_another_upload_wants_its_own_key(envelope: Envelope) -> None:
    """What came for the first is of no use to the second, whichever way round."""
    first, second = envelope.seal(), envelope.seal()
    envelope.begin(first)
    envelope.run_errand()
    assert "errand" in envelope.begin(second)
    with refused(Refusal.KEY_WANTED):
        envelope.enclave.chunk(second, 0, second.chunks[0])
    assert "errand" in envelope.begin(first), "the key went with the upload"
    envelope.run_errand()
    envelope.chunks(first)


def test_an_upload_that_broke_off_asks_anew(envelope: Envelope) -> None:
    twice = envelope.seal(VISITS, VISITS)
    envelope.begin(twice)
    envelope.run_errand()
    envelope.chunks(twice)
    with refused(Refusal.SCHEMA_MISMATCH):
        envelope.finish(twice)
    asked = len(envelope.kms.records)
    assert "errand" in envelope.begin(twice)
    with refused(Refusal.KEY_WANTED):
        envelope.enclave.chunk(twice, 0, twice.chunks[0])
    envelope.run_errand()
    assert [record["operation"] for record in envelope.kms.records[asked:]][-1] == "Decrypt"


def test_an_upload_sealed_to_the_enclave_takes_the_want_away(envelope: Envelope) -> None:
    envelope.begin(envelope.seal())
    assert envelope.wanted()
    envelope.enclave.upload(world.seal(envelope.agreed, envelope.enclave.keys(), "visits", [VISITS]))
    assert envelope.wanted() == []
    with refused(Refusal.UNKNOWN):
        envelope.run_errand()


def test_a_key_that_kms_denies_can_be_asked_for_again(envelope: Envelope) -> None:
    closed = replace(envelope, key=envelope.kms.key(key_policy(envelope.agreed, bytes(48))))
    upload = closed.seal()
    closed.begin(upload)
    with refused(Refusal.KMS_DENIED):
        closed.run_errand()
    envelope.kms.client(kms_world.ADMINISTRATOR).put_key_policy(
        KeyId=closed.key, Policy=key_policy(envelope.agreed), BypassPolicyLockoutSafetyCheck=True
    )
    assert closed.wanted()
    closed.run_errand()
    closed.chunks(upload)


@pytest.mark.parametrize(
    "key",
    [
        "arn:aws:kms:us-east-1:999988887777:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "arn:aws:kms:us-east-1:111122223333:alias/visits",
        "1234abcd-12ab-34cd-56ef-1234567890ab",
    ],
)
def test_a_key_of_another_place_is_not_asked_for(envelope: Envelope, key: str) -> None:
    upload = envelope.seal(kms_key=key)
    with refused(Refusal.WRONG_PLACE):
        envelope.begin(upload)
    assert envelope.wanted() == []


def test_without_a_kms_in_the_agreement_there_is_no_envelope_mode(kms: KmsWorld) -> None:
    with world.simulated_enclave(kms.folder / "simulator") as enclave:
        (root,) = enclave.roots
        agreed = world.agreement(root.sha256)
        enclave.bind(agreed)
        arn = f"arn:aws:kms:us-east-1:{kms_world.ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
        upload = world.seal(
            agreed,
            enclave.keys(),
            "visits",
            [VISITS],
            data_key=(bytes(32), b"x"),
            enclave_id=None,
            kms_key=arn,
        )
        with refused(Refusal.WRONG_PLACE):
            enclave.call(Op.BEGIN, upload.signed_header, dataset="visits", upload=upload.upload_id)


def test_status_names_as_many_errands_as_fit(kms: KmsWorld) -> None:
    """The longest names and the most datasets that an agreement can have leave an answer that can be sent."""
    with world.simulated_enclave(kms.folder / "simulator") as enclave:
        (root,) = enclave.roots
        base = world.agreement(root.sha256)
        visits, purchases = base.datasets
        service = service_of(kms)
        many = tuple(replace(visits, id=f"{'v' * 60}{number}", kms=service) for number in range(62))
        agreed = replace(base, datasets=(visits, purchases, *many))
        enclave.bind(agreed)
        for dataset in many:
            upload = world.seal(
                agreed,
                enclave.keys(),
                dataset.id,
                [VISITS],
                data_key=(bytes(32), b"x"),
                enclave_id=None,
                kms_key=f"arn:aws:kms:us-east-1:{kms_world.ACCOUNT}:key/1234abcd",
            )
            enclave.call(Op.BEGIN, upload.signed_header, dataset=dataset.id, upload=upload.upload_id)
        status = enclave.call(Op.STATUS).header
        assert len(status["slots"]) == 64
        assert 0 < len(status["errands"]) < 62
