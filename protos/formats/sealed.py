"""A dataset sealed to one enclave under one agreement, in chunks that only fit in their own place.

The party makes a fresh 32-byte key per upload, wraps it with HPKE for the enclave and signs a header that
names agreement, enclave, party, dataset, schema and upload. Chunks follow the STREAM construction
(Hoang, Reyhanitabar, Rogaway, Vizár 2015; as in age): AES-256-GCM, nonce = chunk number (11 bytes,
big-endian) and last flag (1 byte), associated data = the header's digest, chunk number and last flag.
Reordering, truncation, duplication and splicing from another upload all fail to open. A signed manifest
(rows, plaintext bytes, chunks, digest over all tags) closes the dataset: without it it does not count.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from protos.formats import hpke, limits
from protos.formats.canonical import (
    decode_map_untrusted,
    digest,
    encode,
    require_bytes,
    require_int,
    require_text,
)
from protos.formats.errors import FormatError, LimitExceededError, SealError
from protos.formats.identifiers import DIGEST_BYTES, ENCLAVE_ID_BYTES, UPLOAD_ID_BYTES, require_slug

HEADER_LABEL: Final = "concordat/sealed-dataset/v1"
MANIFEST_LABEL: Final = "concordat/manifest/v1"
ACCEPTANCE_LABEL: Final = "concordat/acceptance/v1"
KEY_BYTES: Final = 32
COMPRESSIONS: Final = frozenset({"none", "zstd"})


@dataclass(frozen=True)
class SealedContext:
    """Where sealed chunks belong. Two uploads never share a context: `upload_id` is random."""

    agreement_digest: bytes
    enclave_id: bytes
    party: str
    dataset: str
    schema_digest: bytes
    upload_id: bytes
    compression: str
    """How the Arrow buffers inside the chunks are compressed; the reader needs no telling, auditors do."""

    def info(self) -> bytes:
        """What the wrapped key is for: HPKE `info`."""
        return encode({"label": HEADER_LABEL, **self._fields()})

    def _fields(self) -> dict[str, str | bytes]:
        return {
            "agreement": self.agreement_digest,
            "enclave": self.enclave_id,
            "party": self.party,
            "dataset": self.dataset,
            "schema": self.schema_digest,
            "upload": self.upload_id,
            "compression": self.compression,
        }


@dataclass(frozen=True)
class SealedHeader:
    """The first thing of an upload; the party signs its encoding as COSE type `HEADER_LABEL`."""

    context: SealedContext
    wrapped_key: bytes

    def encode(self) -> bytes:
        """Canonical bytes, to be signed."""
        return encode({"label": HEADER_LABEL, "wrapped_key": self.wrapped_key, **self.context._fields()})

    def digest(self) -> bytes:
        """48 bytes that every chunk of this upload is tied to."""
        return digest(HEADER_LABEL, self.encode())

    @classmethod
    def decode_untrusted(cls, data: bytes) -> SealedHeader:
        """Parse the payload of a signed header. Whether it fits this enclave is the caller's check."""
        names = frozenset({"agreement", "enclave", "party", "dataset", "schema", "upload", "compression"})
        fields = decode_map_untrusted(
            data, label=HEADER_LABEL, keys=names | {"wrapped_key"}, max_bytes=limits.SEALED_HEADER_MAX_BYTES
        )
        compression = require_text(fields["compression"], what="compression", max_characters=10)
        if compression not in COMPRESSIONS:
            raise FormatError(f"compression: got {compression!r}, expected one of {sorted(COMPRESSIONS)}")
        context = SealedContext(
            agreement_digest=require_bytes(fields["agreement"], what="agreement digest", length=DIGEST_BYTES),
            enclave_id=require_bytes(fields["enclave"], what="enclave id", length=ENCLAVE_ID_BYTES),
            party=require_slug(fields["party"], what="party"),
            dataset=require_slug(fields["dataset"], what="dataset"),
            schema_digest=require_bytes(fields["schema"], what="schema digest", length=DIGEST_BYTES),
            upload_id=require_bytes(fields["upload"], what="upload id", length=UPLOAD_ID_BYTES),
            compression=compression,
        )
        wrapped = require_bytes(
            fields["wrapped_key"], what="wrapped key", length=hpke.OVERHEAD_BYTES + KEY_BYTES
        )
        return cls(context=context, wrapped_key=wrapped)


