"""Leaves the process only the files it is told it may read (Landlock).

Every right that the running kernel knows is taken away; reading comes back for the given files and folders.
Where the kernel can (ABI 4 and 6), TCP, abstract Unix sockets and signals to others are taken away as well.
Works without privileges, needs `no_new_privs`, and holds for all threads made afterwards. Linux
`Documentation/userspace-api/landlock.rst`.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from .kernel import ConfinementError, syscall

_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_VERSION_FLAG: Final = 1
_PATH_BENEATH: Final = 1

_READ_FILE: Final = 1 << 2
_READ_DIR: Final = 1 << 3
_FS_RIGHTS: Final = {1: 13, 2: 14, 3: 15, 5: 16}
"""How many file rights exist from which ABI on."""
_NET_FROM_ABI: Final = 4
_SCOPES_FROM_ABI: Final = 6
_NET_RIGHTS: Final = 0b11
_SCOPES: Final = 0b11


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def abi_version() -> int:
    """The kernel's Landlock version, at least 1. Raises `ConfinementError`."""
    try:
        return syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    except OSError as error:
        raise ConfinementError(
            f"Landlock: {error.strerror}",
            "boot Linux 5.13 or later with landlock in its lsm= list; in a container, allow its system calls",
        ) from error


def restrict_to_reading(paths: Iterable[Path]) -> int:
    """From now on only `paths`, and what is below them, can be opened, for reading; gives the ABI version."""
    version = abi_version()
    rights = max(count for since, count in _FS_RIGHTS.items() if since <= version)
    attributes = _Ruleset(
        (1 << rights) - 1,
        _NET_RIGHTS if version >= _NET_FROM_ABI else 0,
        _SCOPES if version >= _SCOPES_FROM_ABI else 0,
    )
    ruleset = syscall(_CREATE_RULESET, attributes, ctypes.sizeof(attributes), 0)
    for path in paths:
        if path.exists():
            _allow_reading(ruleset, path)
    syscall(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)
    return version


def _allow_reading(ruleset: int, path: Path) -> None:
    allowed = _READ_FILE | _READ_DIR if path.is_dir() else _READ_FILE
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        syscall(_ADD_RULE, ruleset, _PATH_BENEATH, _PathBeneath(allowed, descriptor), 0)
    finally:
        os.close(descriptor)
