from __future__ import annotations

import os
import platform
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from coordinator.enclave_link import EnclaveLink
from coordinator.enclaves import status_of
from coordinator.errors import CannotServeError, LaunchError, NitroCliError, StateError
from coordinator.launchers import nitro, nitro_cli
from coordinator.launchers.nitro import NitroLauncher, NitroOptions, dial_vsock
from coordinator.launchers.nitro_address import NitroAddress
from coordinator.launchers.nitro_host import NitroHost
from coordinator.launchers.processes import processes_with_argument
from tests.unit.coordinator.calls import eventually
from tests.unit.coordinator.emulator_stand_in import image_file
from tests.unit.coordinator.nitro_cli_stand_in import dial_in, stand_in
from tests.unit.coordinator.nitro_instance import Instance


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    instance = Instance(tmp_path / "instance")
    instance.reserve(memory_mib=3072)
    return instance


@pytest.fixture
def options(tmp_path: Path, instance: Instance) -> NitroOptions:
    return NitroOptions(
        image=image_file(tmp_path / "enclave.eif"),
        memory_mib=512,
        vcpus=2,
        nitro_cli=stand_in(tmp_path / "cli"),
        host=NitroHost(instance.root),
        dial=partial(dial_in, tmp_path / "cli"),
    )


@pytest.fixture
def launcher(options: NitroOptions) -> NitroLauncher:
    return NitroLauncher(options)


@pytest.fixture
def console(tmp_path: Path) -> Path:
    return tmp_path / "console"


@pytest.fixture
def address(launcher: NitroLauncher) -> Iterator[str]:
    address = launcher.new_address()
    yield address
    for variable in ("TEST_NITRO", "TEST_NITRO_TERMINATE"):
        os.environ.pop(variable, None)
    launcher.end(address)
    assert processes_with_argument(NitroAddress.parse(address).name) == []


def launched(launcher: NitroLauncher, address: str, console: Path) -> None:
    launcher.launch(address, console=console)
    eventually(lambda: "runs at CID" in console.read_text())


def test_an_enclave_is_started_reached_and_terminated(
    launcher: NitroLauncher, address: str, console: Path
) -> None:
    launched(launcher, address, console)
    assert launcher.is_alive(address)
    link = EnclaveLink(launcher.connect(address, timeout_s=5))
    assert status_of(link, deadline_s=5).phase == "empty"
    link.close()
    launcher.end(address)
    assert not launcher.is_alive(address)
    with pytest.raises(OSError):
        launcher.connect(address, timeout_s=1)


