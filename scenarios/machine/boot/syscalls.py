"""The system calls that the enclave may make, and their numbers on the two architectures.

Sources: Linux `arch/x86/entry/syscalls/syscall_64.tbl` and `include/uapi/asm-generic/unistd.h` (aarch64).
None marks a call that the architecture does not have.
"""

from __future__ import annotations

from typing import Final

_Row = tuple[int | None, int | None]

_DATA: Final[dict[str, _Row]] = {
    # files and streams that are open already
    "read": (0, 63), "write": (1, 64), "readv": (19, 65), "writev": (20, 66), "pread64": (17, 67),
    "close": (3, 57), "lseek": (8, 62), "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24),
    "pipe2": (293, 59), "eventfd2": (290, 19), "fadvise64": (221, 223),
    "poll": (7, None), "ppoll": (271, 73), "select": (23, None), "pselect6": (270, 72),
    "epoll_create1": (291, 20), "epoll_ctl": (233, 21), "epoll_wait": (232, None), "epoll_pwait": (281, 22),
    # the inherited sockets
    "accept": (43, 202), "accept4": (288, 242), "listen": (50, 201), "shutdown": (48, 210),
    "getsockname": (51, 204), "getpeername": (52, 205), "getsockopt": (55, 209), "setsockopt": (54, 208),
    "sendto": (44, 206), "recvfrom": (45, 207), "sendmsg": (46, 211), "recvmsg": (47, 212),
    # what is known about files; Landlock decides which may be opened
    "access": (21, None), "faccessat": (269, 48), "stat": (4, None), "fstat": (5, 80), "lstat": (6, None),
    "newfstatat": (262, 79), "statx": (332, 291), "statfs": (137, 43), "fstatfs": (138, 44),
    "readlink": (89, None), "readlinkat": (267, 78), "getcwd": (79, 17), "getdents64": (217, 61),
}  # fmt: skip
_MEMORY_AND_THREADS: Final[dict[str, _Row]] = {
    "brk": (12, 214), "mmap": (9, 222), "munmap": (11, 215), "mremap": (25, 216), "mprotect": (10, 226),
    "madvise": (28, 233), "mincore": (27, 232), "membarrier": (324, 283),
    "futex": (202, 98), "set_robust_list": (273, 99), "get_robust_list": (274, 100), "rseq": (334, 293),
    "set_tid_address": (218, 96), "gettid": (186, 178), "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123), "getcpu": (309, 168), "arch_prctl": (158, None),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132), "restart_syscall": (219, 128), "setitimer": (38, 103),
    "exit": (60, 93), "exit_group": (231, 94),
}  # fmt: skip
_FACTS: Final[dict[str, _Row]] = {
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101), "gettimeofday": (96, 169), "time": (201, None), "times": (100, 153),
    "getrandom": (318, 278), "getpid": (39, 172), "getppid": (110, 173), "getuid": (102, 174),
    "geteuid": (107, 175), "getgid": (104, 176), "getegid": (108, 177), "getrlimit": (97, 163),
    "getrusage": (98, 165), "sysinfo": (99, 179), "uname": (63, 160),
}  # fmt: skip
_CONDITIONAL: Final[dict[str, _Row]] = {
    "open": (2, None), "openat": (257, 56), "clone": (56, 220), "tgkill": (234, 131),
    "prlimit64": (302, 261), "ioctl": (16, 29), "fcntl": (72, 25), "prctl": (157, 167),
    "socketpair": (53, 199),
}  # fmt: skip
_USED_TO_CONFINE: Final[dict[str, _Row]] = {
    "unshare": (272, 97), "capset": (126, 91), "seccomp": (317, 277),
}  # fmt: skip

ARCHITECTURES: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""AUDIT_ARCH values, as a filter sees them; the tables have their columns in this order."""


def allowed(machine: str) -> dict[str, int]:
    """Calls that the enclave may make with any arguments: number by name."""
    return _numbers(machine, _DATA, _MEMORY_AND_THREADS, _FACTS)


def conditional(machine: str) -> dict[str, int]:
    """Calls that depend on their arguments: number by name."""
    return _numbers(machine, _CONDITIONAL)


def confining(machine: str) -> dict[str, int]:
    """Calls that the confinement itself makes: number by name."""
    return _numbers(machine, _USED_TO_CONFINE)


def _numbers(machine: str, *tables: dict[str, _Row]) -> dict[str, int]:
    column = list(ARCHITECTURES).index(machine)
    rows = (item for table in tables for item in table.items())
    return {name: number for name, row in rows if (number := row[column]) is not None}
