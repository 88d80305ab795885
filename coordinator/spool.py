"""Sealed chunks on the coordinator's disk: append-only, and after any crash exactly what was acknowledged.

An upload has two files. `.chunks` holds the sealed bytes end to end; `.index` holds eight bytes a chunk
(big-endian: end of the chunk in `.chunks`, times two, plus one for the last chunk) and is written only after
the chunks it names are on the disk. So whatever the index names is there, and opening cuts off the rest: a
chunk that was half written, or whole but never acknowledged.

One thread appends while another commits and any number read; no chunk is kept in memory. The files close when
nobody holds the spool any more, so deleting it needs no agreement among threads.
"""

from __future__ import annotations

import errno
import os
import shutil
import struct
import threading
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coordinator.errors import BadRequestError, DiskFullError, OutOfOrderError, StateError
from protos.formats.limits import AEAD_TAG_BYTES, CHUNK_CIPHERTEXT_MAX_BYTES, CHUNKS_MAX

_ENTRY: Final = struct.Struct(">Q")
_LET_GO_CHUNKS: Final = 16
_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_CREATE: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC


@dataclass(frozen=True)
class StoredChunk:
    """A sealed chunk read back."""

    number: int
    sealed: bytes
    last: bool


class Spool:
    """One upload's chunks: those below `durable` survive a power cut, those below `appended` this minute."""

    def __init__(self, folder: Path, name: str) -> None:
        self._paths = _paths(folder, name)
        self._appending = threading.Lock()
        self._committing = threading.Lock()
        self._uncommitted: list[bytes] = []
        self._let_go = 0
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._chunks, self._index = (self._open(path) for path in self._paths)
            self.durable, self.stored_bytes, self.complete = self._recover()
            _sync_folder(folder)
        except OSError as error:
            raise _explained(error, self._paths[0]) from error
        self.appended = self.durable

    def append(self, number: int, sealed: bytes, *, last: bool) -> None:
        """Write chunk `number`, which must be the next. `DiskFullError` leaves everything as it was."""
        with self._appending:
            self._require_next(number, len(sealed))
            try:
                _write_all(self._chunks, sealed, self.stored_bytes)
            except OSError as error:
                os.ftruncate(self._chunks, self.stored_bytes)
                raise _explained(error, self._paths[0]) from error
            self.stored_bytes += len(sealed)
            self._uncommitted.append(_ENTRY.pack(self.stored_bytes << 1 | last))
            self.appended += 1
            self.complete = last

    def commit(self) -> int:
        """Bring everything that was appended to the disk, chunks first, and return the new `durable`."""
        with self._committing:
            with self._appending:
                entries, self._uncommitted = self._uncommitted, []
            if entries:
                try:
                    os.fdatasync(self._chunks)
                    _write_all(self._index, b"".join(entries), self.durable * _ENTRY.size)
                    os.fdatasync(self._index)
                except OSError as error:
                    with self._appending:
                        self._uncommitted[:0] = entries
                    raise _explained(error, self._paths[1]) from error
                self.durable += len(entries)
            return self.durable

    def read(self, number: int) -> StoredChunk:
        """Chunk `number`, which must be below `durable`."""
        start = self._start(number)
        end, last = self._entry(number)
        sealed = os.pread(self._chunks, end - start, start)
        if len(sealed) != end - start:
            raise StateError(
                f"{self._paths[0]}: chunk {number} has {len(sealed)} bytes, expected {end - start}",
            )
        return StoredChunk(number, sealed, last)

    def taken(self, number: int) -> None:
        """Chunks below `number` will hardly be read again: give their pages in memory back now and then.

        The kernel would keep them, and take fresh memory for every chunk that comes: several times slower.
        """
        if number - self._let_go < _LET_GO_CHUNKS:
            return
        start, end = self._start(self._let_go), self._start(number)
        os.posix_fadvise(self._chunks, start, end - start, os.POSIX_FADV_DONTNEED)
        self._let_go = number

    def _open(self, path: Path) -> int:
        descriptor = os.open(path, _CREATE, 0o600)
        weakref.finalize(self, os.close, descriptor)
        return descriptor

    def _require_next(self, number: int, n_bytes: int) -> None:
        if number != self.appended:
            raise OutOfOrderError(
                f"chunk {number} leaves a gap, expected chunk {self.appended}",
            )
        if self.complete or number >= CHUNKS_MAX:
            raise BadRequestError(
                f"chunk {number} comes after the last one, expected none",
            )
        if not AEAD_TAG_BYTES < n_bytes <= CHUNK_CIPHERTEXT_MAX_BYTES:
            raise BadRequestError(
                f"chunk {number}: got {n_bytes} bytes, expected {AEAD_TAG_BYTES + 1} to "
                f"{CHUNK_CIPHERTEXT_MAX_BYTES}"
            )

    def _start(self, number: int) -> int:
        return self._entry(number - 1)[0] if number else 0

    def _entry(self, number: int) -> tuple[int, bool]:
        (entry,) = _ENTRY.unpack(os.pread(self._index, _ENTRY.size, number * _ENTRY.size))
        return entry >> 1, bool(entry & 1)

    def _recover(self) -> tuple[int, int, bool]:
        """(chunks, bytes, complete) that the index vouches for; everything beyond is cut off."""
        in_chunks = os.fstat(self._chunks).st_size
        count, end, last = 0, 0, False
        for number in range(os.fstat(self._index).st_size // _ENTRY.size):
            next_end, next_last = self._entry(number)
            if last or not end < next_end <= min(end + CHUNK_CIPHERTEXT_MAX_BYTES, in_chunks):
                break
            count, end, last = number + 1, next_end, next_last
        os.ftruncate(self._chunks, end)
        os.ftruncate(self._index, count * _ENTRY.size)
        return count, end, last


def stored_bytes(folder: Path, name: str) -> int:
    """Sealed bytes of a spool that need not be open; 0 if there is none."""
    try:
        return _paths(folder, name)[0].stat().st_size
    except FileNotFoundError:
        return 0


def spool_names(folder: Path) -> set[str]:
    """The names of the spools in `folder`, half made ones too."""
    return {entry.stem for entry in folder.iterdir()}


def delete_spool(folder: Path, name: str) -> None:
    """Remove a spool's two files; their space is free when the last user lets go."""
    for path in _paths(folder, name):
        path.unlink(missing_ok=True)


def delete_spools(folder: Path, *, but_of: set[str]) -> None:
    """Remove the spools below `folder` but for those folders in it that are still wanted."""
    if folder.is_dir():
        for entry in folder.iterdir():
            if entry.name not in but_of:
                shutil.rmtree(entry, ignore_errors=True)


def _paths(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / f"{name}.chunks", folder / f"{name}.index"


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def _sync_folder(folder: Path) -> None:
    """Make the files' names durable too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _explained(error: OSError, path: Path) -> DiskFullError | StateError:
    if error.errno in _NO_SPACE:
        return DiskFullError(
            f"{path.name}: no space left for this chunk ({error.strerror})",
        )
    return StateError(f"{path}: {error.strerror}", hint="check the --state folder")
