"""Reads a sealed file that somebody handed over: all of it is as its owner signed it, or it is refused.

One pass, a record in memory at a time. Verified are the signatures of header, manifest and end by one party
of the agreement, that manifest and chunks belong together, and the digest over every byte. Not verified,
because that takes the data key: that the chunks open. The enclave does. Followed: protos/README.md, "Sealed
file".
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from party_client.datasets.stable_file import StableFile
from party_client.sealed_files.layout import (
    CHUNK_MAX_BYTES,
    CHUNK_MIN_BYTES,
    END_LABEL,
    END_MAX_BYTES,
    FIRST_LINE,
    LENGTH_BYTES,
    SealedFileError,
    end_digest_untrusted,
)
from protos.formats import cose, limits
from protos.formats.agreement import Agreement
from protos.formats.errors import SignatureError
from protos.formats.participants import Participant
from protos.formats.schema import Dataset
from protos.formats.sealed import HEADER_LABEL, MANIFEST_LABEL, Manifest, SealedHeader

_ANOTHER_COPY: Final = "get another copy of the file, or have its owner seal the data again"


@dataclass(frozen=True)
class SealedFile:
    """What a file holds, as its owner signed it. Made by `read_sealed_untrusted` alone."""

    header: SealedHeader
    signed_header: bytes
    manifest: Manifest
    signed_manifest: bytes
    size_bytes: int

    def require_for(self, agreement: Agreement) -> Dataset:
        """The dataset of `agreement` that this is. Raises `SealedFileError`."""
        context = self.header.context
        if context.agreement_digest != agreement.digest():
            raise SealedFileError(
                f"sealed for agreement {context.agreement_digest.hex()[:16]}…, expected {agreement.id}, "
                f"{agreement.digest().hex()[:16]}…",
                hint="give the file of that agreement; under another one the data has to be sealed again",
            )
        dataset = {one.id: one for one in agreement.datasets}.get(context.dataset)
        if (
            dataset is None
            or dataset.owner != context.party
            or dataset.kms is None
            or context.kms_key is None
        ):
            raise SealedFileError(
                f"sealed as dataset {context.dataset} of {context.party} under a key in KMS, which "
                f"{agreement.id} does not have"
            )
        if context.schema_digest != dataset.schema_digest():
            raise SealedFileError(f"sealed as a dataset of another shape than {dataset.id} of {agreement.id}")
        dataset.kms.require_key_arn(context.kms_key)
        return dataset


def open_sealed_file(path: Path, agreement: Agreement) -> SealedFile:
    """The sealed file at `path`, which is a dataset of `agreement`.

    Raises `SealedFileError`, `FormatError`, `SignatureError` or `DatasetError`.
    """
    with StableFile(path) as file:
        found = read_sealed_untrusted(file, signers=agreement.parties)
        file.require_unchanged()
    found.require_for(agreement)
    return found


def read_sealed_untrusted(file: BinaryIO, *, signers: Sequence[Participant]) -> SealedFile:
    """The sealed file that `file` holds to its end, signed by one of `signers`."""
    records = _Records(file)
    records.first_line()
    signed_header = records.record(limits.SEALED_HEADER_MAX_BYTES, what="header")
    signer = _signer(signed_header, signers)
    key = signer.signing_key
    header = SealedHeader.decode_untrusted(
        cose.verify_untrusted(
            signed_header, typ=HEADER_LABEL, public_key=key, max_bytes=limits.SEALED_HEADER_MAX_BYTES
        )
    )
    if header.context.party != signer.id:
        raise SignatureError(f"sealed file: data of {header.context.party}, signed by {signer.id}")
    tags, chunks, plaintext_bytes = hashlib.sha384(), 0, 0
    for sealed in records.chunks():
        tags.update(sealed[-limits.AEAD_TAG_BYTES :])
        chunks += 1
        plaintext_bytes += len(sealed) - limits.AEAD_TAG_BYTES
    signed_manifest = records.record(limits.MANIFEST_MAX_BYTES, what="manifest")
    manifest = Manifest.decode_untrusted(
        cose.verify_untrusted(
            signed_manifest, typ=MANIFEST_LABEL, public_key=key, max_bytes=limits.MANIFEST_MAX_BYTES
        )
    )
    arrived = Manifest(header.digest(), manifest.rows, plaintext_bytes, chunks, tags.digest())
    if manifest != arrived:
        raise SealedFileError("the manifest is not of these chunks", hint=_ANOTHER_COPY)
    digest = records.digest()
    signed_end = records.record(END_MAX_BYTES, what="end")
    end = cose.verify_untrusted(signed_end, typ=END_LABEL, public_key=key, max_bytes=END_MAX_BYTES)
    if end_digest_untrusted(end) != digest:
        raise SealedFileError("the file was altered after it was signed", hint=_ANOTHER_COPY)
    records.require_end()
    return SealedFile(header, signed_header, manifest, signed_manifest, records.position_bytes)


def chunks_of(file: BinaryIO) -> Iterator[bytes]:
    """The sealed chunks of a file that `read_sealed_untrusted` has read, in order."""
    records = _Records(file)
    records.first_line()
    records.record(limits.SEALED_HEADER_MAX_BYTES, what="header")
    return records.chunks()


def _signer(signed_header: bytes, signers: Sequence[Participant]) -> Participant:
    named = cose.signer_untrusted(
        signed_header, max_bytes=limits.SEALED_HEADER_MAX_BYTES, what="sealed header"
    )
    for signer in signers:
        if cose.key_id(signer.signing_key) == named:
            return signer
    raise SignatureError(
        "sealed file: signed by nobody who is a party of the agreement",
        hint="is it for this agreement, and from the owner of the data?",
    )


class _Records:
    """The records of a file, each bounded, and the digest over what has been read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file: Final = file
        self._digest: Final = hashlib.sha384()
        self.position_bytes = 0

    def first_line(self) -> None:
        """What every sealed file begins with."""
        if self._read(len(FIRST_LINE), short=True) != FIRST_LINE:
            raise SealedFileError(
                "this is no sealed file",
                hint="`concordat dataset seal` makes them, from a CSV or Parquet file",
            )

    def record(self, max_bytes: int, *, what: str, min_bytes: int = 1) -> bytes:
        """The next record."""
        length = int.from_bytes(self._read(LENGTH_BYTES), "big")
        if not min_bytes <= length <= max_bytes:
            raise SealedFileError(
                f"{what}: got a record of {length} bytes, expected {min_bytes} to {max_bytes}",
                hint=_ANOTHER_COPY,
            )
        return self._read(length)

    def chunks(self) -> Iterator[bytes]:
        """The records up to the length 0 that ends them."""
        count = 0
        while length := int.from_bytes(self._read(LENGTH_BYTES), "big"):
            count += 1
            if not CHUNK_MIN_BYTES <= length <= CHUNK_MAX_BYTES or count > limits.CHUNKS_MAX:
                raise SealedFileError(
                    f"chunk {count - 1}: got {length} bytes, expected {CHUNK_MIN_BYTES} to {CHUNK_MAX_BYTES}",
                    hint=_ANOTHER_COPY,
                )
            yield self._read(length)

    def digest(self) -> bytes:
        """SHA-384 of what has been read."""
        return self._digest.digest()

    def require_end(self) -> None:
        """Nothing follows."""
        if self._file.read(1):
            raise SealedFileError("something follows the end of the sealed file", hint=_ANOTHER_COPY)

    def _read(self, size: int, *, short: bool = False) -> bytes:
        parts, missing = [], size
        while missing and (part := self._file.read(missing)):
            parts.append(part)
            missing -= len(part)
        if missing and not short:
            raise SealedFileError("the file ends too early: it is not all there", hint=_ANOTHER_COPY)
        data = b"".join(parts)
        self._digest.update(data)
        self.position_bytes += len(data)
        return data
