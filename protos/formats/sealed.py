"""A dataset sealed under one agreement, in chunks that only fit in their own place.

There is a fresh 32-byte data key per upload. Either the party makes it and wraps it with HPKE for one
enclave; or the party's KMS makes it, wraps it under a key there, and lets go of it to enclaves under the
agreement (envelope mode). The party signs a header that names agreement, enclave or KMS key, party, dataset,
schema and upload. Chunks follow the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár 2015; as in
age): AES-256-GCM, key = HKDF of the data key for this header, nonce = chunk number (11 bytes, big-endian) and
last flag (1 byte), associated data = the header's digest, chunk number and last flag. Reordering, truncation,
duplication and splicing from another upload all fail to open. A signed manifest (rows, plaintext bytes,
chunks, digest over all tags) closes the dataset: without it it does not count.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from protos.formats import hpke, limits
from protos.formats.canonical import (
    Value,
    decode_map_untrusted,
    digest,
    encode,
    require_bytes,
    require_int,
    require_text,
)
from protos.formats.errors import FormatError, LimitExceededError, SealError
from protos.formats.identifiers import DIGEST_BYTES, ENCLAVE_ID_BYTES, UPLOAD_ID_BYTES, require_slug
from protos.formats.kms import KEY_ARN_MAX_CHARACTERS

HEADER_LABEL: Final = "concordat/sealed-dataset/v1"
MANIFEST_LABEL: Final = "concordat/manifest/v1"
ACCEPTANCE_LABEL: Final = "concordat/acceptance/v1"
CHUNK_KEY_LABEL: Final = "concordat/chunk-key/v1"
KEY_BYTES: Final = 32
COMPRESSIONS: Final = frozenset({"none", "zstd"})


@dataclass(frozen=True)
class SealedContext:
    """Where sealed chunks belong. Two uploads never share a context: `upload_id` is random."""

    agreement_digest: bytes
    enclave_id: bytes | None
    """To which enclave life the data key is wrapped; None in envelope mode, where `kms_key` is there."""
    party: str
    dataset: str
    schema_digest: bytes
    upload_id: bytes
    compression: str
    """How the Arrow buffers inside the chunks are compressed; the reader needs no telling, auditors do."""
    kms_key: str | None = None
    """ARN of the owner's key under which KMS wrapped the data key."""

    def __post_init__(self) -> None:
        if (self.enclave_id is None) == (self.kms_key is None):
            raise FormatError("sealed header: expected one of an enclave and a KMS key, and not both")

    def info(self) -> bytes:
        """What the wrapped key is for: HPKE `info`."""
        return encode({"label": HEADER_LABEL, **self._fields()})

    def _fields(self) -> dict[str, Value]:
        return {
            "agreement": self.agreement_digest,
            "enclave": self.enclave_id,
            "party": self.party,
            "dataset": self.dataset,
            "schema": self.schema_digest,
            "upload": self.upload_id,
            "compression": self.compression,
            "kms_key": self.kms_key,
        }


@dataclass(frozen=True)
class SealedHeader:
    """The first thing of an upload; the party signs its encoding as COSE type `HEADER_LABEL`."""

    context: SealedContext
    wrapped_key: bytes
    """The data key, sealed to the enclave's HPKE key, or KMS's `CiphertextBlob`."""

    def encode(self) -> bytes:
        """Canonical bytes, to be signed."""
        return encode({"label": HEADER_LABEL, "wrapped_key": self.wrapped_key, **self.context._fields()})

    def digest(self) -> bytes:
        """48 bytes that every chunk of this upload is tied to."""
        return digest(HEADER_LABEL, self.encode())

    @classmethod
    def decode_untrusted(cls, data: bytes) -> SealedHeader:
        """Parse the payload of a signed header. Whether it fits this enclave is the caller's check."""
        fields = decode_map_untrusted(
            data, label=HEADER_LABEL, keys=_HEADER_KEYS, max_bytes=limits.SEALED_HEADER_MAX_BYTES
        )
        compression = require_text(fields["compression"], what="compression", max_characters=10)
        if compression not in COMPRESSIONS:
            raise FormatError(f"compression: got {compression!r}, expected one of {sorted(COMPRESSIONS)}")
        context = SealedContext(
            agreement_digest=require_bytes(fields["agreement"], what="agreement digest", length=DIGEST_BYTES),
            enclave_id=_optional_enclave(fields["enclave"]),
            party=require_slug(fields["party"], what="party"),
            dataset=require_slug(fields["dataset"], what="dataset"),
            schema_digest=require_bytes(fields["schema"], what="schema digest", length=DIGEST_BYTES),
            upload_id=require_bytes(fields["upload"], what="upload id", length=UPLOAD_ID_BYTES),
            compression=compression,
            kms_key=_optional_key(fields["kms_key"]),
        )
        return cls(context=context, wrapped_key=_wrapped_key(context, fields["wrapped_key"]))


def _optional_enclave(value: Value) -> bytes | None:
    return None if value is None else require_bytes(value, what="enclave id", length=ENCLAVE_ID_BYTES)


def _optional_key(value: Value) -> str | None:
    if value is None:
        return None
    return require_text(value, what="KMS key", max_characters=KEY_ARN_MAX_CHARACTERS)


def _wrapped_key(context: SealedContext, value: Value) -> bytes:
    if context.kms_key is None:
        return require_bytes(value, what="wrapped key", length=hpke.OVERHEAD_BYTES + KEY_BYTES)
    return require_bytes(value, what="wrapped key", max_length=limits.KMS_CIPHERTEXT_MAX_BYTES)


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

    def __init__(self, data_key: bytes, header_digest: bytes) -> None:
        if len(data_key) != KEY_BYTES:
            raise FormatError(f"data key: got {len(data_key)} bytes, expected {KEY_BYTES}")
        # Nonces are numbers. Were a data key ever used for a second header, its chunks have another key.
        info = CHUNK_KEY_LABEL.encode() + header_digest
        self._aead = AESGCM(HKDF(hashes.SHA384(), KEY_BYTES, salt=None, info=info).derive(data_key))
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
    """Seals chunk 0, 1, 2, … of one upload. A header is used for one dataset only."""

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


_HEADER_KEYS: Final = frozenset(
    {
        *("agreement", "enclave", "kms_key", "party", "dataset"),
        *("schema", "upload", "compression", "wrapped_key"),
    }
)
