"""A file system to be: entries by path, each a folder, a file, a link or a device, without times and owners.

What does not reach the image cannot make two builds differ: there are two modes of files, one of folders, one
owner (root), and no time at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from enclave_compute.image.errors import ImageBuildError

FOLDER_MODE: Final = 0o040555
FILE_MODE: Final = 0o100444
PROGRAM_MODE: Final = 0o100555
LINK_MODE: Final = 0o120777
_CHARACTER_DEVICE_MODE: Final = 0o020600


@dataclass(frozen=True)
class Entry:
    """One entry; `content` is what a file holds or where a link points."""

    mode: int
    content: bytes | Path = b""
    device: tuple[int, int] | None = None
    """Major and minor number of a character device."""


def folder() -> Entry:
    """An empty folder, to be mounted on."""
    return Entry(FOLDER_MODE)


def file(content: bytes | Path, *, executable: bool = False) -> Entry:
    """A file of these bytes, or of those that lie at a path."""
    return Entry(PROGRAM_MODE if executable else FILE_MODE, content)


def link(target: str) -> Entry:
    """A symbolic link."""
    return Entry(LINK_MODE, target.encode())


def character_device(major: int, minor: int) -> Entry:
    """A device that process 1 needs before there is a device file system: the console."""
    return Entry(_CHARACTER_DEVICE_MODE, device=(major, minor))


class Tree:
    """Entries by relative posix path; no path twice. Iterates folders before what is in them, sorted."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def add(self, path: str, entry: Entry) -> None:
        """Adds `entry` and the folders above it. Raises `ImageBuildError` for a path that is taken or odd."""
        parts = PurePosixPath(path).parts
        if not parts or path.startswith("/") or ".." in parts or "/".join(parts) != path:
            raise ImageBuildError(f"{path!r}: got this path, expected a plain relative one")
        for depth in range(1, len(parts)):
            above = self._entries.setdefault("/".join(parts[:depth]), folder())
            if above.mode != FOLDER_MODE:
                raise ImageBuildError(f"{path}: lies below something that is no folder")
        known = self._entries.setdefault(path, entry)
        if known is not entry and not known.mode == entry.mode == FOLDER_MODE:
            raise ImageBuildError(f"{path}: two files want to lie here")

    def add_all(self, prefix: str, files: Iterable[tuple[str, Path]]) -> None:
        """Adds plain files below `prefix`."""
        for name, source in files:
            self.add(f"{prefix}/{name}", file(source))

    def __iter__(self) -> Iterator[tuple[str, Entry]]:
        return iter(sorted(self._entries.items(), key=lambda item: item[0].split("/")))

    def __contains__(self, path: str) -> bool:
        return path in self._entries

    def files(self) -> Iterator[tuple[str, Entry]]:
        """Files alone, sorted."""
        return ((path, entry) for path, entry in self if entry.mode in (FILE_MODE, PROGRAM_MODE))
