"""Reads a Debian package and lays its files below a folder, and nowhere else.

The bytes come from a mirror. Their hash was checked, but a package is written by somebody else all the
same: sizes and counts are bounded, a path never leaves the folder (not by `..`, not through a link that
another member left), and nothing but files, folders and links is made. Owners and set-user-id bits are
dropped; scripts in the package are not run. Format: deb(5), ar(5).
"""

from __future__ import annotations

import gzip
import io
import lzma
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, cast

from enclave_compute.image.debian.errors import ArchiveError

MAX_UNPACKED_BYTES: Final = 4 << 30
MAX_MEMBERS: Final = 200_000
MAX_LINKS_FOLLOWED: Final = 40

_AR_MAGIC: Final = b"!<arch>\n"
_AR_HEADER_BYTES: Final = 60
_AR_HEADER_END: Final = b"`\n"
_DECOMPRESSORS: Final = {"data.tar": "none", "data.tar.gz": "gz", "data.tar.xz": "xz"}
_PIECE_BYTES: Final = 1 << 20
_PERMISSIONS: Final = 0o777
_OWNER_MAY: Final = 0o600
_OWNER_MAY_ENTER: Final = 0o700
_DAMAGE: Final = (tarfile.TarError, lzma.LZMAError, gzip.BadGzipFile, EOFError, OverflowError, ValueError)


def unpack_deb_untrusted(package: Path, root: Path) -> None:
    """Lay the files of `package` below `root`, over what is there. Raises `ArchiveError`."""
    with package.open("rb") as stream:
        name, data = _data_member(stream, package.name)
        unpack_tar_untrusted(data, root, compression=_DECOMPRESSORS[name], label=package.name)


def unpack_tar_untrusted(
    stream: IO[bytes], root: Path, *, compression: str, label: str, strip_components: int = 0
) -> None:
    """Lay the members of a tar (`compression`: none, gz, xz) below `root`. Raises `ArchiveError`."""
    with _damage_named(label), _decompressed(stream, compression) as plain:
        budget_bytes = MAX_UNPACKED_BYTES
        with tarfile.open(fileobj=plain, mode="r|") as archive:
            for count, member in enumerate(archive):
                budget_bytes -= member.size
                if count >= MAX_MEMBERS or budget_bytes < 0:
                    raise ArchiveError(
                        f"{label}: more than {MAX_MEMBERS} members or {MAX_UNPACKED_BYTES} bytes unpacked"
                    )
                parts = _safe_parts(member.name, label)[strip_components:]
                if parts:
                    _lay(archive, member, root, parts, label)
        _require_end(plain, budget_bytes, label)


def inside(root: Path, parts: tuple[str, ...], label: str) -> Path:
    """Where `parts` leads as seen by a process whose root folder is `root`; links are followed within it.

    The last part is not followed. Raises `ArchiveError` when the links do not end.
    """
    pending = list(reversed(parts))
    reached: list[str] = []
    followed = 0
    while pending:
        part = pending.pop()
        if part in ("", "."):
            continue
        if part == "..":
            del reached[-1:]
            continue
        here = root.joinpath(*reached, part)
        if pending and here.is_symlink():
            followed += 1
            if followed > MAX_LINKS_FOLLOWED:
                raise ArchiveError(
                    f"{label}: more than {MAX_LINKS_FOLLOWED} links on the way to {'/'.join(parts)!r}"
                )
            target = str(here.readlink())
            if target.startswith("/"):
                reached.clear()
            pending.extend(reversed(target.split("/")))
        else:
            reached.append(part)
    return root.joinpath(*reached)


