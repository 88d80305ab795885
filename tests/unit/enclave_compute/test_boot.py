"""Process 1 of the image, step by step: what it asks the kernel for, and that it stops where a promise fails.

The steps as a whole run in the emulator (`tests/emulator`); here each is held against a stand-in for the
kernel's part, which cannot be changed from inside a test.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from enclave_compute.boot import clock_source, entropy, heartbeat, init, mounts
from enclave_compute.boot.command_line import COMMAND_LINE, require_built_command_line
from enclave_compute.boot.errors import BootError
from enclave_compute.boot.kernel import MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_REMOUNT
from enclave_compute.boot.privileges import PROCESSES_MAX
from enclave_compute.nsm import Nsm
from enclave_compute.server import CONNECTIONS_MAX
from protos.formats.limits import THREADS_MAX


class SwitchedOffError(Exception):
    """In place of the machine's end."""


# --- the clock --------------------------------------------------------------------------------------------


def clock_folder(folder: Path, current: str, available: str) -> Path:
    (folder / "current_clocksource").write_text(f"{current}\n")
    (folder / "available_clocksource").write_text(f"{available} \n")
    return folder


def test_the_hypervisors_clock_is_in_use(tmp_path: Path) -> None:
    folder = clock_folder(tmp_path, "kvm-clock", "kvm-clock tsc acpi_pm")
    assert clock_source.require_trusted_clock(folder=folder) == "kvm-clock"


def test_another_clock_than_the_hypervisors_ends_the_boot(tmp_path: Path) -> None:
    folder = clock_folder(tmp_path, "tsc", "tsc kvm-clock")
    with pytest.raises(BootError, match="got tsc, expected kvm-clock"):
        clock_source.require_trusted_clock(folder=folder)


def test_where_there_is_no_hypervisors_clock_its_name_is_told(tmp_path: Path) -> None:
    assert clock_source.require_trusted_clock(folder=clock_folder(tmp_path, "tsc", "tsc")) == "tsc"


# --- the command line -------------------------------------------------------------------------------------

DEVICES = "virtio_mmio.device=4K@0xd0000000:5 virtio_mmio.device=4K@0xd0000200:6"


@pytest.mark.parametrize("behind", ["\n", f" {DEVICES}\n"])
def test_the_command_line_is_the_one_that_was_built(tmp_path: Path, behind: str) -> None:
    (tmp_path / "cmdline").write_text(COMMAND_LINE + behind)
    require_built_command_line(file=tmp_path / "cmdline")


@pytest.mark.parametrize(
    "line",
    [
        COMMAND_LINE.partition(" ")[2],
        f"{COMMAND_LINE.partition(' ')[2]} {DEVICES}",
        "",
        f"rdinit=/bin/sh {COMMAND_LINE}",
        f" {COMMAND_LINE}x",
        COMMAND_LINE.replace("panic=-1", "panic=0"),
        COMMAND_LINE.replace(" ", "  ", 1),
        f"{COMMAND_LINE}init=/x",
    ],
)
def test_attack_words_of_the_command_line_moved_into_the_kernel(tmp_path: Path, line: str) -> None:
    (tmp_path / "cmdline").write_text(f"{line}\n")
    with pytest.raises(BootError, match="another command line"):
        require_built_command_line(file=tmp_path / "cmdline")


# --- entropy ----------------------------------------------------------------------------------------------


class Module:
    """Answers GetRandom with counted bytes, 100 at a time."""

    def __init__(self) -> None:
        self.given = b""

    def exchange(self, request: bytes) -> bytes:
        assert request == b"\x69GetRandom"
        part = bytes((len(self.given) + n) % 256 for n in range(100))
        self.given += part
        return b"\xa1\x69GetRandom\xa1\x66random\x58\x64" + part


def test_the_kernels_pool_is_fed_by_the_security_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fed: list[tuple[int, bytes]] = []
    monkeypatch.setattr(fcntl, "ioctl", lambda _file, number, data: fed.append((number, data)))
    module, device = Module(), tmp_path / "random"
    device.touch()
    entropy.seed_kernel(Nsm(module), device=device)
    ((number, data),) = fed
    bits, length = struct.unpack_from("ii", data)
    assert number == 0x40085203
    assert (bits, length) == (2048, 256)
    assert data[8:] == module.given[:256]


def test_the_security_module_is_the_kernels_source(tmp_path: Path) -> None:
    (tmp_path / "rng_current").write_text("nsm-hwrng\n")
    entropy.require_module_as_source(file=tmp_path / "rng_current")


