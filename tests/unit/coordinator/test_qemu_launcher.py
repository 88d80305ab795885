from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.enclave_link import EnclaveLink
from coordinator.enclaves import status_of
from coordinator.errors import CannotServeError, LaunchError
from coordinator.launchers.emulated_machine import new_module_id
from coordinator.launchers.processes import processes_with_argument
from coordinator.launchers.qemu import QemuLauncher, QemuOptions, require_connected_untrusted
from protos.formats.calls import Op
from tests.unit.coordinator.calls import eventually, processes_in
from tests.unit.coordinator.emulator_stand_in import ANSWERS, emulator_folder, image_file


@pytest.fixture
def options(tmp_path: Path) -> QemuOptions:
    return QemuOptions(
        emulator_folder(tmp_path / "emulator"),
        image_file(tmp_path / "enclave.eif", architecture="x86_64"),
        memory_mib=512,
        vcpus=1,
    )


@pytest.fixture
def launcher(options: QemuOptions) -> QemuLauncher:
    return QemuLauncher(options)


@pytest.fixture
def console(tmp_path: Path) -> Path:
    return tmp_path / "console"


@pytest.fixture
def address(launcher: QemuLauncher) -> Iterator[str]:
    address = launcher.new_address()
    yield address
    launcher.end(address)
    assert not Path(address).parent.exists()


def has_booted(address: str) -> bool:
    return Path(address).with_name("booted").exists()


def pids_in(address: str) -> list[int]:
    """The emulator's two programs."""
    return processes_in(Path(address).parent)


def launched(launcher: QemuLauncher, address: str, console: Path) -> None:
    launcher.launch(address, console=console)
    eventually(lambda: has_booted(address))


def test_an_image_is_booted_reached_and_switched_off(
    launcher: QemuLauncher, address: str, console: Path
) -> None:
    launched(launcher, address, console)
    assert launcher.is_alive(address)
    link = EnclaveLink(launcher.connect(address, timeout_s=5))
    assert status_of(link, deadline_s=5).phase == "empty"
    link.close()
    assert len(pids_in(address)) == 2
    launcher.end(address)
    assert not launcher.is_alive(address)
    assert pids_in(address) == []
    assert b"console: the last line" in console.read_bytes()


def test_another_launcher_finds_it_again(
    launcher: QemuLauncher, options: QemuOptions, address: str, console: Path
) -> None:
    launched(launcher, address, console)
    again = QemuLauncher(options)
    assert again.is_alive(address)
    again.connect(address, timeout_s=5).close()
    again.end(address)
    assert not again.is_alive(address)
    assert pids_in(address) == []


