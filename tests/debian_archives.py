"""Small Debian packages for tests, made of named files, and damaged ones."""

from __future__ import annotations

import hashlib
import io
import lzma
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from enclave_compute.image.debian.lock import PinnedFile


def tar(members: Iterable[tarfile.TarInfo | tuple[str, bytes]]) -> bytes:
    """A tar of members as they are, or of files with their content."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
    return out.getvalue()


def link(name: str, target: str, *, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    """A symbolic link, or another kind of member."""
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info


def folder(name: str) -> tarfile.TarInfo:
    """A folder."""
    info = tarfile.TarInfo(name)
    info.type = tarfile.DIRTYPE
    info.mode = 0o755
    return info


def ar(members: Iterable[tuple[str, bytes]]) -> bytes:
    """An ar archive."""
    out = b"!<arch>\n"
    for name, content in members:
        header = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n"
        out += header.encode() + content + b"\n" * (len(content) % 2)
    return out


def deb(data: bytes, *, compress: bool = True) -> bytes:
    """A package whose data member is the tar `data`."""
    control = ("control.tar.xz", lzma.compress(tar([("./control", b"Package: x\n")])))
    packed = ("data.tar.xz", lzma.compress(data)) if compress else ("data.tar", data)
    return ar([("debian-binary", b"2.0\n"), control, packed])


def pinned(
    content: bytes, *, name: str = "bc", path: str = "pool/main/b/bc/bc_1.07.1-4_amd64.deb"
) -> PinnedFile:
    """What a lock says of `content`."""
    return PinnedFile(name, "1.07.1-4", "amd64", path, len(content), hashlib.sha256(content).hexdigest())


def files_below(root: Path) -> Mapping[str, bytes]:
    """Every regular file, links not followed."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }
