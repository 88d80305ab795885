"""Calls into the Linux kernel that Python has no function for, with its error numbers as `OSError`."""

from __future__ import annotations

import ctypes
import os
from typing import Final

MACHINE: Final = os.uname().machine
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
Argument = int | ctypes.Array[ctypes.c_char] | ctypes.Structure | None


class ConfinementError(Exception):
    """This computer cannot do what the confinement needs; the message is for a person, `hint` as well."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def syscall(number: int, *arguments: Argument) -> int:
    """The kernel's answer; structures and buffers go by address. Raises `OSError`."""
    words = [ctypes.c_long(number), *(_word(argument) for argument in arguments)]
    result: int = ctypes.c_long(_LIBC.syscall(*words)).value
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def prctl(option: int, value: int) -> None:
    """`prctl(option, value, 0, 0, 0)`. Raises `OSError`."""
    if _LIBC.prctl(option, *(ctypes.c_ulong(word) for word in (value, 0, 0, 0))) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _word(argument: Argument) -> ctypes.c_ulong:
    if argument is None:
        return ctypes.c_ulong(0)
    if isinstance(argument, int):
        return ctypes.c_ulong(argument)
    return ctypes.c_ulong(ctypes.addressof(argument))
