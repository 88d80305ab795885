"""A booted simulated machine: its enclave is attested, computes, and cannot reach anything else."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cbor2
import pytest

from tests.integration.running_machine import BOOT_TIMEOUT_S, DEATH_TIMEOUT_S, REPOSITORY, Running

PROBE = Path(__file__).with_name("confined_probe.py")


Boot = Callable[..., Running]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The probe in the place of the enclave's program, with the enclave's real NSM client and formats."""
    folder = Path(tmp_path_factory.mktemp("source"))
    shutil.copytree(REPOSITORY / "enclave_compute" / "nsm", folder / "enclave_compute" / "nsm")
    shutil.copy(PROBE, folder / "enclave_compute" / "__main__.py")
    shutil.copy(REPOSITORY / "enclave_compute" / "samplers.py", folder / "enclave_compute")
    (folder / "enclave_compute" / "__init__.py").touch()
    for name in ("protos/__init__.py", "protos/formats/__init__.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    for name in ("canonical", "errors", "limits", "wellformed"):
        shutil.copy(REPOSITORY / "protos" / "formats" / f"{name}.py", folder / "protos" / "formats")
    return folder


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="module")
def boot(state: Path, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boot]:
    with contextlib.ExitStack() as ending:

        def start(*options: str) -> Running:
            running = Running(Path(tmp_path_factory.mktemp("run")), state, source, *options)
            ending.callback(running.end)
            running.wait_until_booted()
            return running

        yield start


@pytest.fixture(scope="module")
def machine(boot: Boot) -> Running:
    return boot("--enclave-id", "0123456789abcdef")


def payload(document: str) -> dict[str, Any]:
    fields: dict[str, Any] = cbor2.loads(cbor2.loads(bytes.fromhex(document))[2])
    return fields


# --- what the machine shows -------------------------------------------------------------------------------


def test_the_status_says_simulated_and_what_holds_the_enclave(machine: Running) -> None:
    assert machine.status["simulated"] is True
    assert "SIMULATED" in machine.status["notice"]
    assert machine.status["isolation"]["seccomp"] is True
    assert machine.status["isolation"]["landlock_abi"] >= 1
    assert machine.status["pid"] == machine.process.pid
    assert stat.S_IMODE(machine.socket.stat().st_mode) == 0o600


def test_documents_show_what_the_status_and_the_measuring_command_say(
    machine: Running, state: Path, source: Path
) -> None:
    fields = payload(machine.ask("attest", "ab" * 32))
    measured = {f"pcr{index}": fields["pcrs"][index].hex() for index in range(3)}
    assert fields["nonce"] == b"\xab" * 32
    assert measured == machine.status["measurements"]
    assert fields["module_id"] == machine.status["module_id"]
    assert fields["module_id"].endswith("-enc0123456789abcdef")
    assert hashlib.sha256(fields["cabundle"][0]).hexdigest() == machine.status["root_sha256"]
    code = "from scenarios.machine.cli import group; group()"
    command = [
        sys.executable,
        "-c",
        code,
        "measure",
        "--state",
        str(state),
        "--source",
        str(source),
        "--json",
    ]
    shown = json.loads(subprocess.check_output(command, cwd=REPOSITORY))
    assert {key: shown[key] for key in measured} == measured


def test_the_kernel_agrees_that_the_enclave_has_no_privileges(machine: Running) -> None:
    lines = Path(f"/proc/{machine.status['enclave_pid']}/status").read_text().splitlines()
    facts = dict(line.split(":", 1) for line in lines)
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(facts[name], 16) == 0
    assert facts["NoNewPrivs"].strip() == "1"
    assert facts["Seccomp"].strip() == "2"


def test_nothing_of_the_hosts_environment_is_in_its_memory(machine: Running) -> None:
    environment = Path(f"/proc/{machine.status['enclave_pid']}/environ")
    if os.geteuid() == 0:
        assert b"SECRET_OF_THE_HOST" not in environment.read_bytes()
    else:
        with pytest.raises(PermissionError):  # nor can others of the same user look into it
            environment.read_bytes()


# --- what the enclave can do ------------------------------------------------------------------------------


def test_it_computes(machine: Running) -> None:
    expected = [{"k": k, "total": sum(range(k, 1_000_000, 7))} for k in range(2)]
    assert machine.ask("compute") == expected


