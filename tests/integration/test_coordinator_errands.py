"""Keys that enclaves want from key services, through a running coordinator: brought, refused, tried again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from coordinator import log
from coordinator.errors import CredentialsError
from coordinator.kms.services import KeyServices
from protos.v1 import concordat_pb2 as messages
from tests.unit.coordinator import calls
from tests.unit.coordinator.calls import eventually
from tests.unit.coordinator.fake_enclave import ENVELOPE, REGION, ROLE, STATE, manifest_of
from tests.unit.coordinator.key_service import (
    CREDENTIALS,
    DENIED,
    GRANTED,
    KnownCredentials,
    Service,
    closing,
    key_services,
    serving,
)
from tests.unit.coordinator.running import Running, running_coordinator

HEADER = ENVELOPE + b"header"
OTHER_ID = b"O" * 16


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path) as service:
        yield service


@contextmanager
def running_with(
    tmp_path: Path, service: Service, told: KeyServices | None, **behaviour: Any
) -> Iterator[tuple[Running, bytes]]:
    """A coordinator that was `told` about key services, whose enclaves want their keys from `service`."""
    with running_coordinator(tmp_path / "state", key_services=told) as running:
        of_enclaves = running.launcher.behaviour
        of_enclaves.endpoint, of_enclaves.certificate = service.endpoint, service.certificate
        for name, value in behaviour.items():
            setattr(of_enclaves, name, value)
        yield running, calls.put_agreement(running.stub)


def fares(running: Running, digest: bytes) -> list[str]:
    return [deposit.said for deposit in calls.deposits(running.stub, digest)]


def errands_of(running: Running, job_id: str) -> list[tuple[str, str, str]]:
    job = running.stub.GetJob(messages.GetJobRequest(job_id=job_id))
    return [(errand.subject, errand.endpoint, errand.said) for errand in job.errands]


def test_a_deposit_gets_its_key_and_is_accepted(
    tmp_path: Path, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    credentials = KnownCredentials()
    with (
        caplog.at_level("INFO", logger=log._LOGGER.name),
        running_with(tmp_path, service, key_services(service, credentials=credentials)) as (running, digest),
    ):
        calls.deposit(running.stub, digest, calls.random_chunks(3), header=HEADER)
        job_id = calls.running_job(running.stub)
        eventually(lambda: fares(running, digest) == ["accepted"])
        assert errands_of(running, job_id) == []
        (handed,) = running.launcher.only().credentials
    # The agreement is the job's, whatever the enclave says: it says nothing of it.
    assert credentials.asked == [(ROLE, REGION, digest, "airline")]
    assert handed == {
        "access_key_id": CREDENTIALS.access_key_id,
        "secret_access_key": CREDENTIALS.secret_access_key,
        "session_token": CREDENTIALS.session_token,
    }
    assert service.requests == [f"{CREDENTIALS.access_key_id} flights\n".encode()]
    logged = [getattr(record, "fields", {}) for record in caplog.records if record.msg == "errand"]
    assert logged == [{"job": job_id, "subject": "flights", "endpoint": service.endpoint, "outcome": "done"}]
    everything = repr([record.__dict__ for record in caplog.records])
    for secret in (CREDENTIALS.secret_access_key, str(CREDENTIALS.session_token), CREDENTIALS.access_key_id):
        assert secret not in everything


def test_a_key_service_that_says_no_is_asked_again_and_what_it_said_is_shown(
    tmp_path: Path, service: Service
) -> None:
    service.answer = DENIED
    with running_with(tmp_path, service, key_services(service)) as (running, digest):
        calls.deposit(running.stub, digest, calls.random_chunks(3), header=HEADER)
        job_id = calls.running_job(running.stub)
        eventually(lambda: fares(running, digest) == ["kms-denied"])
        assert errands_of(running, job_id) == [("flights", service.endpoint, "kms-denied")]
        eventually(lambda: service.connections >= 3)
        service.answer = GRANTED
        eventually(lambda: fares(running, digest) == ["accepted"])
    first, second, third, *_ = service.connected_at_s
    assert third - second > 1.5 > second - first, "pauses grow"


def test_a_key_service_that_is_not_there_is_tried_again(tmp_path: Path, service: Service) -> None:
    service.on_connection = closing
    with running_with(tmp_path, service, key_services(service)) as (running, digest):
        calls.deposit(running.stub, digest, calls.random_chunks(3), header=HEADER)
        calls.running_job(running.stub)
        eventually(lambda: fares(running, digest) == ["kms-failed"])
        service.on_connection = None
        eventually(lambda: fares(running, digest) == ["accepted"])


def test_one_party_s_key_service_holds_up_no_other_dataset(tmp_path: Path, service: Service) -> None:
    service.answer = DENIED
    with running_with(tmp_path, service, key_services(service)) as (running, digest):
        calls.deposit(running.stub, digest, calls.random_chunks(3), header=HEADER)
        calls.deposit(running.stub, digest, calls.random_chunks(3), upload_id=OTHER_ID, dataset="weather")
        calls.running_job(running.stub)
        eventually(lambda: fares(running, digest) == ["kms-denied", "accepted"])


def test_without_a_list_of_endpoints_nothing_is_connected_to(tmp_path: Path, service: Service) -> None:
    with running_with(tmp_path, service, None) as (running, digest):
        calls.deposit(running.stub, digest, calls.random_chunks(3), header=HEADER)
        job_id = calls.running_job(running.stub)
        eventually(lambda: fares(running, digest) == ["coordinator/errands-not-run"])
        assert errands_of(running, job_id) == [("flights", service.endpoint, "coordinator/errands-not-run")]
    assert service.connections == 0


def test_an_endpoint_that_is_not_listed_is_not_connected_to(tmp_path: Path, service: Service) -> None:
    credentials = KnownCredentials()
    with running_with(tmp_path, service, key_services(credentials=credentials)) as (running, digest):
        calls.deposit(running.stub, digest, calls.random_chunks(3), header=HEADER)
        calls.running_job(running.stub)
        eventually(lambda: fares(running, digest) == ["coordinator/kms-endpoint"])
    assert (service.connections, credentials.asked) == (0, [])


def test_without_credentials_nothing_is_connected_to(tmp_path: Path, service: Service) -> None:
    credentials = KnownCredentials(error=CredentialsError("none for this role"))
    with running_with(tmp_path, service, key_services(service, credentials=credentials)) as (running, digest):
        calls.deposit(running.stub, digest, calls.random_chunks(3), header=HEADER)
        calls.running_job(running.stub)
        eventually(lambda: fares(running, digest) == ["coordinator/credentials"])
        assert service.connections == 0
        credentials.error = None
        eventually(lambda: fares(running, digest) == ["accepted"])


def test_what_an_enclave_keeps_is_a_subject_too(tmp_path: Path, service: Service) -> None:
    with running_with(tmp_path, service, key_services(service), wants_state=True) as (running, _):
        job_id = calls.running_job(running.stub)
        eventually(lambda: running.launcher.only().keys == {STATE})
        assert errands_of(running, job_id) == []


def test_an_upload_to_a_job_gets_its_key_as_well(tmp_path: Path, service: Service) -> None:
    chunks = calls.random_chunks(5)
    with running_with(tmp_path, service, key_services(service)) as (running, _):
        stub = running.stub
        job_id = calls.running_job(stub)
        calls.begin(stub, job_id, header=HEADER)
        calls.send(stub, calls.messages_of(job_id, chunks))
        eventually(lambda: running.launcher.only().keys == {"flights"})
        assert calls.finish(stub, job_id, manifest_of(chunks))
