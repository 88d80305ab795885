"""Writes a sealed file as its chunks come, and ends it with the owner's signature over all of it.

Holds one record at a time. That the file is whole or not there at all is for the caller, who opens it
(`files.create_whole`). Followed: protos/README.md, "Sealed file".
"""

from __future__ import annotations

import hashlib
from typing import BinaryIO, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from party_client.sealed_files.layout import END_LABEL, FIRST_LINE, LENGTH_BYTES, end_payload
from protos.formats import cose


class SealedFileWriter:
    """Header, then `add` for each chunk in order, then `finish`."""

    def __init__(self, file: BinaryIO, signed_header: bytes) -> None:
        self._file: Final = file
        self._digest: Final = hashlib.sha384()
        self._write(FIRST_LINE)
        self._record(signed_header)

    def add(self, sealed: bytes) -> None:
        """The next chunk."""
        self._record(sealed)

    def finish(self, signed_manifest: bytes, key: Ed25519PrivateKey) -> None:
        """No further chunk; the manifest, and the end, signed with the owner's key."""
        self._write(bytes(LENGTH_BYTES))
        self._record(signed_manifest)
        self._record(cose.sign(end_payload(self._digest.digest()), typ=END_LABEL, key=key))

    def _record(self, content: bytes) -> None:
        self._write(len(content).to_bytes(LENGTH_BYTES, "big"))
        self._write(content)

    def _write(self, data: bytes) -> None:
        self._digest.update(data)
        self._file.write(data)