def test_a_start_that_takes_its_time_is_alive(
    launcher: NitroLauncher, address: str, console: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_NITRO", "slow")
    launcher.launch(address, console=console)
    assert launcher.is_alive(address)
    eventually(lambda: "runs at CID" in console.read_text())
    assert launcher.is_alive(address)


def test_an_enclave_that_has_just_started_is_alive_whatever_was_listed_before(
    launcher: NitroLauncher, address: str, console: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not listening yet: a job that took it for gone would fail."""
    monkeypatch.setattr(nitro, "_DESCRIBED_FOR_S", 3600.0)
    assert not launcher.is_alive(launcher.new_address())
    launched(launcher, address, console)
    eventually(lambda: processes_with_argument(address) == [])
    assert launcher.is_alive(address)


def test_another_launcher_finds_it_again(
    launcher: NitroLauncher, options: NitroOptions, address: str, console: Path
) -> None:
    launched(launcher, address, console)
    again = NitroLauncher(options)
    assert again.is_alive(address)
    again.connect(address, timeout_s=5).close()
    again.end(address)
    assert not again.is_alive(address)


def test_an_enclave_that_ended_is_gone(launcher: NitroLauncher, address: str, console: Path) -> None:
    launched(launcher, address, console)
    (keeper,) = processes_with_argument(NitroAddress.parse(address).name)
    os.kill(keeper, signal.SIGKILL)
    eventually(lambda: not launcher.is_alive(address))


def test_a_nitro_cli_that_fails_does_not_make_an_enclave_gone(
    launcher: NitroLauncher, address: str, console: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched(launcher, address, console)
    eventually(lambda: processes_with_argument(address) == [])
    monkeypatch.setenv("TEST_NITRO_DESCRIBE", "E41")
    assert launcher.is_alive(address)


def test_an_enclave_that_nitro_cli_does_not_terminate_is_ended(
    launcher: NitroLauncher, address: str, console: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched(launcher, address, console)
    monkeypatch.setenv("TEST_NITRO_TERMINATE", "E41")
    launcher.end(address)
    assert not launcher.is_alive(address)


def test_a_start_that_hangs_is_ended_with_its_job(
    launcher: NitroLauncher, address: str, console: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_NITRO", "hangs")
    launcher.launch(address, console=console)
    eventually(lambda: processes_with_argument(NitroAddress.parse(address).name))
    launcher.end(address)
    assert not launcher.is_alive(address)


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("E22", "fewer CPUs are reserved than the enclave is to have (E22)\nhint: raise cpu_count"),
        ("E27", "less memory is reserved than the enclave is to have (E27)\nhint: raise memory_mib"),
        ("E36", "the enclave did not say in time that it has booted (E36)\nhint: see whether"),
        ("E41", "nitro-cli run-enclave: E41\nhint: see /var/log/nitro_enclaves"),
        ("E39 after E27", "(E27)"),
        ("garbage", "the answer is malformed, expected JSON"),
        ("huge", "printed more than 262144 bytes, it was ended"),
        ("other cid", "expected concordat-"),
    ],
)
def test_a_start_that_fails_is_said_so_in_the_console(
    launcher: NitroLauncher, address: str, console: Path, does: str, said: str
) -> None:
    os.environ["TEST_NITRO"] = does
    launcher.launch(address, console=console)
    eventually(lambda: "hint: " in console.read_text())
    text = console.read_text()
    assert text.startswith("error: nitro-cli run-enclave: ")
    assert said in text
    assert "/a/path" not in text
    if does != "other cid":
        eventually(lambda: not launcher.is_alive(address))


def test_a_call_that_does_not_end_is_ended(options: NitroOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nitro_cli, "RUN_DEADLINE_S", 0.5)
    monkeypatch.setenv("TEST_NITRO", "hangs")
    where = NitroAddress.new()
    spec = nitro_cli.EnclaveSpec(where.name, where.cid, options.image, memory_mib=512, vcpus=2)
    with pytest.raises(NitroCliError, match="does not end"):
        nitro_cli.NitroCli(options.nitro_cli).run(spec)
    assert processes_with_argument(where.name) == []


def test_starts_wait_for_each_other(
    launcher: NitroLauncher, address: str, console: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_NITRO", "slow")
    second = launcher.new_address()
    launcher.launch(address, console=console)
    eventually(lambda: processes_with_argument(NitroAddress.parse(address).name))
    launcher.launch(second, console=console.with_name("second"))
    try:
        assert processes_with_argument(NitroAddress.parse(second).name) == []
        eventually(lambda: "runs at CID" in console.with_name("second").read_text())
        assert "runs at CID" in console.read_text()
    finally:
        launcher.end(second)


def test_there_is_no_room_for_a_fifth(launcher: NitroLauncher, instance: Instance, console: Path) -> None:
    instance.reserve(memory_mib=8192, cpu_pool="2-19")
    addresses = [launcher.new_address() for _ in range(4)]
    try:
        for number, address in enumerate(addresses):
            launched(launcher, address, console.with_name(str(number)))
        with pytest.raises(LaunchError, match="at most 3 besides"):
            launcher.launch(launcher.new_address(), console=console)
    finally:
        for address in addresses:
            launcher.end(address)


def test_cpus_and_memory_that_enclaves_have_are_not_free(
    launcher: NitroLauncher, instance: Instance, address: str, console: Path
) -> None:
    launched(launcher, address, console)
    instance.reserve(memory_mib=3072, cpu_pool="2,3")
    with pytest.raises(LaunchError, match="got 0 reserved CPUs that no enclave has, expected 2"):
        launcher.launch(launcher.new_address(), console=console)
    instance.reserve(memory_mib=3072, free_mib=510)
    with pytest.raises(LaunchError, match="got 510 MiB of free hugepages, expected 512"):
        launcher.launch(launcher.new_address(), console=console)


def test_a_nitro_cli_that_fails_is_a_launch_that_fails(
    launcher: NitroLauncher, console: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_NITRO_DESCRIBE", "E41")
    with pytest.raises(LaunchError, match="describe-enclaves: E41"):
        launcher.launch(launcher.new_address(), console=console)


def test_debug_mode_says_unsafe_and_keeps_a_bounded_console(options: NitroOptions, console: Path) -> None:
    launcher = NitroLauncher(replace(options, unsafe_debug_mode=True))
    assert launcher.name == "nitro (UNSAFE DEBUG MODE)"
    address = launcher.new_address()
    try:
        launched(launcher, address, console)
        eventually(lambda: console.read_text().rstrip().endswith("console: line 99999"))
        assert "UNSAFE: debug mode" in console.read_text()
        assert len(console.read_bytes()) < 330 * 1024
    finally:
        launcher.end(address)
    assert not launcher.is_alive(address)


def test_without_debug_mode_no_console_is_read(launcher: NitroLauncher, address: str, console: Path) -> None:
    assert launcher.name == "nitro"
    launched(launcher, address, console)
    eventually(lambda: processes_with_argument(address) == [])
    assert "console: line" not in console.read_text()


def test_an_image_for_other_processors_is_refused(options: NitroOptions, tmp_path: Path) -> None:
    other = {"x86_64": "aarch64", "aarch64": "x86_64"}[platform.machine()]
    image = image_file(tmp_path / "other.eif", architecture=other)
    with pytest.raises(CannotServeError, match=f"got an image for {other}"):
        NitroLauncher(replace(options, image=image))


def test_an_enclave_that_is_not_there_is_an_os_error_in_time() -> None:
    """No enclave has this CID, whatever machine this is."""
    begun = time.monotonic()
    with pytest.raises(OSError):
        dial_vsock(NitroAddress.new().cid, timeout_s=1)
    assert time.monotonic() - begun < 10


def test_addresses_are_new_and_read_back(launcher: NitroLauncher) -> None:
    addresses = {launcher.new_address() for _ in range(20)}
    assert len(addresses) == 20
    for text in addresses:
        assert str(NitroAddress.parse(text)) == text
        assert 2**16 <= NitroAddress.parse(text).cid < 2**31


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/run/concordat/enclave.sock",
        "vsock:3:concordat-0123456789abcdef",
        "vsock:4294967295:concordat-0123456789abcdef",
        "vsock:70000:--all",
        "vsock:70000:concordat-0123456789abcdef\n",
    ],
)
def test_an_address_of_something_else_is_refused(text: str) -> None:
    with pytest.raises(StateError):
        NitroAddress.parse(text)
