"""A real enclave image in QEMU's nitro-enclave machine, under the coordinator's own launcher.

Needs the emulator's folder and an image: CONCORDAT_EMULATOR and CONCORDAT_EIF.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from coordinator.daemon import Daemon, DaemonOptions
from coordinator.enclave_link import EnclaveLink
from coordinator.enclaves import status_of
from coordinator.errors import EnclaveRefusedError
from coordinator.launchers.processes import processes_with_argument
from coordinator.launchers.qemu import QemuLauncher, QemuOptions, connect_through
from coordinator.server import Transport
from protos.formats.calls import Op, Refusal
from protos.formats.limits import MIB
from protos.v1 import concordat_pb2 as messages
from protos.v1.concordat_pb2_grpc import CoordinatorStub
from tests.unit.coordinator import calls

pytestmark = [pytest.mark.qemu, pytest.mark.timeout(1200)]

BOOT_S = 300.0
DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def options() -> QemuOptions:
    missing = [name for name in ("CONCORDAT_EMULATOR", "CONCORDAT_EIF") if not os.environ.get(name)]
    assert not missing, f"{', '.join(missing)} not set: run `make test-qemu`"
    return QemuOptions(
        emulator=Path(os.environ["CONCORDAT_EMULATOR"]),
        image=Path(os.environ["CONCORDAT_EIF"]),
        memory_mib=1024,
        vcpus=2,
    )


@pytest.fixture
def launcher(options: QemuOptions) -> QemuLauncher:
    return QemuLauncher(options)


@pytest.fixture
def console(tmp_path: Path) -> Path:
    return tmp_path / "console"


@pytest.fixture
def address(launcher: QemuLauncher, console: Path) -> Iterator[str]:
    """Of an enclave that takes connections."""
    address = launcher.new_address()
    launcher.launch(address, console=console)
    try:
        calls.eventually(lambda: has_come_up(launcher, address), within_s=BOOT_S)
        yield address
    finally:
        launcher.end(address)


def has_come_up(launcher: QemuLauncher, address: str) -> bool:
    assert launcher.is_alive(address), "it ended; its console is in the test's folder"
    return calls.takes_connections(launcher, address)


def phase(launcher: QemuLauncher, address: str) -> str:
    link = EnclaveLink(launcher.connect(address, timeout_s=10))
    try:
        return status_of(link, deadline_s=DEADLINE_S).phase
    finally:
        link.close()


def children(address: str) -> list[int]:
    """The emulator's two programs."""
    return calls.processes_in(Path(address).parent)


def test_an_enclave_boots_answers_is_found_again_and_ends(
    launcher: QemuLauncher, options: QemuOptions, address: str, console: Path
) -> None:
    assert phase(launcher, address) == "empty"
    again = QemuLauncher(options)
    assert again.is_alive(address)
    assert phase(again, address) == "empty"
    assert b"has booted" in console.read_bytes()
    again.end(address)
    calls.eventually(lambda: not launcher.is_alive(address))
    assert children(address) == []
    assert not Path(address).parent.exists()


def test_large_frames_go_both_ways_and_many_connections_are_open_at_once(
    launcher: QemuLauncher, address: str
) -> None:
    links = [EnclaveLink(launcher.connect(address, timeout_s=10)) for _ in range(8)]
    try:
        for link in links:
            assert status_of(link, deadline_s=DEADLINE_S).phase == "empty"
        with pytest.raises(EnclaveRefusedError) as refused:
            links[0].call(Op.BIND, deadline_s=DEADLINE_S, body=bytes(4 * MIB))
        assert refused.value.refusal is Refusal.OVER_LIMIT, "it was read to its end"
    finally:
        for link in links:
            link.close()
    assert phase(launcher, address) == "empty"


def test_a_port_where_nothing_listens_is_refused(launcher: QemuLauncher, address: str) -> None:
    with pytest.raises(OSError):
        connect_through(address, port=4999, timeout_s=10)
    assert phase(launcher, address) == "empty"


@pytest.mark.parametrize("victim", ["qemu-system-x86_64", "vhost-device-vsock"])
def test_when_one_half_is_killed_nobody_is_left(launcher: QemuLauncher, address: str, victim: str) -> None:
    (pid,) = [
        pid for pid in children(address) if victim.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    os.kill(pid, signal.SIGKILL)
    calls.eventually(lambda: not launcher.is_alive(address))
    assert children(address) == []


def test_an_enclave_that_closes_ends_its_machine(launcher: QemuLauncher, address: str) -> None:
    link = EnclaveLink(launcher.connect(address, timeout_s=10))
    link.call(Op.CLOSE, deadline_s=DEADLINE_S)
    link.close()
    calls.eventually(lambda: not launcher.is_alive(address), within_s=BOOT_S)
    assert children(address) == []


def test_when_the_machine_is_killed_nobody_is_left(launcher: QemuLauncher, address: str) -> None:
    (machine,) = processes_with_argument(address)
    os.kill(machine, signal.SIGKILL)
    calls.eventually(lambda: not launcher.is_alive(address) and children(address) == [])


class RememberingLauncher(QemuLauncher):
    """Knows afterwards which addresses it gave."""

    def new_address(self) -> str:
        self.given = super().new_address()
        return self.given


def test_a_coordinator_launches_binds_survives_and_ends_it(options: QemuOptions, tmp_path: Path) -> None:
    """The agreement is none, so the enclave refuses it: that is its own word, from inside."""
    launcher = RememberingLauncher(options)
    state = DaemonOptions(tmp_path / "state", Transport.plaintext(("127.0.0.1:0",)))
    daemon = Daemon(state, launcher)
    (address,) = daemon.start()
    with grpc.insecure_channel(address) as channel:
        stub = CoordinatorStub(channel)  # type: ignore[no-untyped-call]
        digest = calls.put_agreement(stub)
        request = messages.StartJobRequest(request_id="start", agreement_digest=digest)
        job_id = stub.StartJob(request).job_id
    daemon.stop(keep_enclaves=True)  # while it boots

    daemon = Daemon(state, QemuLauncher(options))
    (address,) = daemon.start()
    with grpc.insecure_channel(address) as channel:
        stub = CoordinatorStub(channel)  # type: ignore[no-untyped-call]
        get = messages.GetJobRequest(job_id=job_id)
        job = calls.eventually(
            lambda: (job := stub.GetJob(get)).state in calls.SETTLED and job, within_s=BOOT_S
        )
        assert (job.detail, job.launcher) == ("the enclave refused: malformed", "qemu (UNSIGNED EMULATOR)")
    daemon.stop(keep_enclaves=False)
    assert not launcher.is_alive(launcher.given)
    assert children(launcher.given) == []
