"""Decides which files of Debian's archive a build may use: those that its lock names, byte for byte.

A lock is text: comments, then one line a file, sorted: name, version, architecture, path in the archive,
size, SHA-256. It says where in the archive a file lies and never which mirror has it, so it means the same
everywhere and for as long as anybody keeps the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from enclave_compute.image.debian.errors import LockError

LOCKS: Final = Path(__file__).resolve().parents[1] / "locks"

SOURCE: Final = "source"
"""The architecture of a file that is part of a source package."""

MAX_LOCK_BYTES: Final = 1 << 20
MAX_FILE_BYTES: Final = 1 << 30

_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]{1,99}")
_VERSION = re.compile(r"[0-9][A-Za-z0-9.+:~-]{0,99}")
_ARCHITECTURES: Final = frozenset({"all", "amd64", SOURCE})
_PATH = re.compile(r"pool(/[A-Za-z0-9][A-Za-z0-9.+~_%-]*){3,6}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SIZE = re.compile(r"[1-9][0-9]{0,9}")


@dataclass(frozen=True, order=True)
class PinnedFile:
    """One file of the archive. Raises `LockError` when made of anything a lock cannot say."""

    name: str
    version: str
    architecture: str
    path: str
    """Below the mirror's base, such as `pool/main/b/bc/bc_1.07.1-4_amd64.deb`."""
    size_bytes: int
    sha256: str
    """64 hexadecimal digits."""

    def __post_init__(self) -> None:
        well_formed = (
            _NAME.fullmatch(self.name)
            and _VERSION.fullmatch(self.version)
            and self.architecture in _ARCHITECTURES
            and _PATH.fullmatch(self.path)
            and 0 < self.size_bytes <= MAX_FILE_BYTES
            and _SHA256.fullmatch(self.sha256)
        )
        if not well_formed:
            raise LockError(
                f"not a pinned file: {self.line()!r}", hint="make the lock again: make image-lock"
            )

    @property
    def file_name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    def line(self) -> str:
        """As it stands in a lock."""
        return f"{self.name} {self.version} {self.architecture} {self.path} {self.size_bytes} {self.sha256}"


@dataclass(frozen=True)
class Lock:
    """What one build may use. Raises `LockError` when empty, unsorted, or when a path stands twice."""

    files: tuple[PinnedFile, ...]

    def __post_init__(self) -> None:
        paths = {file.path for file in self.files}
        if not self.files or list(self.files) != sorted(self.files) or len(paths) != len(self.files):
            raise LockError(
                f"a lock of {len(self.files)} files that is empty, unsorted, or names a file twice",
                hint="make the lock again: make image-lock",
            )

    @property
    def packages(self) -> tuple[PinnedFile, ...]:
        """The binary packages."""
        return tuple(file for file in self.files if file.architecture != SOURCE)

    @property
    def sources(self) -> tuple[PinnedFile, ...]:
        """The parts of source packages."""
        return tuple(file for file in self.files if file.architecture == SOURCE)

    def package(self, name: str) -> PinnedFile:
        """The one binary package of that name. Raises `LockError`."""
        found = [file for file in self.packages if file.name == name]
        if len(found) != 1:
            raise LockError(
                f"the lock has {len(found)} packages named {name}; expected 1", hint="make image-lock"
            )
        return found[0]


def parse_lock_untrusted(data: bytes) -> Lock:
    """The lock that `data` is. Raises `LockError`."""
    if len(data) > MAX_LOCK_BYTES:
        raise LockError(f"a lock of {len(data)} bytes; at most {MAX_LOCK_BYTES} are read")
    if not data.isascii():
        raise LockError("a lock that is not plain ASCII", hint="make the lock again: make image-lock")
    text = data.decode("ascii")
    return Lock(tuple(_parse_line(line) for line in text.splitlines() if line and not line.startswith("#")))


def format_lock(comment: str, files: Iterable[PinnedFile]) -> str:
    """A lock as text, under a comment."""
    head = [f"# {line}".rstrip() for line in comment.strip().splitlines()]
    return "\n".join([*head, *(file.line() for file in Lock(tuple(sorted(files))).files)]) + "\n"


def read_lock(name: str) -> Lock:
    """The lock that ships as `locks/NAME.lock`. Raises `LockError`."""
    return parse_lock_untrusted(lock_path(name).read_bytes())


def lock_path(name: str) -> Path:
    """Where the lock called `name` ships."""
    return LOCKS / f"{name}.lock"


def _parse_line(line: str) -> PinnedFile:
    fields = line.split(" ")
    if len(fields) != 6 or not _SIZE.fullmatch(fields[4]):
        raise LockError(
            f"not a line of a lock: {line[:200]!r}",
            hint="expected: name version architecture path size sha256, with one space between",
        )
    name, version, architecture, path, size, sha256 = fields
    return PinnedFile(name, version, architecture, path, int(size), sha256)
