"""What a party remembers of an unfinished upload, so that it can go on and never seals two things as one.

One file per upload in the party's own state folder, readable by its owner alone: it holds the data key. The
tag of every chunk is on the disk before the chunk leaves. When the upload is continued, chunks are made again
from the source and must have the same tags: AES-GCM must never seal two different texts under one nonce, so a
source that has changed is refused before anything of it leaves. The file goes when the enclave has accepted.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import astuple
from io import FileIO
from pathlib import Path
from typing import Final

from party_client.datasets.errors import SourceChangedError
from party_client.datasets.stable_file import Fingerprint
from party_client.sealing import SealingSecrets
from protos.formats.canonical import Value, decode_map_untrusted, encode, require_bytes, require_int
from protos.formats.cose import verify_untrusted
from protos.formats.errors import ConcordatError
from protos.formats.limits import AEAD_TAG_BYTES, KIB, SEALED_HEADER_MAX_BYTES
from protos.formats.sealed import HEADER_LABEL, KEY_BYTES, SealedHeader

JOURNAL_LABEL: Final = "concordat/upload-journal/v1"
_HEAD_MAX_BYTES: Final = 16 * KIB
_LENGTH_BYTES: Final = 4
_OWNER_ONLY: Final = 0o600


class JournalError(ConcordatError):
    """The journal of an upload cannot be used."""

    code = "upload/journal"


class Journal:
    """An open journal, locked against other processes; a context manager. `open_journal` makes it."""

    def __init__(self, path: Path, file: FileIO, upload: SealingSecrets, source: Fingerprint | None) -> None:
        self.path: Final = path
        self.upload: Final = upload
        self.source: Final = source
        """The state of the source when the upload began."""
        self._file: Final = file
        self._unwritten: Final = bytearray()
        start = file.tell()
        known = file.read()
        self._known: Final = known[: len(known) // AEAD_TAG_BYTES * AEAD_TAG_BYTES]
        # A tag that was cut short by a crash was never relied on.
        file.truncate(start + len(self._known))
        file.seek(0, os.SEEK_END)

    @property
    def chunks(self) -> int:
        """How many chunks had been sealed when the journal was opened."""
        return len(self._known) // AEAD_TAG_BYTES

    def record(self, number: int, tag: bytes) -> None:
        """Notes the tag of chunk `number`, or compares it with the one noted before.

        Raises `SourceChangedError` when they differ. A new tag counts after `sync`.
        """
        if number >= self.chunks:
            self._unwritten.extend(tag)
        elif self._known[number * AEAD_TAG_BYTES : (number + 1) * AEAD_TAG_BYTES] != tag:
            raise SourceChangedError(
                f"the data has changed since this upload began (first at chunk {number}); nothing of the "
                "change was sent",
                hint="run the same command again: it starts a new upload",
            )

    def require_same_source(self, now: Fingerprint | None) -> None:
        """Raises `SourceChangedError` if the source is not in the state in which the upload began."""
        if now != self.source:
            raise SourceChangedError(
                "the file was written to or replaced since this upload began; nothing of the change was sent",
                hint="run the same command again: it starts a new upload",
            )

    def sync(self) -> None:
        """Everything recorded is on the disk when this returns. Raises `JournalError`."""
        try:
            while self._unwritten:
                del self._unwritten[: self._file.write(self._unwritten)]
            os.fdatasync(self._file.fileno())
        except OSError as error:
            raise JournalError(
                f"{self.path}: cannot be written ({error.strerror})",
                hint="free some space on this disk, then run the same command again: it continues",
            ) from error

    def remove(self) -> None:
        """The upload is over, or can never be continued."""
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Leaves the journal for another process."""
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def create_journal(path: Path, upload: SealingSecrets, *, source: Fingerprint | None) -> Journal:
    """A new journal at `path`, on the disk when this returns. Raises `JournalError`."""
    head = encode(
        {
            "label": JOURNAL_LABEL,
            "data_key": upload.data_key,
            "signed_header": upload.signed_header,
            "source": None if source is None else list(astuple(source)),
        }
    )
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _OWNER_ONLY)
    except OSError as error:
        raise _unwritable(path, error) from error
    file = os.fdopen(descriptor, "w+b", buffering=0)
    _lock(path, file)
    try:
        unwritten = len(head).to_bytes(_LENGTH_BYTES, "big") + head
        while unwritten:
            unwritten = unwritten[file.write(unwritten) :]
        os.fdatasync(descriptor)
        _sync_folder(path.parent)
    except OSError as error:
        path.unlink()
        file.close()
        raise _unwritable(path, error) from error
    return Journal(path, file, upload, source)


def open_journal(path: Path, *, signing_key: bytes) -> Journal | None:
    """The journal at `path`, of the owner with this public key; None when there is none or no whole one.

    Raises `JournalError` when it is of no use or another process is at it.
    """
    try:
        file = path.open("r+b", buffering=0)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise JournalError(f"{path}: cannot be read ({error.strerror})") from error
    _lock(path, file)
    prefix = file.read(_LENGTH_BYTES)
    length = int.from_bytes(prefix, "big")
    head = file.read(min(length, _HEAD_MAX_BYTES))
    if len(prefix) < _LENGTH_BYTES or len(head) < min(length, _HEAD_MAX_BYTES):
        # Cut short by a crash while it was being made: nothing was sealed with this key.
        path.unlink()
        file.close()
        return None
    try:
        fields = decode_map_untrusted(
            head,
            label=JOURNAL_LABEL,
            keys=frozenset({"data_key", "signed_header", "source"}),
            max_bytes=_HEAD_MAX_BYTES,
        )
        return Journal(path, file, _secrets(fields, signing_key), _fingerprint(fields["source"]))
    except ConcordatError as error:
        file.close()
        raise JournalError(
            f"{path}: is not the journal of an upload of this identity ({error.message})",
            hint="run the same command with --restart: it starts a new upload",
        ) from error


def _unwritable(path: Path, error: OSError) -> JournalError:
    return JournalError(
        f"{path}: cannot be written ({error.strerror})",
        hint="free some space on this disk, or name another folder with --state",
    )


def _secrets(fields: dict[str, Value], signing_key: bytes) -> SealingSecrets:
    signed = require_bytes(fields["signed_header"], what="signed header", max_length=SEALED_HEADER_MAX_BYTES)
    payload = verify_untrusted(
        signed, typ=HEADER_LABEL, public_key=signing_key, max_bytes=SEALED_HEADER_MAX_BYTES
    )
    return SealingSecrets(
        data_key=require_bytes(fields["data_key"], what="data key", length=KEY_BYTES),
        signed_header=signed,
        header=SealedHeader.decode_untrusted(payload),
    )


def _fingerprint(value: Value) -> Fingerprint | None:
    if value is None:
        return None
    size, changed, inode = (require_int(item, what="fingerprint") for item in value)
    return Fingerprint(size, changed, inode)


def _lock(path: Path, file: FileIO) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise JournalError(
            f"{path}: another process is sending this dataset", hint="wait for it, or end it"
        ) from error


def _sync_folder(folder: Path) -> None:
    """A new name is on the disk only when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
