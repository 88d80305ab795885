"""Opens a party's own file and stands guard while it is read: same file, same bytes, right encoding.

A file that is written to during an upload would give a dataset that never existed. `StableFile` remembers
size, time of change and identity when it is opened and demands them again at the end; `Fingerprint` does the
same between an interrupted upload and its continuation.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Final

from party_client.datasets.errors import SourceChangedError, SourceFileError

_HEAD_BYTES: Final = 4096
# Started like this, a file is of a kind that we can name. UTF-32 is looked for before UTF-16.
_KINDS: Final = (
    (b"PAR1", "a Parquet file", "call it NAME.parquet"),
    (b"\x1f\x8b", "compressed with gzip", "decompress it first: gunzip FILE"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "decompress it first: unzstd FILE"),
    (b"PK\x03\x04", "a zip archive or an Excel workbook", "unpack it, or save the sheet as CSV in UTF-8"),
    (b"\xff\xfe\x00\x00", "in UTF-32", "convert it: iconv -f UTF-32 -t UTF-8 FILE > NEW"),
    (b"\xff\xfe", "in UTF-16", "convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW"),
    (b"\xfe\xff", "in UTF-16", "convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW"),
)


@dataclass(frozen=True)
class Fingerprint:
    """Which file this is and when it was last changed; two equal ones mean that nobody wrote in between."""

    size_bytes: int
    changed_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Fingerprint:
        """From what the system says about the file."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)


class StableFile(FileIO):
    """A regular file opened for reading, as binary; a context manager.

    `watch` sees every block that is read through `read`, in order.
    """

    def __init__(self, path: Path, *, watch: Callable[[bytes], None] | None = None) -> None:
        try:
            super().__init__(path, opener=_open)
        except OSError as error:
            raise SourceFileError(
                f"{path}: cannot be read ({error.strerror})", hint="check the name and the permissions"
            ) from error
        self.path: Final = path
        self._watch = watch
        status = os.fstat(self.fileno())
        self.fingerprint: Final = Fingerprint.of(status)
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise SourceFileError(
                f"{path}: not a regular file",
                hint="write the data to a file first: an interrupted upload reads it again",
            )
        if status.st_size == 0:
            self.close()
            raise SourceFileError(
                f"{path}: the file is empty (0 bytes)", hint="export the data again; check the disk"
            )

    def read(self, size: int | None = -1, /) -> bytes:
        """The next `size` bytes, fewer at the end."""
        block = super().read(-1 if size is None else size)
        if self._watch is not None:
            self._watch(block)
        return block

    def require_unchanged(self) -> None:
        """Raises `SourceChangedError` if the file was written to, or replaced, since it was opened."""
        opened, now = Fingerprint.of(os.fstat(self.fileno())), _fingerprint_or_none(self.path)
        if opened != self.fingerprint or now != self.fingerprint:
            raise SourceChangedError(
                f"{self.path}: the file was changed or replaced while it was read",
                hint="wait until whatever writes it is done, then start again",
            )


def fingerprint(path: Path) -> Fingerprint:
    """The fingerprint of the file at `path` now. Raises `SourceFileError`."""
    with StableFile(path) as file:
        return file.fingerprint


def require_text_file(path: Path) -> None:
    """Raises `SourceFileError` naming what it is, if the file begins like something else than UTF-8 text."""
    with StableFile(path) as file:
        head = file.read(_HEAD_BYTES)
    for magic, kind, hint in _KINDS:
        if head.startswith(magic):
            raise SourceFileError(f"{path}: the file is {kind}, expected CSV text in UTF-8", hint=hint)
    if max(head[0::2].count(0), head[1::2].count(0)) > 0.45 * len(head):  # nearly every other byte
        raise SourceFileError(
            f"{path}: the file seems to be in UTF-16 without a byte order mark, expected CSV text in UTF-8",
            hint="convert it: iconv -f UTF-16LE -t UTF-8 FILE > NEW",
        )


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe without a writer would wait for one


def _fingerprint_or_none(path: Path) -> Fingerprint | None:
    try:
        return Fingerprint.of(path.stat())
    except OSError:
        return None
