"""Takes from the process what it has no use for: privileges, core dumps, a life without its machine."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from typing import Final

from .kernel import MACHINE, ConfinementError, prctl, syscall
from .syscalls import confining

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38
_CAPABILITY_VERSION_3: Final = 0x20080522
_OPEN_FILES_MAX: Final = 256

_CLONE_NEWIPC: Final = 0x08000000
_CLONE_NEWUSER: Final = 0x10000000
_CLONE_NEWNET: Final = 0x40000000


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Capabilities(ctypes.Structure):
    """Effective, permitted and inheritable, twice 32 bits each."""

    _fields_ = (("sets", ctypes.c_uint32 * 6),)


def enter_namespaces() -> bool:
    """An own network and IPC namespace, below a new user namespace; False where that is not permitted."""
    try:
        syscall(confining(MACHINE)["unshare"], _CLONE_NEWUSER | _CLONE_NEWNET | _CLONE_NEWIPC)
    except OSError:
        return False
    return True


def limit_resources(memory_bytes: int | None) -> None:
    """No core dumps, no files, few descriptors; at most `memory_bytes` of address space."""
    limits = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES_MAX),
    ]
    if memory_bytes is not None:
        limits.append((resource.RLIMIT_AS, memory_bytes))
    for kind, most in limits:
        resource.setrlimit(kind, (most, most))


def drop_privileges() -> None:
    """No capabilities, now or by executing something; closed to tracing by processes of the same user."""
    syscall(confining(MACHINE)["capset"], _CapabilityHeader(_CAPABILITY_VERSION_3, 0), _Capabilities())
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
    prctl(_PR_SET_DUMPABLE, 0)


def die_with(machine_pid: int) -> None:
    """The kernel kills this process when the machine ends; it may have ended before that was arranged."""
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != machine_pid:
        raise ConfinementError("the machine ended before its enclave had started", "start the machine again")