def test_it_draws_noise_from_the_kernel(machine: Running) -> None:
    first, second = machine.ask("noise"), machine.ask("noise")
    assert first != second
    assert len(set(first)) == len(first) == 4


def test_it_has_threads_and_waits_on_its_own_sockets(machine: Running) -> None:
    assert machine.ask("thread") == "done"
    assert machine.ask("socketpair") == "wake"


def test_only_the_image_and_the_standard_library_can_be_imported(machine: Running) -> None:
    app = machine.ask("path")[-1]
    assert app.startswith(str(machine.status["root_pem"].removesuffix("root.pem")))
    assert all("python3" in entry for entry in machine.ask("path")[:-1])
    assert not [entry for entry in machine.ask("path") if "site-packages" in entry or entry in {"", "."}]


def test_nothing_is_loaded_that_an_enclave_must_not_have(machine: Running) -> None:
    loaded = {name.split(".")[0] for name in machine.ask("imports")}
    assert not loaded & {"grpc", "http", "pickle", "subprocess"}
    assert not loaded & {"numpy", "pandas", "pyarrow"}
    assert not loaded & {"coordinator", "party_client", "scenarios", "tests"}
    assert {"cbor2", "cryptography", "duckdb", "nanoarrow", "sqlglot"} <= loaded


def test_no_byte_code_is_loaded(machine: Running) -> None:
    assert machine.ask("byte_code") == []


# --- what it cannot do ------------------------------------------------------------------------------------


def test_it_cannot_connect_to_a_listener_on_loopback(machine: Running) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), server.accept()[0]:
            pass  # from here it is reachable
        server.settimeout(0.2)
        assert machine.ask("tcp", port) == "EPERM"
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize("family", ["vsock", "udp", "unix", "netlink", "packet"])
def test_it_cannot_make_sockets(family: str, machine: Running) -> None:
    assert machine.ask(family) == "EPERM"


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/etc/hostname",
        "/proc/self/environ",
        "/proc/self/maps",
        "/proc/1/cmdline",
        "/proc/version",
    ],
)
def test_it_cannot_read_files_of_the_host(path: str, machine: Running) -> None:
    assert machine.ask("read", path) == "EACCES"


def test_it_cannot_read_the_simulators_key_or_the_source(machine: Running, state: Path) -> None:
    assert (state / "root.key.pem").read_bytes()
    assert machine.ask("read", state / "root.key.pem") == "EACCES"
    assert machine.ask("read", REPOSITORY / "pyproject.toml") == "EACCES"
    assert machine.ask("read", machine.status_file) == "EACCES"


@pytest.mark.parametrize("path", ["/", "/etc", "/proc", "/tmp", "/home"])  # noqa: S108  # only listed
def test_it_cannot_list_folders_of_the_host(path: str, machine: Running) -> None:
    assert machine.ask("list", path) == "EACCES"


@pytest.mark.parametrize("attempt", ["write", "mkdir"])
@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm", "/var/tmp", "."])  # noqa: S108  # nothing gets there
def test_it_cannot_write_anywhere(attempt: str, folder: str, machine: Running) -> None:
    path = Path(folder, f"concordat-probe-{os.getpid()}")
    assert machine.ask(attempt, path) == "EPERM"
    assert not path.exists()


