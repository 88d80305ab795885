"""What there is in a running enclave, told from inside by the enclave's own process."""

from __future__ import annotations

from typing import Any

import pytest

from enclave_compute.boot.init import COMMAND
from enclave_compute.boot.mounts import DEVICES
from tests.emulator import probe
from tests.emulator.machines import Booted

pytestmark = [pytest.mark.qemu, pytest.mark.timeout(600)]

NOTHING = "0000000000000000"


@pytest.fixture(scope="module")
def seen(probed: Booted) -> dict[str, Any]:
    return probed.first_report


def test_two_processes_run_and_no_other(seen: dict[str, Any]) -> None:
    init, enclave = sorted(seen["processes"], key=lambda process: process["pid"])
    assert (init["pid"], init["user"]) == (1, 0)
    assert init["words"] == ["/usr/bin/python3", "-ISB", "/init"]
    assert init["threads"] == 1
    assert enclave["words"] == list(COMMAND)
    assert enclave["user"] == 1000


def test_there_is_no_shell_and_no_program_but_the_interpreter(seen: dict[str, Any]) -> None:
    assert seen["programs"] == [
        "/init",
        "/usr/bin/python3",
        "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
    ]
    assert seen["set_id"] == []


def test_modules_that_start_programs_or_load_code_are_not_there(seen: dict[str, Any]) -> None:
    assert seen["modules_found"] == []


def test_nothing_can_be_written(seen: dict[str, Any]) -> None:
    assert seen["writable"] == []
    assert {target for _, target, _, _ in seen["mounts"]} == {"/", "/dev", "/proc", "/sys"}
    for _source, _target, kind, options in seen["mounts"]:
        assert kind in {"rootfs", "devtmpfs", "proc", "sysfs", "tmpfs", "ramfs"}  # memory, all of them
        assert "ro" in options.split(",")


def test_it_sees_the_devices_that_it_uses(seen: dict[str, Any]) -> None:
    assert set(seen["devices"]) == DEVICES


def test_there_is_no_network_but_loopback(seen: dict[str, Any]) -> None:
    assert set(seen["interfaces"]) <= {"lo"}
    assert seen["attempts"]["raw packets"] != "allowed"


def test_its_sockets_are_those_of_one_vsock_port(seen: dict[str, Any]) -> None:
    listening = {tuple(found["name"]) for found in seen["sockets"] if found["listens"]}
    assert {port for _, port in listening} == {5000, probe.PORT, probe.FLOOD_PORT}
    assert {found["family"] for found in seen["sockets"]} == {"AF_VSOCK"}


def test_it_has_no_right_and_gets_none(seen: dict[str, Any]) -> None:
    status = seen["status"]
    assert all(value == NOTHING for name, value in status.items() if name.startswith("Cap"))
    assert status["Uid"].split() == status["Gid"].split() == ["1000"] * 4
    assert status["Groups"] == ""
    assert status["NoNewPrivs"] == "1"
    assert [name for name, outcome in seen["attempts"].items() if outcome == "allowed"] == []
    assert seen["limits"] == {"core": [0, 0], "fsize": [0, 0]}


def test_it_knows_nothing_of_where_it_was_started(seen: dict[str, Any]) -> None:
    assert set(seen["environment"]) <= {"LC_CTYPE"}  # which Python sets for itself


def test_the_kernels_randomness_is_the_security_modules(seen: dict[str, Any]) -> None:
    assert seen["random"] == "nsm-hwrng"