@pytest.mark.parametrize("source", ["none", "", "virtio_rng.0", "nsm-hwrng nsm-hwrng"])
def test_another_source_of_randomness_ends_the_boot(tmp_path: Path, source: str) -> None:
    (tmp_path / "rng_current").write_text(f"{source}\n")
    with pytest.raises(BootError, match="expected nsm-hwrng"):
        entropy.require_module_as_source(file=tmp_path / "rng_current")


# --- the heartbeat ----------------------------------------------------------------------------------------


def launcher(answer: bytes) -> tuple[heartbeat.Connect, list[bytes]]:
    """Connections to somebody who reads one byte and answers."""
    heard: list[bytes] = []

    def connect(cid: int) -> socket.socket:
        if cid != 2:
            raise ConnectionResetError
        inside, outside = socket.socketpair()
        inside.settimeout(5)

        def serve() -> None:
            with outside:
                heard.append(outside.recv(2))
                outside.sendall(answer)

        threading.Thread(target=serve).start()
        return inside

    return connect, heard


def test_the_heartbeat_is_taken_by_the_first_that_answers() -> None:
    connect, heard = launcher(b"\xb7")
    assert heartbeat.send_heartbeat((3, 2), connect=connect) == 2
    assert heard == [b"\xb7"]


@pytest.mark.parametrize("answer", [b"", b"\x00", b"X" * 1000])
def test_another_answer_or_none_is_nobodys(answer: bytes) -> None:
    assert heartbeat.send_heartbeat((3, 2), connect=launcher(answer)[0]) is None


# --- file systems, order and end ----------------------------------------------------------------------------


def test_every_file_system_ends_read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    state: dict[str, int] = {"/": 0}
    monkeypatch.setattr(mounts, "mount", lambda _source, target, _kind, flags: state.update({target: flags}))
    mounts.mount_windows()
    mounts.make_read_only()
    assert set(state) == {"/", "/dev", "/proc", "/sys"}
    assert all(flags & MS_RDONLY and flags & MS_NOSUID for flags in state.values())
    assert all(state[target] & MS_NOEXEC for target in ("/dev", "/proc", "/sys"))
    assert state["/"] & MS_REMOUNT


def test_devices_that_nobody_uses_are_removed(tmp_path: Path) -> None:
    for name in ("console", "kmsg", "mem", "nsm", "null", "ptp0", "random", "urandom"):
        (tmp_path / name).touch()
    (tmp_path / "input").mkdir()
    (tmp_path / "input/event0").touch()
    (tmp_path / "stdin").symlink_to("/proc/self/fd/0")
    mounts.remove_devices(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"console", "nsm", "null", "random", "urandom"}


def test_the_steps_are_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    class Device:
        def close(self) -> None:
            done.append("close")

    def step(name: str, answer: Any = None) -> Callable[..., Any]:
        def take(*_: Any, **__: Any) -> Any:
            done.append(name)
            return answer

        return take

    for name, answer in (
        ("mount_windows", None),
        ("require_built_command_line", None),
        ("send_heartbeat", 3),
        ("open_device", Device()),
        ("seed_kernel", None),
        ("require_module_as_source", None),
        ("require_trusted_clock", "kvm-clock"),
        ("remove_devices", None),
        ("make_read_only", None),
    ):
        monkeypatch.setattr(init, name, step(name, answer))
    init.prepare()
    assert done == [
        *("mount_windows", "require_built_command_line", "send_heartbeat", "open_device", "seed_kernel"),
        *("close", "require_module_as_source", "require_trusted_clock", "remove_devices", "make_read_only"),
    ]


@pytest.mark.parametrize("error", [BootError("clock"), OSError("mount"), KeyboardInterrupt(), SystemExit(0)])
def test_whatever_fails_on_the_way_switches_the_machine_off(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> NoReturn:
        raise error

    def switch_off() -> NoReturn:
        raise SwitchedOffError

    monkeypatch.setattr(init, "prepare", fail)
    monkeypatch.setattr(init, "switch_off", switch_off)
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("the enclave was started"))
    with pytest.raises(SwitchedOffError):
        init.main()
    assert "switched off before the enclave has started" in capsys.readouterr().err


def test_there_is_room_for_all_threads_that_an_agreement_may_allow() -> None:
    """Where the kernel refuses a thread, the enclave ends, and the data that it was sent is gone."""
    main_thread = 1
    assert main_thread + CONNECTIONS_MAX + THREADS_MAX <= PROCESSES_MAX