@dataclass(frozen=True)
class Manifest:
    """What the party says it sent; signed as COSE type `MANIFEST_LABEL`."""

    header_digest: bytes
    rows: int
    plaintext_bytes: int
    chunks: int
    tags_digest: bytes
    """SHA-384 over the chunks' 16-byte AEAD tags in order: fixes every chunk without hashing it again."""

    def encode(self) -> bytes:
        """Canonical bytes, to be signed."""
        return encode(
            {
                "label": MANIFEST_LABEL,
                "header": self.header_digest,
                "rows": self.rows,
                "plaintext_bytes": self.plaintext_bytes,
                "chunks": self.chunks,
                "tags": self.tags_digest,
            }
        )

    def digest(self) -> bytes:
        """48 bytes that name this dataset, as sent, in acceptances and receipts."""
        return digest(MANIFEST_LABEL, self.encode())

    @classmethod
    def decode_untrusted(cls, data: bytes) -> Manifest:
        """Parse the payload of a signed manifest."""
        fields = decode_map_untrusted(
            data,
            label=MANIFEST_LABEL,
            keys=frozenset({"header", "rows", "plaintext_bytes", "chunks", "tags"}),
            max_bytes=limits.MANIFEST_MAX_BYTES,
        )
        return cls(
            header_digest=require_bytes(fields["header"], what="header digest", length=DIGEST_BYTES),
            rows=require_int(fields["rows"], what="rows"),
            plaintext_bytes=require_int(fields["plaintext_bytes"], what="plaintext_bytes"),
            chunks=require_int(fields["chunks"], what="chunks", low=1, high=limits.CHUNKS_MAX),
            tags_digest=require_bytes(fields["tags"], what="tags digest", length=DIGEST_BYTES),
        )


def acceptance_payload(manifest_digest: bytes, enclave_id: bytes) -> bytes:
    """What the enclave signs (COSE type `ACCEPTANCE_LABEL`) when a dataset counts."""
    return encode({"label": ACCEPTANCE_LABEL, "manifest": manifest_digest, "enclave": enclave_id})


class _Stream:
    """The common state of both directions: next number, finished or not, running digest over the tags."""

    def __init__(self, key: bytes, header_digest: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise FormatError(f"data key: got {len(key)} bytes, expected {KEY_BYTES}")
        self._aead = AESGCM(key)
        self._header_digest = header_digest
        self._tags = hashlib.sha384()
        self.chunks = 0
        self.plaintext_bytes = 0
        self.finished = False

    def tags_digest(self) -> bytes:
        """SHA-384 over the tags so far."""
        return self._tags.copy().digest()

    def _place(self, last: bool) -> tuple[bytes, bytes]:
        """(nonce, associated data) of the next chunk."""
        if self.finished:
            raise SealError("a chunk after the last one")
        if self.chunks >= limits.CHUNKS_MAX:
            raise LimitExceededError(f"more than {limits.CHUNKS_MAX} chunks")
        place = self.chunks.to_bytes(11, "big") + bytes([last])
        return place, self._header_digest + place

    def _advance(self, tag: bytes, plaintext_bytes: int, last: bool) -> None:
        self._tags.update(tag)
        self.chunks += 1
        self.plaintext_bytes += plaintext_bytes
        self.finished = last


class ChunkSealer(_Stream):
    """Seals chunk 0, 1, 2, … of one upload. A key is used for one upload only."""

    def seal(self, plaintext: bytes | memoryview, *, last: bool) -> bytes:
        """Ciphertext with its tag: `AEAD_TAG_BYTES` longer than `plaintext` (1 byte to 1 MiB)."""
        if not 1 <= len(plaintext) <= limits.CHUNK_PLAINTEXT_MAX_BYTES:
            raise LimitExceededError(
                f"chunk: got {len(plaintext)} bytes, expected 1 to {limits.CHUNK_PLAINTEXT_MAX_BYTES}"
            )
        nonce, aad = self._place(last)
        sealed = self._aead.encrypt(nonce, plaintext, aad)
        self._advance(sealed[-limits.AEAD_TAG_BYTES :], len(plaintext), last)
        return sealed


class ChunkOpener(_Stream):
    """Opens chunk 0, 1, 2, … of one upload, in that order and no other."""

    def open(self, sealed: bytes, *, last: bool) -> bytes:
        """The plaintext of the next chunk, or `SealError`; a chunk that fails leaves the state as it was."""
        if not limits.AEAD_TAG_BYTES < len(sealed) <= limits.CHUNK_CIPHERTEXT_MAX_BYTES:
            raise LimitExceededError(
                f"chunk: got {len(sealed)} bytes, expected 17 to {limits.CHUNK_CIPHERTEXT_MAX_BYTES}"
            )
        nonce, aad = self._place(last)
        try:
            plaintext = self._aead.decrypt(nonce, sealed, aad)
        except InvalidTag as error:
            raise SealError(
                f"chunk {self.chunks} does not open: altered, out of order, or of another upload"
            ) from error
        self._advance(sealed[-limits.AEAD_TAG_BYTES :], len(plaintext), last)
        return plaintext
