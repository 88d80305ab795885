from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.errors import LaunchError
from coordinator.launchers.local import LocalLauncher, simulated_machine
from tests.unit.coordinator.calls import eventually, takes_connections
from tests.unit.coordinator.coordinator_process import FAKE_ENCLAVE

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('ready', flush=True)
time.sleep(60)
"""


@pytest.fixture
def launcher() -> LocalLauncher:
    return LocalLauncher(FAKE_ENCLAVE)


@pytest.fixture
def address(launcher: LocalLauncher, tmp_path: Path) -> Iterator[str]:
    address = launcher.new_address()
    launcher.launch(address, console=tmp_path / "console")
    eventually(lambda: takes_connections(launcher, address))
    yield address
    launcher.end(address)


def test_a_machine_is_started_reached_and_ended(launcher: LocalLauncher, address: str) -> None:
    assert launcher.is_alive(address)
    launcher.connect(address, timeout_s=1).close()
    launcher.end(address)
    assert not launcher.is_alive(address)
    assert not Path(address).parent.exists()


def test_another_launcher_finds_it_again(address: str) -> None:
    again = LocalLauncher(FAKE_ENCLAVE)
    assert again.is_alive(address)
    again.end(address)
    assert not again.is_alive(address)


def test_another_launcher_finds_it_even_if_the_process_id_was_not_noted(address: str) -> None:
    Path(address).with_name("machine.pid").unlink()
    again = LocalLauncher(FAKE_ENCLAVE)
    assert again.is_alive(address)
    again.end(address)
    assert not again.is_alive(address)
    assert not Path(address).parent.exists()


def test_nothing_is_made_before_the_launch(launcher: LocalLauncher) -> None:
    assert not Path(launcher.new_address()).parent.exists()


def test_its_folder_is_private(address: str) -> None:
    assert Path(address).parent.stat().st_mode & 0o777 == 0o700


def test_a_process_id_that_belongs_to_another_program_is_left_alone(
    launcher: LocalLauncher, tmp_path: Path
) -> None:
    address = launcher.new_address()
    Path(address).parent.mkdir()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        Path(address).with_name("machine.pid").write_text(str(other.pid))
        assert not launcher.is_alive(address)
        launcher.end(address)
        assert other.poll() is None
        other.communicate(b"\n")


@pytest.mark.parametrize("content", ["", "not a number", "999999999"])
def test_a_broken_process_id_file_means_nothing_runs(launcher: LocalLauncher, content: str) -> None:
    address = launcher.new_address()
    Path(address).parent.mkdir()
    Path(address).with_name("machine.pid").write_text(content)
    assert not launcher.is_alive(address)
    launcher.end(address)


def test_a_machine_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coordinator.launchers.local._END_WAIT_S", 0.2)
    launcher = LocalLauncher((sys.executable, "-c", STUBBORN))
    address = launcher.new_address()
    launcher.launch(address, console=tmp_path / "console")
    eventually(lambda: b"ready" in (tmp_path / "console").read_bytes())
    launcher.end(address)
    assert not launcher.is_alive(address)


def test_a_machine_does_not_get_the_coordinators_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not for a machine")
    monkeypatch.setenv("CONCORDAT_HOME", "for a machine")
    launcher = LocalLauncher((sys.executable, "-c", "import os; print(sorted(os.environ), flush=True)"))
    address = launcher.new_address()
    launcher.launch(address, console=tmp_path / "console")
    eventually(lambda: b"]" in (tmp_path / "console").read_bytes())
    eventually(lambda: not launcher.is_alive(address))
    launcher.end(address)
    printed = (tmp_path / "console").read_text()
    assert "CONCORDAT_HOME" in printed
    assert "AWS_" not in printed


def test_a_machine_that_cannot_be_started_is_an_error(tmp_path: Path) -> None:
    launcher = LocalLauncher((str(tmp_path / "missing"),))
    address = launcher.new_address()
    with pytest.raises(LaunchError, match="No such file"):
        launcher.launch(address, console=tmp_path / "console")
    launcher.end(address)


def test_a_folder_too_deep_for_a_socket_is_refused(
    launcher: LocalLauncher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with pytest.raises(LaunchError, match="at most 107 bytes"):
        launcher.new_address()
    assert list(deep.iterdir()) == []


def test_the_simulated_machine_is_named_by_command_line_only() -> None:
    command = simulated_machine(state=Path("/state"), memory_mib=512)
    assert command[1:] == ("-m", "scenarios.machine", "run", "--state", "/state", "--memory-mib", "512")
