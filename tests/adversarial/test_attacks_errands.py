"""Attacks through requests for keys: by an enclave, and by whatever answers at a listed endpoint.

The whole coordinator runs. What it guards here is its own network and time, and the other jobs: that nothing
which passes through can be read or changed is the enclave's business, and tested there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coordinator.deadlines import Deadlines
from protos.formats.canonical import Value
from protos.v1 import concordat_pb2 as messages
from tests.unit.coordinator import calls
from tests.unit.coordinator.calls import eventually
from tests.unit.coordinator.fake_enclave import ENVELOPE
from tests.unit.coordinator.key_service import (
    KnownCredentials,
    Service,
    endless,
    key_services,
    serving,
    silent,
)
from tests.unit.coordinator.running import Running, running_coordinator
from tests.unit.coordinator.thread_launcher import ThreadLauncher

HEADER = ENVELOPE + b"header"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path) as service:
        yield service


@pytest.fixture
def running(tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setattr(ThreadLauncher, "deadlines", replace(Deadlines(), errand_s=1.0))
    with running_coordinator(tmp_path / "state", key_services=key_services(service)) as running:
        behaviour = running.launcher.behaviour
        behaviour.endpoint, behaviour.certificate = service.endpoint, service.certificate
        yield running


def one_more(header: dict[str, Value], body: bytes) -> tuple[dict[str, Value], bytes]:
    """An errand without end."""
    return {"done": False}, b"\x16\x03\x01"


def huge(header: dict[str, Value], body: bytes) -> tuple[dict[str, Value], bytes]:
    """More than any frame of an errand may have."""
    return {"done": False}, bytes(30_000_000)


def never_said(header: dict[str, Value], body: bytes) -> tuple[dict[str, Value], bytes]:
    """Nothing about whether it is done."""
    return {}, b""


def silent_enclave(header: dict[str, Value], body: bytes) -> tuple[dict[str, Value], bytes]:
    """No answer at all."""
    threading.Event().wait(20)
    return {"done": True}, b""


HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "an endpoint that is not listed": ({"endpoint": "169.254.169.254:80"}, "coordinator/kms-endpoint"),
    "a listed name at another port": ({"endpoint": "127.0.0.1:1"}, "coordinator/kms-endpoint"),
    "no endpoint": ({"endpoint": "127.0.0.1"}, "coordinator/enclave-answer"),
    "what commands a terminal": ({"endpoint": "\x1b[2J:443"}, "coordinator/enclave-answer"),
    "another dataset's key": ({"names_subject": "weather"}, "coordinator/enclave-answer"),
    "its state's key": ({"names_subject": "#state"}, "coordinator/enclave-answer"),
    "an errand without end": ({"errand": one_more}, "coordinator/errand-too-long"),
    "a huge answer": ({"errand": huge}, "coordinator/errand-too-long"),
    "an answer without done": ({"errand": never_said}, "coordinator/enclave-answer"),
    "no answer": ({"errand": silent_enclave}, "coordinator/enclave-unreachable"),
}


def echoing(connection: Any) -> None:
    """Whatever comes goes back."""
    while received := connection.recv(100_000):
        connection.sendall(received)


@pytest.mark.parametrize("does", HOSTILE)
def test_attack_51_errands_of_a_hostile_enclave(does: str, running: Running, service: Service) -> None:
    stub = running.stub
    behaviour, expected = HOSTILE[does]
    for name, value in behaviour.items():
        setattr(running.launcher.behaviour, name, value)
    if behaviour.get("errand") is one_more:
        service.on_connection = echoing
    digest = calls.put_agreement(stub)
    calls.deposit(stub, digest, calls.random_chunks(2), header=HEADER)
    hostile = calls.running_job(stub)
    (deposit,) = eventually(lambda: [d for d in calls.deposits(stub, digest) if d.said], within_s=8)
    assert deposit.said == expected
    job = stub.GetJob(messages.GetJobRequest(job_id=hostile))
    assert all(errand.endpoint.isprintable() for errand in job.errands)
    if "endpoint" in behaviour:
        assert service.connections == 0
    # Another job, of the same coordinator, gets its key and its data.
    service.on_connection = None
    good = running.launcher.behaviour = type(running.launcher.behaviour)(
        endpoint=service.endpoint, certificate=service.certificate
    )
    assert good.errand is None
    second = calls.running_job(stub, "another")
    eventually(
        lambda: [
            d.said
            for d in stub.GetJob(messages.GetJobRequest(job_id=second)).deposits
            if d.said == "accepted"
        ]
    )


@pytest.mark.parametrize("endpoint", [silent, endless])
def test_attack_51_a_listed_endpoint_that_is_hostile(
    endpoint: Callable[[Any], None], running: Running, service: Service
) -> None:
    stub = running.stub
    service.on_connection = endpoint
    digest = calls.put_agreement(stub)
    calls.deposit(stub, digest, calls.random_chunks(2), header=HEADER)
    calls.deposit(stub, digest, calls.random_chunks(2), upload_id=b"O" * 16, dataset="weather")
    calls.running_job(stub)
    eventually(lambda: all(d.said for d in calls.deposits(stub, digest)), within_s=8)
    kept_from, other = calls.deposits(stub, digest)
    assert kept_from.said in {"coordinator/kms-unreachable", "kms-failed"}
    assert other.said == "accepted"
    service.on_connection = None
    eventually(lambda: [d.said for d in calls.deposits(stub, digest)] == ["accepted", "accepted"])


def test_attack_51_credentials_are_for_the_job_s_agreement_whatever_the_enclave_wants(
    tmp_path: Path, service: Service
) -> None:
    """An enclave that says "agreement" in its errand is not understood at all."""
    credentials = KnownCredentials()
    told = key_services(service, credentials=credentials)
    with running_coordinator(tmp_path / "state", key_services=told) as running:
        behaviour = running.launcher.behaviour
        behaviour.endpoint, behaviour.certificate = service.endpoint, service.certificate
        digest = calls.put_agreement(running.stub)
        other = calls.put_agreement(running.stub, b"another agreement")
        calls.deposit(running.stub, digest, calls.random_chunks(2), header=HEADER)
        calls.running_job(running.stub)
        eventually(lambda: calls.deposits(running.stub, digest)[0].said == "accepted")
    assert {asked[2] for asked in credentials.asked} == {digest} != {other}
