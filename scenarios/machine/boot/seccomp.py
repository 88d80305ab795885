"""Decides which system calls the enclave may make: those listed, and nine under a condition (seccomp-BPF).

Everything else is refused with EPERM, or with ENOSYS where the call is newer than Linux 5.1, so that the C
library falls back to what it did before there was such a call. A program of another architecture is killed.
The filter cannot be taken off again. `Documentation/userspace-api/seccomp_filter.rst`, `linux/bpf_common.h`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
from collections.abc import Iterable
from typing import Final, NamedTuple

from .kernel import MACHINE, ConfinementError, syscall
from .syscalls import ARCHITECTURES, allowed, conditional, confining

_LOAD: Final = 0x20
_JUMP_EQUAL: Final = 0x15
_JUMP_GREATER_EQUAL: Final = 0x35
_JUMP_ANY_BIT: Final = 0x45
_RETURN: Final = 0x06

_NUMBER_OFFSET: Final = 0
_ARCHITECTURE_OFFSET: Final = 4
_ARGUMENTS_OFFSET: Final = 16
_ARGUMENT_BYTES: Final = 8

_ALLOW: Final = 0x7FFF0000
_KILL_PROCESS: Final = 0x80000000
_REFUSE: Final = 0x00050000 | errno.EPERM
_UNKNOWN: Final = 0x00050000 | errno.ENOSYS
_SET_MODE_FILTER: Final = 1

_X32_BIT: Final = 0x40000000
_NEWER_CALLS: Final = 424
"""From Linux 5.1 on all architectures number new calls alike, beginning here."""

_TMPFILE: Final = os.O_TMPFILE & ~os.O_DIRECTORY
_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | _TMPFILE
_CLONE_THREAD: Final = 0x00010000
_TERMINAL_AND_SOCKET_MODES: Final = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX."""
_DESCRIPTOR_FLAGS: Final = (0, 1, 2, 3, 4, 1030)
"""F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC; not F_SETOWN, which sends signals."""
_NAMES_OF_THREADS_AND_MEMORY: Final = (15, 16, 0x53564D41)
"""PR_SET_NAME, PR_GET_NAME, PR_SET_VMA."""


class Instruction(NamedTuple):
    """`struct sock_filter`: operation, how far to jump if true and if not, operand."""

    code: int
    if_true: int
    if_false: int
    operand: int


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


class _Filter(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("operand", ctypes.c_uint32),
    )


def require_architecture() -> None:
    """Raises `ConfinementError` on a computer whose system calls are not listed."""
    if MACHINE not in ARCHITECTURES:
        raise ConfinementError(
            f"no list of system calls for {MACHINE}", f"run it on one of {', '.join(ARCHITECTURES)}"
        )


def program(own_pid: int, machine: str) -> list[Instruction]:
    """The filter, on `machine`, for a process that may send signals to itself, `own_pid`, alone."""
    instructions = [*_only(machine), _load(_NUMBER_OFFSET)]
    for number in allowed(machine).values():
        instructions += [Instruction(_JUMP_EQUAL, 0, 1, number), _return(_ALLOW)]
    rules = _rules(own_pid)
    for name, number in conditional(machine).items():
        instructions += [Instruction(_JUMP_EQUAL, 0, len(rules[name]), number), *rules[name]]
    newer = Instruction(_JUMP_GREATER_EQUAL, 0, 1, _NEWER_CALLS)
    return [*instructions, newer, _return(_UNKNOWN), _return(_REFUSE)]


def install() -> None:
    """Filters this thread and all it will make; needs `no_new_privs`. Raises `ConfinementError`."""
    instructions = program(os.getpid(), MACHINE)
    array = (_Filter * len(instructions))(*(_Filter(*instruction) for instruction in instructions))
    loaded = _Program(len(instructions), ctypes.addressof(array))
    try:
        syscall(confining(MACHINE)["seccomp"], _SET_MODE_FILTER, 0, loaded)
    except OSError as error:
        raise ConfinementError(
            f"seccomp: {error.strerror}",
            "use a kernel with CONFIG_SECCOMP_FILTER; in a container, allow the seccomp system call",
        ) from error


def _rules(own_pid: int) -> dict[str, list[Instruction]]:
    """Each ends in a decision; the number has been compared already."""
    return {
        "open": _without(1, _WRITING),
        "openat": _without(2, _WRITING),
        "clone": _with(0, _CLONE_THREAD),  # threads, never processes
        "tgkill": _one_of(0, [own_pid]),
        "prlimit64": _one_of(0, [0, own_pid]),
        "ioctl": _one_of(1, _TERMINAL_AND_SOCKET_MODES),
        "fcntl": _one_of(1, _DESCRIPTOR_FLAGS),
        "prctl": _one_of(0, _NAMES_OF_THREADS_AND_MEMORY),
        "socketpair": _one_of(0, [socket.AF_UNIX]),  # an event loop wakes itself with one
    }


def _only(machine: str) -> list[Instruction]:
    check = [
        _load(_ARCHITECTURE_OFFSET),
        Instruction(_JUMP_EQUAL, 1, 0, ARCHITECTURES[machine]),
        _return(_KILL_PROCESS),
    ]
    if machine == "x86_64":  # the x32 interface has the same architecture and other numbers
        check += [
            _load(_NUMBER_OFFSET),
            Instruction(_JUMP_GREATER_EQUAL, 0, 1, _X32_BIT),
            _return(_KILL_PROCESS),
        ]
    return check


def _without(argument: int, bits: int) -> list[Instruction]:
    test = Instruction(_JUMP_ANY_BIT, 1, 0, bits)
    return [_load_argument(argument), test, _return(_ALLOW), _return(_REFUSE)]


def _with(argument: int, bit: int) -> list[Instruction]:
    test = Instruction(_JUMP_ANY_BIT, 0, 1, bit)
    return [_load_argument(argument), test, _return(_ALLOW), _return(_REFUSE)]


def _one_of(argument: int, values: Iterable[int]) -> list[Instruction]:
    rule = [_load_argument(argument)]
    for value in values:
        rule += [Instruction(_JUMP_EQUAL, 0, 1, value), _return(_ALLOW)]
    return [*rule, _return(_REFUSE)]


def _load_argument(index: int) -> Instruction:
    """The low half of an argument: those looked at are 32-bit integers, of which the kernel reads no more."""
    return _load(_ARGUMENTS_OFFSET + _ARGUMENT_BYTES * index)


def _load(offset: int) -> Instruction:
    return Instruction(_LOAD, 0, 0, offset)


def _return(decision: int) -> Instruction:
    return Instruction(_RETURN, 0, 0, decision)