@pytest.mark.parametrize("attempt", ["append", "truncate", "unlink", "chmod", "utime", "link"])
def test_it_cannot_change_a_file_of_this_user(attempt: str, machine: Running, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("as it was")
    before = victim.stat()
    assert machine.ask(attempt, victim) == "EPERM"
    after = victim.stat()
    assert victim.read_text() == "as it was"
    assert (after.st_mode, after.st_mtime_ns, after.st_nlink) == (before.st_mode, before.st_mtime_ns, 1)


@pytest.mark.parametrize("attempt", ["memory_file", "shared_memory"])
def test_it_cannot_make_memory_that_others_could_open(attempt: str, machine: Running) -> None:
    assert machine.ask(attempt) == "EPERM"


@pytest.mark.parametrize("attempt", ["exec", "spawn"])
@pytest.mark.parametrize("program", ["/bin/sh", "python"])
def test_it_cannot_run_programs(attempt: str, program: str, machine: Running) -> None:
    path = os.path.realpath(sys.executable) if program == "python" else program
    assert machine.ask(attempt, path) == "EPERM"


def test_it_cannot_fork(machine: Running) -> None:
    assert machine.ask("fork") == "EPERM"


@pytest.mark.parametrize("attempt", ["kill", "ptrace", "process_memory"])
def test_it_cannot_touch_its_machine(attempt: str, machine: Running) -> None:
    assert machine.ask(attempt, machine.process.pid) == "EPERM"
    assert machine.process.poll() is None


@pytest.mark.parametrize(
    "attempt", ["unshare", "mount", "bpf", "setuid", "raise_limit", "outlive", "loosen_seccomp"]
)
def test_it_cannot_loosen_what_holds_it(attempt: str, machine: Running) -> None:
    assert machine.ask(attempt) == "EPERM"


def test_it_cannot_use_io_uring(machine: Running) -> None:
    assert machine.ask("io_uring") == "ENOSYS"


def test_it_is_given_nothing_but_its_sockets(machine: Running) -> None:
    assert machine.ask("environment") == {}
    standard, listener, nsm, connection = 3, 1, 1, 1
    assert len(machine.ask("descriptors")) == standard + listener + nsm + connection
    assert machine.ask("limits") == [[0, 0], [0, 0]]
    assert machine.ask("folder") == machine.ask("path")[-1].removesuffix("/app")


# --- its life ---------------------------------------------------------------------------------------------


def alive(pid: int) -> bool:
    """Running, and not merely waiting to be buried by whoever adopts it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until_dead(pid: int) -> None:
    deadline = time.monotonic() + DEATH_TIMEOUT_S
    while alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_debug_mode_shows_zeros_and_nothing_else_changes(boot: Boot, machine: Running) -> None:
    running = boot("--debug")
    fields = payload(running.ask("attest", "00"))
    assert [fields["pcrs"][index] for index in range(3)] == [bytes(48)] * 3
    instance = fields["module_id"].split("-enc")[0]
    assert fields["pcrs"][4] == hashlib.sha384(bytes(48) + instance.encode()).digest()
    assert running.status["debug"] is True
    assert running.status["measurements"] == machine.status["measurements"]
    running.end()


def test_the_memory_limit_holds(boot: Boot) -> None:
    running = boot("--memory-mib", "2048")
    assert running.ask("allocate", 256) is None
    assert running.ask("allocate", 4096) == "ENOMEM"
    assert running.status["isolation"]["memory_limit_bytes"] == 2048 << 20
    assert running.ask("compute")[0]["k"] == 0
    running.end()


def test_the_machine_ends_with_its_enclave_and_its_status(boot: Boot) -> None:
    running = boot()
    assert running.ask("end", 7) == "closed"
    assert running.process.wait(timeout=DEATH_TIMEOUT_S) == 7
    assert not running.socket.exists()
    assert not running.status_file.exists()


def test_the_enclave_ends_with_its_machine(boot: Boot) -> None:
    running = boot()
    running.process.kill()
    wait_until_dead(running.status["enclave_pid"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_machine_ends_both(number: signal.Signals, boot: Boot) -> None:
    running = boot()
    running.process.send_signal(number)
    assert running.process.wait(timeout=DEATH_TIMEOUT_S) == 128 + signal.SIGKILL
    assert not alive(running.status["enclave_pid"])
    assert not running.socket.exists()
    assert not running.status_file.exists()


def test_a_socket_in_use_is_not_taken_over_and_a_dead_one_is(boot: Boot, state: Path, source: Path) -> None:
    running = boot()
    second = Running(running.socket.parent, state, source)
    assert second.process.wait(timeout=BOOT_TIMEOUT_S) == 1
    assert "in use" in second.console()
    assert running.ask("thread") == "done"
    second.end()
    running.process.kill()
    running.process.wait()
    third = Running(running.socket.parent, state, source)
    third.wait_until_booted()
    assert third.ask("thread") == "done"
    third.end()


def test_a_socket_path_too_long_says_so(state: Path, source: Path, tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    running = Running(folder, state, source)
    assert running.process.wait(timeout=BOOT_TIMEOUT_S) == 1
    console = running.console()
    assert console.startswith("error: ")
    assert "\nhint: choose a shorter one\n" in console
    running.end()