def _data_member(stream: IO[bytes], label: str) -> tuple[str, IO[bytes]]:
    """The name of the member of the ar archive that holds the files, and its bytes."""
    if stream.read(len(_AR_MAGIC)) != _AR_MAGIC:
        raise ArchiveError(f"{label}: not a Debian package (no ar header)")
    for position in range(3):
        name, size = _ar_header(stream.read(_AR_HEADER_BYTES), label)
        if position == 0 and (name != "debian-binary" or stream.read(size) != b"2.0\n"):
            raise ArchiveError(f"{label}: not a package of format 2.0")
        if position == 1:
            if not name.startswith("control.tar"):
                raise ArchiveError(f"{label}: got {name!r} where control.tar should be")
            stream.seek(size, os.SEEK_CUR)
        if position == 2:
            if name not in _DECOMPRESSORS:
                raise ArchiveError(f"{label}: got {name!r}; expected one of {sorted(_DECOMPRESSORS)}")
            return name, io.BufferedReader(_Bounded(stream, size))
        if size % 2:
            stream.seek(1, os.SEEK_CUR)
    raise ArchiveError(f"{label}: no data member")


def _ar_header(header: bytes, label: str) -> tuple[str, int]:
    size = header[48:58].rstrip(b" ")
    if (
        len(header) != _AR_HEADER_BYTES
        or header[58:] != _AR_HEADER_END
        or not (size.isdigit() and size.isascii())
    ):
        raise ArchiveError(f"{label}: a damaged or shortened ar header")
    return header[:16].rstrip(b" /").decode("ascii", "replace"), int(size)


class _Bounded(io.RawIOBase):
    """The next `size` bytes of `stream` and no more."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream = stream
        self._left_bytes = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._stream.read(min(len(buffer), self._left_bytes))
        buffer[: len(data)] = data
        self._left_bytes -= len(data)
        return len(data)


@contextmanager
def _decompressed(stream: IO[bytes], compression: str) -> Iterator[IO[bytes]]:
    if compression == "xz":
        with lzma.LZMAFile(stream) as plain:
            yield cast(IO[bytes], plain)
    elif compression == "gz":
        with gzip.GzipFile(fileobj=stream) as plain:
            yield cast(IO[bytes], plain)
    else:
        yield stream


@contextmanager
def _damage_named(label: str) -> Iterator[None]:
    """Whatever the decompressor or tarfile says, as one error of ours."""
    try:
        yield
    except (*_DAMAGE, OSError) as error:
        raise ArchiveError(f"{label}: damaged, or its files cannot be written: {error}") from error


def _require_end(plain: IO[bytes], budget_bytes: int, label: str) -> None:
    """Read what follows the last member: the decompressor's checksum stands at the very end."""
    while padding := plain.read(_PIECE_BYTES):
        budget_bytes -= len(padding)
        if budget_bytes < 0:
            raise ArchiveError(f"{label}: more than {MAX_UNPACKED_BYTES} bytes unpacked")


def _safe_parts(name: str, label: str) -> tuple[str, ...]:
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts or name.startswith("/") or "\0" in name:
        raise ArchiveError(f"{label}: a path that leaves the folder: {name[:200]!r}")
    return parts


def _lay(
    archive: tarfile.TarFile, member: tarfile.TarInfo, root: Path, parts: tuple[str, ...], label: str
) -> None:
    path = inside(root, parts, label)
    if member.isdir():
        # A folder may be a link already: /bin is one in every merged root.
        entered = inside(root, (*parts, "."), label) if path.is_symlink() else path
        entered.mkdir(parents=True, exist_ok=True)
        if not path.is_symlink():
            path.chmod(member.mode & _PERMISSIONS | _OWNER_MAY_ENTER)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink() or path.exists():
        path.unlink()
    if member.issym():
        path.symlink_to(member.linkname)
    elif member.islnk():
        os.link(_linked(root, member, label), path, follow_symlinks=False)
    elif member.isreg():
        with cast(IO[bytes], archive.extractfile(member)) as source, path.open("xb") as target:
            shutil.copyfileobj(source, target)
        path.chmod(member.mode & _PERMISSIONS | _OWNER_MAY)
        os.utime(path, (member.mtime, member.mtime))
    else:
        raise ArchiveError(f"{label}: {member.name[:200]!r} is neither file nor folder nor link")


def _linked(root: Path, member: tarfile.TarInfo, label: str) -> Path:
    target = inside(root, _safe_parts(member.linkname, label), label)
    if target.is_symlink() or not target.is_file():
        raise ArchiveError(f"{label}: {member.name[:200]!r} is a link to what is not a file there")
    return target
