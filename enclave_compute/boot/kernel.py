"""Calls into the Linux kernel that Python has no function for, with its error numbers as `OSError`."""

from __future__ import annotations

import ctypes
import os
from typing import Final, NoReturn

MS_RDONLY: Final = 1
MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MS_NOEXEC: Final = 8
MS_REMOUNT: Final = 32
_RB_AUTOBOOT: Final = 0x01234567
_PR_CAPBSET_READ: Final = 23
_PR_CAPBSET_DROP: Final = 24
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_DUMPABLE: Final = 4
_CAPABILITIES_MAX: Final = 64
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str, flags: int) -> None:
    """`mount(2)` without data. Raises `OSError`."""
    words = (text.encode() for text in (source, target, kind))
    _require_done(_LIBC.mount(*words, ctypes.c_ulong(flags), None), target)


def forbid_new_privileges() -> None:
    """Nothing this process or a child of it executes gains a right; nor may others trace it."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_DUMPABLE, 0)


def drop_capability_bounds() -> None:
    """No capability can come back by executing something. Raises `OSError`."""
    for number in range(_CAPABILITIES_MAX):
        if _LIBC.prctl(_PR_CAPBSET_READ, ctypes.c_ulong(number), *_ZEROS) < 0:
            break  # the kernel has no capability of that number, nor higher ones
        _prctl(_PR_CAPBSET_DROP, number)


def switch_off() -> NoReturn:
    """The machine ends now. What "restart" means is the hypervisor's: an enclave is gone with its memory."""
    os.sync()
    _LIBC.reboot(ctypes.c_int(_RB_AUTOBOOT))
    os._exit(1)  # process 1 ended: the kernel panics, and its command line makes that an end as well


_ZEROS: Final = (ctypes.c_ulong(0),) * 3


def _prctl(option: int, value: int) -> None:
    _require_done(_LIBC.prctl(option, ctypes.c_ulong(value), *_ZEROS), "prctl")


def _require_done(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
