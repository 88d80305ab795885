"""Runs a module's tests against its mutants, each in a fork that is thrown away.

What is slow to import is imported once, here; what is mutated is imported by the forks alone. It works on a
copy of the repository and writes the mutants into it, one after the other.
"""

from __future__ import annotations

import importlib
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Final

import pytest

_SLOW_TO_IMPORT: Final = (
    "cbor2",
    "cryptography.hazmat.primitives.asymmetric.ed25519",
    "cryptography.x509.verification",
    "duckdb",
    "hypothesis.stateful",
    "nanoarrow.ipc",
    "pandas",
    "pyarrow",
    "sqlglot",
)
_OURS: Final = ("coordinator", "enclave_compute", "party_client", "protos", "scenarios")
_OPTIONS: Final = ("-x", "-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning")
_POLL_S: Final = 0.02
_MEMORY_BYTES: Final = 8 * 2**30


class Verdict(StrEnum):
    """What the tests said about a module."""

    KILLED = "killed"
    """They failed."""
    TIMED_OUT = "timed out"
    """They did not end in time, as they do otherwise: noticed as well."""
    SURVIVED = "survived"
    """They passed."""


def prepare() -> None:
    """Imports what is slow, and nothing that could be mutated."""
    for name in _SLOW_TO_IMPORT:
        importlib.import_module(name)
    if loaded := [name for name in _OURS if name in sys.modules]:
        raise RuntimeError(f"{loaded} must not be imported before the forks are")


def judge(tests: tuple[str, ...], *, limit_s: float, is_silent: bool = True) -> Verdict:
    """What `tests` say about the modules as they are now in the working folder."""
    child = os.fork()
    if child == 0:
        os._exit(_test_here(tests, is_silent=is_silent))
    deadline_s = time.monotonic() + limit_s
    while time.monotonic() < deadline_s:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return Verdict.KILLED if status else Verdict.SURVIVED
        time.sleep(_POLL_S)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return Verdict.TIMED_OUT


@contextmanager
def rewritten(path: Path, source: str) -> Iterator[None]:
    """`path` with other contents for a while; its time of change comes back with its contents."""
    original, times = path.read_bytes(), path.stat()
    path.write_text(source)
    try:
        yield
    finally:
        path.write_bytes(original)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def _test_here(tests: tuple[str, ...], *, is_silent: bool) -> int:
    os.setsid()
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))  # a mutant may know no bounds
    if is_silent:
        silence = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(silence, number)
    sys.dont_write_bytecode = True
    # The first file alone, which mostly is enough: collecting the others takes longer than running it.
    stages = [tests[:1], tests[1:]] if len(tests) > 1 else [tests]
    return int(any(pytest.main([*_OPTIONS, *stage]) for stage in stages))
