"""One errand between an enclave and a key service, either of them hostile: it ends in time and in bounds."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from coordinator.deadlines import Deadlines
from coordinator.enclaves import Enclaves
from coordinator.errand import Errand
from coordinator.errors import (
    CoordinatorError,
    EnclaveAnswerError,
    EnclaveRefusedError,
    EndlessErrandError,
    EndpointNotAllowedError,
    EndpointUnreachableError,
)
from coordinator.jobs import Job, JobState
from coordinator.kms.allowlist import Allowlist
from coordinator.kms.forwarder import Forwarder
from protos.formats.calls import Refusal
from protos.formats.canonical import Value
from protos.formats.limits import ERRAND_FRAME_MAX_BYTES, ERRAND_MAX_BYTES, ERRAND_STEPS_MAX
from tests.unit.coordinator.fake_enclave import REGION, ROLE, FakeEnclave
from tests.unit.coordinator.key_service import (
    DENIED,
    KnownCredentials,
    Service,
    closing,
    endless,
    serving,
    silent,
)
from tests.unit.coordinator.thread_launcher import ThreadLauncher

Answer = tuple[dict[str, Value], bytes]


@dataclass
class Way:
    """Everything between a fake enclave that wants one key and a key service that runs."""

    launcher: ThreadLauncher
    service: Service
    job: Job

    @property
    def enclave(self) -> FakeEnclave:
        return self.launcher.only()

    def run(self, *, endpoint: str = "", allowed: bool = True, errand_s: float = 20.0) -> float:
        """Carry the errand; how long it took."""
        self.launcher.deadlines = replace(Deadlines(), errand_s=errand_s)
        endpoints = frozenset({("127.0.0.1", self.service.port)} if allowed else set())
        forwarder = Forwarder(Allowlist(endpoints), KnownCredentials(), Enclaves(self.launcher))
        began = time.monotonic()
        forwarder.run(self.job, Errand("flights", endpoint or self.service.endpoint, ROLE, REGION, "airline"))
        return time.monotonic() - began

    def answering(self, answer: Callable[[dict[str, Value]], Answer]) -> None:
        self.launcher.behaviour.errand = lambda header, body: answer(header)


@pytest.fixture
def way(tmp_path: Path) -> Iterator[Way]:
    launcher = ThreadLauncher()
    address = launcher.new_address()
    with serving(tmp_path) as service:
        launcher.behaviour.certificate = service.certificate
        launcher.launch(address, console=tmp_path / "console")
        launcher.only().wanted = {"flights"}
        yield Way(launcher, service, Job("j", b"d" * 48, "airline", JobState.RUNNING, "", "threads", address))
    launcher.end(address)


def test_an_errand_ends_when_the_enclave_has_its_key(way: Way) -> None:
    way.run()
    assert way.enclave.keys == {"flights"}
    way.enclave.wanted = {"flights"}
    way.run()  # again is another conversation
    assert len(way.service.requests) == 2


def test_what_the_enclave_says_of_the_answer_is_handed_on(way: Way) -> None:
    way.service.answer = DENIED
    with pytest.raises(EnclaveRefusedError) as caught:
        way.run()
    assert caught.value.refusal is Refusal.KMS_DENIED
    assert way.enclave.keys == set()


def test_an_endpoint_that_closes_is_the_enclave_s_to_judge(way: Way) -> None:
    way.service.on_connection = closing
    with pytest.raises(EnclaveRefusedError) as caught:
        way.run()
    assert caught.value.refusal is Refusal.KMS_FAILED


def test_only_listed_endpoints_are_connected_to(way: Way) -> None:
    with pytest.raises(EndpointNotAllowedError):
        way.run(allowed=False)
    with pytest.raises(EndpointNotAllowedError):
        way.run(endpoint=f"localhost:{way.service.port}")
    assert way.service.connections == 0
    assert way.enclave.credentials == []


def test_nobody_at_the_endpoint_is_said(way: Way) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        way.service.endpoint = f"127.0.0.1:{gone.getsockname()[1]}"
    with pytest.raises(EndpointUnreachableError, match="refused"):
        way.run()
    assert way.enclave.credentials == [], "it is not asked for anything that goes nowhere"


def trickling(connection: socket.socket) -> None:
    """A byte now and then, and each would be a step."""
    while True:
        connection.sendall(b"\x16")
        time.sleep(0.05)


@pytest.mark.parametrize("endpoint", [silent, trickling, endless])
def test_an_endpoint_holds_nobody_up(way: Way, endpoint: Callable[[socket.socket], None]) -> None:
    way.service.on_connection = endpoint
    began = time.monotonic()
    with pytest.raises(CoordinatorError):
        way.run(errand_s=1.0)
    assert time.monotonic() - began < 3


def test_more_than_its_bytes_is_not_carried_from_an_endpoint(way: Way) -> None:
    """With an enclave that takes everything, so that the bound is the coordinator's own."""
    seen: list[int] = []

    def taking(header: dict[str, Value], body: bytes) -> Answer:
        seen.append(len(body) if "step" in header else 0)
        return {"done": False}, b""

    way.launcher.behaviour.errand = taking
    way.service.on_connection = endless
    with pytest.raises(EndlessErrandError, match="the endpoint sends more"):
        way.run()
    assert max(seen) <= ERRAND_FRAME_MAX_BYTES
    assert sum(seen) <= ERRAND_MAX_BYTES


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [(ERRAND_FRAME_MAX_BYTES + 1, 0), (ERRAND_FRAME_MAX_BYTES, ERRAND_MAX_BYTES)],
)
def test_more_than_its_bytes_is_not_carried_from_an_enclave(way: Way, sizes: int, expected: int) -> None:
    received = 0

    def taking(connection: socket.socket) -> None:
        nonlocal received
        connection.sendall(b"x")
        while more := connection.recv(1 << 20):
            received += len(more)
            connection.sendall(b"x")

    way.service.on_connection = taking
    way.answering(lambda header: ({"done": False}, b"x" * sizes))
    with pytest.raises(EndlessErrandError, match="the enclave sends more"):
        way.run()
    time.sleep(0.1)
    assert received <= expected


def test_an_errand_has_so_many_steps(way: Way) -> None:
    steps: list[Value] = []

    def one_more(header: dict[str, Value]) -> Answer:
        steps.append(header.get("step"))
        return {"done": False}, b"x"

    def echoing(connection: socket.socket) -> None:
        while received := connection.recv(100):
            connection.sendall(received)

    way.service.on_connection = echoing
    way.answering(one_more)
    with pytest.raises(EndlessErrandError, match=f"not done after {ERRAND_STEPS_MAX} steps"):
        way.run()
    assert steps == [None, *range(1, ERRAND_STEPS_MAX + 1)]


@pytest.mark.parametrize("done", [None, 1, "true"])
def test_an_enclave_that_speaks_nonsense_is_left(way: Way, done: Value) -> None:
    way.answering(lambda header: ({"done": done}, b""))
    with pytest.raises(EnclaveAnswerError, match="does not say whether"):
        way.run()


def test_an_enclave_that_takes_its_time_holds_nobody_up(way: Way) -> None:
    def slow(header: dict[str, Value]) -> Answer:
        time.sleep(5)
        return {"done": True}, b""

    way.answering(slow)
    began = time.monotonic()
    with pytest.raises(CoordinatorError):
        way.run(errand_s=1.0)
    assert time.monotonic() - began < 3
