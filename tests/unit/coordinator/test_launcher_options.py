from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from coordinator.cli import group
from coordinator.daemon import Daemon, DaemonOptions
from coordinator.errors import CannotServeError
from coordinator.launcher_options import LauncherChoice
from coordinator.launchers.local import LocalLauncher
from coordinator.launchers.qemu import QemuLauncher
from coordinator.server import Transport
from tests.unit.coordinator import calls
from tests.unit.coordinator.emulator_stand_in import emulator_folder, image_file
from tests.unit.coordinator.running import running_coordinator
from tests.unit.coordinator.thread_launcher import ThreadLauncher

NOTHING = LauncherChoice(
    launcher="local",
    enclave_memory_mib=None,
    simulator=None,
    enclave_source=None,
    image=None,
    enclave_vcpus=None,
    emulator=None,
    nitro_cli=None,
    unsafe_debug_mode=False,
)


def refused(*arguments: str) -> str:
    result = CliRunner().invoke(group, ["serve", "--plaintext", *arguments])
    assert result.exit_code == 2, result.output
    return result.output


@pytest.mark.parametrize(
    ("launcher", "option"),
    [
        ("local", "--image=x.eif"),
        ("local", "--emulator=x"),
        ("local", "--enclave-vcpus=2"),
        ("local", "--nitro-cli=x"),
        ("local", "--unsafe-debug-mode"),
        ("qemu", "--simulator=x"),
        ("qemu", "--enclave-source=x"),
        ("qemu", "--nitro-cli=x"),
        ("qemu", "--unsafe-debug-mode"),
        ("nitro", "--emulator=x"),
        ("nitro", "--simulator=x"),
        ("nitro", "--enclave-source=x"),
    ],
)
def test_an_option_of_another_launcher_is_refused(launcher: str, option: str) -> None:
    said = refused(f"--launcher={launcher}", option)
    assert f"{option.partition('=')[0]} is for" in said
    assert f"not for --launcher {launcher}" in said


@pytest.mark.parametrize("launcher", ["qemu", "nitro"])
def test_an_image_is_needed_where_one_is_booted(launcher: str) -> None:
    emulator = ("--emulator=x",) if launcher == "qemu" else ()
    assert "needs --image" in refused(f"--launcher={launcher}", *emulator)


def test_the_emulator_is_named_by_option_or_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CONCORDAT_EMULATOR", raising=False)
    image = image_file(tmp_path / "enclave.eif", architecture="x86_64")
    assert "CONCORDAT_EMULATOR" in refused("--launcher=qemu", f"--image={image}")
    monkeypatch.setenv("CONCORDAT_EMULATOR", str(emulator_folder(tmp_path / "emulator")))
    choice = LauncherChoice(**{**vars(NOTHING), "launcher": "qemu", "image": image})
    assert isinstance(choice.make(tmp_path), QemuLauncher)


def test_the_environment_of_the_emulator_does_not_disturb_another_launcher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONCORDAT_EMULATOR", str(tmp_path))
    assert isinstance(NOTHING.make(tmp_path), LocalLauncher)


def test_an_instance_without_enclaves_is_refused_before_anything_is_served(tmp_path: Path) -> None:
    image = image_file(tmp_path / "enclave.eif")
    arguments = [
        "serve",
        "--plaintext",
        "--launcher=nitro",
        f"--image={image}",
        "--nitro-cli=no-such-program",
    ]
    result = CliRunner().invoke(group, [*arguments, f"--state={tmp_path / 'state'}"])
    assert isinstance(result.exception, CannotServeError)
    assert "no-such-program" in result.exception.message
    assert not (tmp_path / "state").exists()


def test_names_say_what_kind_of_enclave_it_is() -> None:
    assert LocalLauncher.name == "local (SIMULATED)"
    assert QemuLauncher.name == "qemu (UNSIGNED EMULATOR)"


def test_emulated_enclaves_are_given_more_time() -> None:
    slow, fast = QemuLauncher.deadlines, LocalLauncher.deadlines
    assert slow.start_s == 5 * fast.start_s
    assert slow.run_s == 5 * fast.run_s
    with pytest.raises(ValueError, match="start_s"):
        fast.slower(0)


class OtherLauncher(ThreadLauncher):
    name = "another"


def test_enclaves_of_another_launcher_are_neither_forgotten_nor_ended(tmp_path: Path) -> None:
    """Their addresses would mean something else to it."""
    with running_coordinator(tmp_path) as first:
        calls.running_job(first.stub)
        (enclave,) = first.launcher.enclaves.values()
    daemon = Daemon(DaemonOptions(tmp_path, Transport.plaintext(("127.0.0.1:0",))), OtherLauncher())
    daemon.start()  # all of them were ended in order
    daemon.stop(keep_enclaves=False)
    assert enclave.closed.is_set()


def test_living_enclaves_of_another_launcher_keep_it_from_starting(tmp_path: Path) -> None:
    launcher = ThreadLauncher()
    daemon = Daemon(DaemonOptions(tmp_path, Transport.plaintext(("127.0.0.1:0",))), launcher)
    (address,) = daemon.start()
    import grpc

    from protos.v1.concordat_pb2_grpc import CoordinatorStub

    with grpc.insecure_channel(address) as channel:
        calls.running_job(CoordinatorStub(channel))  # type: ignore[no-untyped-call]
    daemon.stop(keep_enclaves=True)
    other = Daemon(DaemonOptions(tmp_path, Transport.plaintext(("127.0.0.1:0",))), OtherLauncher())
    with pytest.raises(CannotServeError, match="launcher threads of a test, got launcher another"):
        other.start()
    other.stop(keep_enclaves=True)
    assert not launcher.only().closed.is_set()
    again = Daemon(DaemonOptions(tmp_path, Transport.plaintext(("127.0.0.1:0",))), launcher)
    again.start()
    again.stop(keep_enclaves=False)
    assert all(enclave.closed.is_set() for enclave in launcher.enclaves.values())
