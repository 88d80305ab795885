"""Writes a tree as a cpio archive in the "newc" format, the one that Linux unpacks as an initial ramdisk.

Each entry is a header of 110 ASCII characters (magic 070701, then thirteen numbers of eight hexadecimal
digits), the path with a zero byte, and the content, both padded to four bytes; an entry called TRAILER!!! is
the last. Inode numbers count up, times and owners are zero: the same tree gives the same bytes. Linux
`Documentation/driver-api/early-userspace/buffer-format.rst`.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Final

from enclave_compute.image.errors import ImageBuildError
from enclave_compute.image.tree import Entry, Tree

_MAGIC: Final = b"070701"
_TRAILER: Final = "TRAILER!!!"
_ALIGNMENT: Final = 4
_PIECE_BYTES: Final = 1024 * 1024
_FILE_MAX_BYTES: Final = 0xFFFFFFFF


def write_cpio(tree: Tree, out: BinaryIO) -> None:
    """Streams `tree` to `out`. Raises `ImageBuildError` or `OSError`."""
    for inode, (path, entry) in enumerate(tree, start=1):
        size_bytes = _size(entry)
        _write_header(out, inode, path, entry, size_bytes)
        _write_content(out, path, entry, size_bytes)
        out.write(_padding(size_bytes))
    _write_header(out, 0, _TRAILER, Entry(0), 0)


def _write_header(out: BinaryIO, inode: int, path: str, entry: Entry, size_bytes: int) -> None:
    name = path.encode() + b"\0"
    major, minor = entry.device or (0, 0)
    links, owner, group, time_s, check = 1, 0, 0, 0, 0
    numbers = (
        *(inode, entry.mode, owner, group, links, time_s, size_bytes),
        *(0, 0, major, minor, len(name), check),
    )
    header = _MAGIC + b"".join(b"%08X" % number for number in numbers) + name
    out.write(header + _padding(len(header)))


def _write_content(out: BinaryIO, path: str, entry: Entry, size_bytes: int) -> None:
    if isinstance(entry.content, bytes):
        out.write(entry.content)
        return
    left_bytes = size_bytes
    with entry.content.open("rb") as source:
        while part := source.read(min(left_bytes, _PIECE_BYTES)):
            out.write(part)
            left_bytes -= len(part)
        if left_bytes or source.read(1):
            raise ImageBuildError(f"{path}: changed while it was being read", hint="start again")


def _size(entry: Entry) -> int:
    size_bytes = entry.content.stat().st_size if isinstance(entry.content, Path) else len(entry.content)
    if size_bytes > _FILE_MAX_BYTES:
        raise ImageBuildError(f"got a file of {size_bytes} bytes, expected at most {_FILE_MAX_BYTES}")
    return size_bytes


def _padding(length: int) -> bytes:
    return bytes(-length % _ALIGNMENT)
