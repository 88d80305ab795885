"""How a party's own files are read and written: never half, never over another, never for other users' eyes.

`create` and `create_whole` make a new file or none; `replace` puts a whole new content in place at once;
`read` is bounded, and refuses a private file that other users of the machine can read, because a key that was
readable once has to count as known. POSIX permissions are meant; access control lists beside them are not
looked at.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from protos.formats.errors import ConcordatError

OWNER_ONLY: Final = 0o600
PUBLIC: Final = 0o644
_OTHERS: Final = 0o077
_EXISTS: Final = "{}: there is a file of this name already; nothing was written"
_EXISTS_HINT: Final = "choose another name or folder, or move the old file away yourself"


class FileAccessError(ConcordatError):
    """A file that belongs to this party cannot be read or written."""

    code = "file/access"


class FileExistsAlreadyError(FileAccessError):
    """There is a file of this name, and it is not to be overwritten."""

    code = "file/exists"


class ExposedFileError(FileAccessError):
    """A private file that other users of this machine can read or change."""

    code = "file/exposed"


def create(path: Path, data: bytes, *, mode: int = OWNER_ONLY) -> None:
    """Writes a new file at `path` with exactly these permissions. Raises `FileAccessError`."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except FileExistsError as error:
        raise FileExistsAlreadyError(_EXISTS.format(path), hint=_EXISTS_HINT) from error
    except OSError as error:
        raise FileAccessError(f"{path}: cannot be written ({error.strerror})") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)  # whatever the umask took away or left
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise FileAccessError(f"{path}: cannot be written ({error.strerror})") from error


@contextmanager
def create_whole(path: Path) -> Iterator[BinaryIO]:
    """A new file to be written bit by bit: it gets its name when the block ends well, and else is gone."""
    require_absent(path)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    create(beside, b"", mode=PUBLIC)
    try:
        with beside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        require_absent(path)  # nobody has made one meanwhile
        beside.replace(path)
    except OSError as error:
        raise FileAccessError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        beside.unlink(missing_ok=True)


def replace(path: Path, data: bytes) -> None:
    """Writes `path`, or what was there before stays whole. For files that can be made again."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    create(beside, data, mode=PUBLIC)
    try:
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise FileAccessError(f"{path}: cannot be written ({error.strerror})") from error


def read(path: Path, *, max_bytes: int, private: bool) -> bytes:
    """The bytes of a regular file of at most `max_bytes`; if `private`, one that only its owner can read.

    Raises `FileAccessError` or `ExposedFileError`.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())  # of what was opened, not of what the name means by now
            if not stat.S_ISREG(status.st_mode):
                raise FileAccessError(f"{path}: is not a regular file")
            if private and status.st_mode & _OTHERS:
                raise ExposedFileError(
                    f"{path}: other users of this machine have access to it "
                    f"(mode {stat.S_IMODE(status.st_mode):04o}, expected 0600)",
                    hint=f"chmod 600 {path}   (and replace it if somebody may have read it)",
                )
            data = file.read(max_bytes + 1)
    except FileNotFoundError as error:
        raise FileAccessError(f"{path}: there is no such file") from error
    except OSError as error:
        raise FileAccessError(f"{path}: cannot be read ({error.strerror})") from error
    if len(data) > max_bytes:
        raise FileAccessError(f"{path}: is larger than the {max_bytes} bytes expected at most")
    return data


def make_folder(path: Path) -> None:
    """Makes `path` and what is missing above it, for the owner alone. Raises `FileAccessError`."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise FileAccessError(f"{path}: cannot be made ({error.strerror})") from error


def require_absent(*paths: Path) -> None:
    """None of `paths` exists, before the first of them is written. Raises `FileExistsAlreadyError`."""
    for path in paths:
        if path.is_symlink() or path.exists():
            raise FileExistsAlreadyError(_EXISTS.format(path), hint=_EXISTS_HINT)