def test_nobody_connects_before_the_heartbeat(
    launcher: QemuLauncher, address: str, console: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_QEMU", "never boots")
    launcher.launch(address, console=console)
    eventually(lambda: b"console: the last line" in console.read_bytes())
    assert launcher.is_alive(address)
    with pytest.raises(ConnectionRefusedError):
        launcher.connect(address, timeout_s=1)


def test_a_wrong_heartbeat_is_none(
    launcher: QemuLauncher, address: str, console: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_QEMU", "garbage heartbeat")
    launched(launcher, address, console)
    assert launcher.is_alive(address)


def test_an_enclave_that_boots_again_has_ended(
    launcher: QemuLauncher, address: str, console: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another life would have other keys, at the same address."""
    monkeypatch.setenv("TEST_QEMU", "boots again")
    launched(launcher, address, console)
    eventually(lambda: not launcher.is_alive(address))
    assert pids_in(address) == []
    assert b"it starts again, so the enclave has ended" in console.read_bytes()


def test_a_flooded_console_is_bounded(
    launcher: QemuLauncher, address: str, console: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_QEMU", "flood")
    launched(launcher, address, console)
    eventually(lambda: console.read_bytes().rstrip().endswith(b"the last line"))
    kept = console.read_bytes()
    assert len(kept) < 330 * 1024
    assert kept.startswith(b"console: the first line")
    assert b"bytes of the console dropped]" in kept


@pytest.mark.parametrize("victim", ["qemu-system-x86_64", "vhost-device-vsock"])
def test_when_one_half_is_killed_all_of_it_ends(
    launcher: QemuLauncher, address: str, console: Path, victim: str
) -> None:
    launched(launcher, address, console)
    role = {"qemu-system-x86_64": b"qemu", "vhost-device-vsock": b"vsock"}[victim]
    (pid,) = [
        pid for pid in pids_in(address) if role in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    ]
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not launcher.is_alive(address))
    assert pids_in(address) == []
    assert [path.name for path in Path(address).parent.iterdir()] == ["machine.pid"]
    assert ("(QEMU was killed by signal 9)" in console.read_text()) == (role == b"qemu")


def test_when_the_machine_is_killed_nobody_is_left(
    launcher: QemuLauncher, address: str, console: Path
) -> None:
    launched(launcher, address, console)
    (machine,) = processes_with_argument(address)
    os.kill(machine, signal.SIGKILL)
    eventually(lambda: not launcher.is_alive(address) and pids_in(address) == [])
    launcher.end(address)
    assert not Path(address).parent.exists()


@pytest.mark.parametrize("variable", ["TEST_QEMU", "TEST_VSOCK"])
def test_an_emulator_that_fails_is_said_so_in_the_console(
    launcher: QemuLauncher, address: str, console: Path, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "fail")
    launcher.launch(address, console=console)
    eventually(lambda: not launcher.is_alive(address))
    said = console.read_text()
    assert "\nerror: the emulated" in said
    assert variable.removeprefix("TEST_").lower() + ": no" in said


def test_an_enclave_that_ends_ends_its_machine(launcher: QemuLauncher, address: str, console: Path) -> None:
    launched(launcher, address, console)
    with launcher.connect(address, timeout_s=5) as peer:
        EnclaveLink(peer).call(Op.CLOSE, deadline_s=5)
    eventually(lambda: not launcher.is_alive(address))
    assert pids_in(address) == []


@pytest.mark.parametrize("does", [*ANSWERS, "silent", "trickle"])
def test_an_answer_that_is_none_is_an_os_error(
    launcher: QemuLauncher, address: str, console: Path, does: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_VSOCK", does)
    launched(launcher, address, console)
    started = time.monotonic()
    with pytest.raises(OSError):
        launcher.connect(address, timeout_s=0.5)
    assert time.monotonic() - started < 5


@given(st.binary(max_size=64))
def test_whatever_is_answered_connects_or_is_an_os_error(answer: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(answer)
        theirs.shutdown(socket.SHUT_WR)
        try:
            require_connected_untrusted(ours, until=time.monotonic() + 5)
        except OSError:
            return
        line, _, rest = answer.partition(b"\n")
        assert line.startswith(b"OK ")
        assert line[3:].isdigit()
        assert ours.recv(64, socket.MSG_WAITALL) == rest


def test_nothing_is_read_behind_the_line() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        threading.Thread(target=theirs.sendall, args=(b"OK 7\nframe",)).start()
        require_connected_untrusted(ours, until=time.monotonic() + 5)
        assert ours.recv(5, socket.MSG_WAITALL) == b"frame"


def test_an_emulator_or_image_that_is_not_there_is_refused_at_once(
    options: QemuOptions, tmp_path: Path
) -> None:
    image_file(tmp_path / "text").write_text("not an image")
    for emulator, image, named in (
        (tmp_path, options.image, "qemu-system-x86_64"),
        (options.emulator, tmp_path / "missing", "missing"),
        (options.emulator, tmp_path / "text", "not an enclave image"),
        (options.emulator, image_file(tmp_path / "arm", architecture="aarch64"), "expected one for x86_64"),
    ):
        with pytest.raises(CannotServeError, match=named) as refused:
            QemuLauncher(QemuOptions(emulator, image, memory_mib=512, vcpus=1))
        assert refused.value.hint


def test_a_folder_too_deep_for_a_socket_is_refused(
    launcher: QemuLauncher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("d" * 90)))
    with pytest.raises(LaunchError, match="at most 107 bytes"):
        launcher.new_address()


def test_module_ids_look_like_those_of_aws() -> None:
    assert {len(new_module_id()) for _ in range(10)} == {len("i-") + 17 + len("-enc") + 16}
