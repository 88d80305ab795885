"""The enclave's process: a user without rights, without files to write, without a way to get more."""

from __future__ import annotations

import os
import resource
from typing import Final

from enclave_compute.boot.kernel import drop_capability_bounds, forbid_new_privileges

ENCLAVE_USER: Final = 1000
OPEN_FILES_MAX: Final = 256
PROCESSES_MAX: Final = 256
"""Threads count: at most 16 of connections, and of the engine as many as an agreement may allow, 128."""


def give_up_privileges() -> None:
    """For good, for this process and whatever it starts. Raises `OSError`."""
    os.setsid()
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, OPEN_FILES_MAX),
        (resource.RLIMIT_NPROC, PROCESSES_MAX),
    ):
        resource.setrlimit(kind, (most, most))
    drop_capability_bounds()
    os.setgroups([])
    os.setresgid(ENCLAVE_USER, ENCLAVE_USER, ENCLAVE_USER)
    os.setresuid(ENCLAVE_USER, ENCLAVE_USER, ENCLAVE_USER)  # the kernel drops all capabilities with it
    forbid_new_privileges()
