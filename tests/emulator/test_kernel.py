"""The kernel boots in the emulator, has what the enclave needs, and lacks what it must not have.

The first process is a small C program, compiled by the compiler that the kernel's lock pins.
"""

from __future__ import annotations

import gzip
import io
import subprocess
import time
from pathlib import Path

import cbor2
import pytest

from coordinator.launchers.qemu import QemuLauncher, QemuOptions
from enclave_compute.boot.command_line import COMMAND_LINE
from enclave_compute.image.cpio import write_cpio
from enclave_compute.image.debian.build_root import make_build_root
from enclave_compute.image.debian.lock import read_lock
from enclave_compute.image.debian.mirror import fetch
from enclave_compute.image.eif import metadata_of, write_eif
from enclave_compute.image.kernel import Kernel, build_kernel
from enclave_compute.image.tree import Tree, file, folder
from scenarios.emulator.build import copy_to
from tests.emulator.machines import emulator

pytestmark = [pytest.mark.qemu, pytest.mark.timeout(1800)]

PROBE = Path(__file__).with_name("kernel_probe.c")
END = "probe: end"
WITHIN_S = 120.0


def quiet(_: str) -> None:
    """The test's own output is enough."""


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    return build_kernel(say=quiet)


@pytest.fixture(scope="module")
def seen(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the probe says, by what it is about."""
    base = tmp_path_factory.mktemp("kernel")
    tree = Tree()
    tree.add("init", file(compiled(base), executable=True))
    for name in ("dev", "proc", "sys"):
        tree.add(name, folder())
    plain = io.BytesIO()
    write_cpio(tree, plain)
    (base / "ramdisk").write_bytes(gzip.compress(plain.getvalue(), mtime=0))
    write_eif(
        base / "probe.eif",
        kernel=kernel.image,
        cmdline=COMMAND_LINE,
        ramdisks=(base / "ramdisk",),
        metadata=metadata_of(
            name="probe",
            version="1",
            build_time="1970-01-01T00:00:00Z",
            build_tool="test",
            build_tool_version="1",
            operating_system="none",
            kernel_version=kernel.version,
        ),
    )
    lines = [line for line in console_of(base / "probe.eif", base).splitlines() if line.startswith("probe: ")]
    return {name: said for name, _, said in (line.removeprefix("probe: ").partition(" ") for line in lines)}


def compiled(base: Path) -> Path:
    """The probe, linked statically."""
    lock = read_lock("kernel")
    packages = [package for package in lock.packages if not package.name.startswith("linux-source")]
    root = make_build_root(fetch(packages, say=quiet).values(), base / "root")
    (root.work / PROBE.name).write_bytes(PROBE.read_bytes())
    root.run(f"gcc -O1 -Wall -Werror -static -o probe {PROBE.name}", log=base / "log")
    return root.work / "probe"


def console_of(image: Path, base: Path) -> str:
    """All that a machine prints until the probe's last line."""
    launcher = QemuLauncher(QemuOptions(emulator(), image, memory_mib=1024, vcpus=2))
    address, console = launcher.new_address(), base / "console"
    launcher.launch(address, console=console)
    until = time.monotonic() + WITHIN_S
    try:
        while True:
            said = console.read_text(errors="replace") if console.exists() else ""
            if END in said or not launcher.is_alive(address):
                return said
            assert time.monotonic() < until, said[-4000:]
            time.sleep(0.1)
    finally:
        launcher.end(address)


def test_it_is_the_kernel_that_was_built(seen: dict[str, str], kernel: Kernel) -> None:
    assert seen["release"] == f"{kernel.version}-concordat #1 SMP Thu Jan  1 00:00:01 UTC 1970"
    assert seen["cmdline"].startswith(COMMAND_LINE)


def test_the_security_module_answers_and_is_the_source_of_randomness(seen: dict[str, str]) -> None:
    described = cbor2.loads(bytes.fromhex(seen["nsm"]))["DescribeNSM"]
    assert described["max_pcrs"] == 32
    assert described["locked_pcrs"] == list(range(16))
    assert seen["random"] == "nsm-hwrng"


def test_a_byte_goes_to_the_parent_and_back(seen: dict[str, str]) -> None:
    assert seen["vsock"] == str(0xB7)


def test_all_processors_run(seen: dict[str, str]) -> None:
    assert seen["processors"] == "0-1"


def test_there_are_no_devices_and_interfaces_but_those_of_the_enclave(seen: dict[str, str]) -> None:
    devices = set(seen["devices"].split())
    assert devices >= {"nsm", "vsock", "null", "urandom"}
    assert devices <= {
        *("nsm", "vsock", "hwrng", "console", "tty", "ttyS0", "kmsg"),
        *("null", "zero", "full", "random", "urandom"),
    }
    assert seen["interfaces"] == "lo"


NOT_THERE, NO_SUCH_CALL, NO_SUCH_FAMILY, INVALID = "-2", "-38", "-97", "-22"


@pytest.mark.parametrize(
    ("what", "got"),
    [
        ("af_inet", NO_SUCH_FAMILY),
        ("bpf", NO_SUCH_CALL),
        ("io_uring", NO_SUCH_CALL),
        ("kexec", NO_SUCH_CALL),
        ("module", NO_SUCH_CALL),
        ("other_memory", NO_SUCH_CALL),
        ("userfaultfd", NO_SUCH_CALL),
        ("user_namespace", INVALID),
        ("kcore", NOT_THERE),
        ("kallsyms", NOT_THERE),
        ("af_unix", "1"),
        ("landlock", "1"),
        ("membarrier", "1"),
        ("memfd", "1"),
        ("seccomp", "0"),
    ],
)
def test_what_the_kernel_offers_a_program(seen: dict[str, str], what: str, got: str) -> None:
    assert seen[what] == got


def test_the_emulator_runs_from_wherever_it_is_copied(tmp_path: Path) -> None:
    copy_to(emulator(), tmp_path / "else where")
    for program in ("qemu-system-x86_64", "vhost-device-vsock"):
        command = [str(tmp_path / "else where" / "bin" / program), "--version"]
        said = subprocess.run(command, cwd="/", capture_output=True, text=True, check=True, env={})
        assert any(character.isdigit() for character in said.stdout)
