"""The filter, run here instruction by instruction, for both architectures: what passes and what does not."""

from __future__ import annotations

import errno
import os
import platform
import re
import socket
from pathlib import Path

import pytest

from scenarios.machine.boot.seccomp import Instruction, program
from scenarios.machine.boot.syscalls import ARCHITECTURES, allowed, conditional, confining

OWN_PID = 4242
ALLOW, KILL = 0x7FFF0000, 0x80000000
REFUSE, UNKNOWN = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
MACHINES = list(ARCHITECTURES)


def decide(machine: str, number: int, *arguments: int, architecture: int | None = None) -> int:
    """The decision of the filter, as the kernel's interpreter would reach it."""
    data = {0: number, 4: ARCHITECTURES[machine] if architecture is None else architecture}
    for index in range(6):
        value = arguments[index] if index < len(arguments) else 0
        data[16 + 8 * index], data[20 + 8 * index] = value & 0xFFFFFFFF, value >> 32
    return run(program(OWN_PID, machine), data)


def run(instructions: list[Instruction], data: dict[int, int]) -> int:
    at, accumulator = 0, 0
    while True:
        code, if_true, if_false, operand = instructions[at]
        at += 1
        match code:
            case 0x20:
                accumulator = data[operand]
            case 0x15:
                at += if_true if accumulator == operand else if_false
            case 0x35:
                at += if_true if accumulator >= operand else if_false
            case 0x45:
                at += if_true if accumulator & operand else if_false
            case 0x06:
                return operand
            case _:
                pytest.fail(f"instruction {code:#x}")


@pytest.mark.parametrize("machine", MACHINES)
def test_exactly_the_listed_calls_pass(machine: str) -> None:
    passing = {number for number in range(600) if decide(machine, number) == ALLOW}
    with_zeros = {"open", "openat", "prlimit64", "fcntl"}  # zero is one of the arguments these may have
    expected = set(allowed(machine).values())
    expected |= {number for name, number in conditional(machine).items() if name in with_zeros}
    assert passing == expected


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_newer_than_the_list_are_unknown_and_others_not_permitted(machine: str) -> None:
    assert decide(machine, 435) == UNKNOWN  # clone3: the C library falls back to clone
    assert decide(machine, 425) == UNKNOWN  # io_uring_setup
    for number in confining(machine).values():
        assert decide(machine, number) == REFUSE


NEVER = {
    "x86_64": {"socket": 41, "connect": 42, "bind": 49, "fork": 57, "vfork": 58, "execve": 59, "kill": 62,
               "rename": 82, "mkdir": 83, "unlink": 87, "chmod": 90, "chown": 92, "ptrace": 101, "mount": 165,
               "init_module": 175, "setxattr": 188, "tkill": 200, "keyctl": 250, "unshare": 272,
               "perf_event_open": 298, "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311,
               "memfd_create": 319, "bpf": 321, "execveat": 322, "userfaultfd": 323},
    "aarch64": {"socket": 198, "connect": 203, "bind": 200, "execve": 221, "kill": 129, "renameat2": 276,
                "mkdirat": 34, "unlinkat": 35, "fchmodat": 53, "ptrace": 117, "mount": 40, "unshare": 97,
                "init_module": 105, "tkill": 130, "setns": 268, "process_vm_readv": 270, "bpf": 280,
                "execveat": 281, "memfd_create": 279, "perf_event_open": 241},
}  # fmt: skip


@pytest.mark.parametrize(
    ("machine", "name"), [(machine, name) for machine in NEVER for name in NEVER[machine]]
)
def test_what_an_enclave_has_no_use_for_is_not_permitted(machine: str, name: str) -> None:
    assert decide(machine, NEVER[machine][name]) == REFUSE


@pytest.mark.parametrize("machine", MACHINES)
def test_another_architecture_is_killed(machine: str) -> None:
    assert decide(machine, 0, architecture=0x40000003) == KILL  # i386, whose numbers mean other calls


def test_the_x32_interface_is_killed() -> None:
    assert decide("x86_64", 0x40000000 | 41) == KILL
    assert decide("x86_64", 0x40000000) == KILL


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    "flag",
    [os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_RDWR, os.O_CREAT, os.O_TRUNC, os.O_APPEND, os.O_TMPFILE],
)
def test_files_are_opened_for_reading_only(machine: str, flag: int) -> None:
    openat = conditional(machine)["openat"]
    reading = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY | os.O_NOFOLLOW
    assert decide(machine, openat, 2**64 - 100, 0, reading) == ALLOW
    assert decide(machine, openat, 2**64 - 100, 0, reading | flag) == REFUSE


@pytest.mark.parametrize("machine", MACHINES)
def test_clone_makes_threads_and_not_processes(machine: str) -> None:
    clone = conditional(machine)["clone"]
    assert decide(machine, clone, 0x003D0F00) == ALLOW  # what pthread_create asks for
    assert decide(machine, clone, 17) == REFUSE  # SIGCHLD: a fork
    assert decide(machine, clone, 0x00004111) == REFUSE  # posix_spawn


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("name", "index", "good", "bad"),
    [
        ("tgkill", 0, OWN_PID, OWN_PID - 1),
        ("prlimit64", 0, OWN_PID, 1),
        ("ioctl", 1, 0x5421, 0x5412),  # FIONBIO; TIOCSTI types into a terminal
        ("fcntl", 1, 4, 8),  # F_SETFL; F_SETOWN directs signals
        ("prctl", 0, 15, 1),  # PR_SET_NAME; PR_SET_PDEATHSIG would let it outlive the machine
        ("socketpair", 0, socket.AF_UNIX, socket.AF_INET),
    ],
)
def test_arguments_decide(machine: str, name: str, index: int, good: int, bad: int) -> None:
    number = conditional(machine)[name]
    before = [0] * index
    assert decide(machine, number, *before, good) == ALLOW
    assert decide(machine, number, *before, bad) == REFUSE


HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


def test_the_numbers_are_those_of_the_kernels_headers() -> None:
    """Where they are installed; elsewhere the confined enclave of `test_confinement` needs the right ones."""
    for machine, header in HEADERS.items():
        text = header.read_text() if header.exists() else ""
        found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)\s*$", text, flags=re.MULTILINE)
        numbers = {name: int(number) for name, number in found}
        numbers.setdefault("newfstatat", numbers.get("fstatat", -1))  # one call with two names
        ours = {**allowed(machine), **conditional(machine), **confining(machine)}
        assert not text or ours == {name: numbers[name] for name in ours}


def test_the_program_fits_the_kernels_limit_and_jumps_stay_inside() -> None:
    for machine in MACHINES:
        instructions = program(OWN_PID, machine)
        assert len(instructions) <= 4096
        for at, (_, if_true, if_false, _) in enumerate(instructions):
            assert max(if_true, if_false) <= 255
            assert at + 1 + max(if_true, if_false) <= len(instructions)


def test_this_computer_is_one_of_the_two() -> None:
    assert platform.machine() in MACHINES
