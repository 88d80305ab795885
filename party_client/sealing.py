"""Seals a dataset to an enclave that has been verified, or under a key in KMS that was checked.

`begin_sealing` takes a `VerifiedEnclave`, which only the attestation verifier makes: encrypting to a key that
a stranger sent does not type-check. `EnvelopeSealer` takes a `SealingKey`, which only the check of its policy
makes, or its owner's word: there KMS verifies the enclave, later. Every upload has its own key and id, so no
nonce is ever used twice; what must be remembered to continue one (`SealingSecrets`) is for the owner's own
journal and never leaves. Followed: protos/README.md, "Sealed datasets"; RFC 9180 for the key, STREAM for the
chunks.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final

from party_client.attestation import VerifiedEnclave
from party_client.identity import Identity
from party_client.kms.data_keys import DataKey
from party_client.kms.sealing_key import SealingKey
from protos.formats import cose, hpke
from protos.formats.errors import SealError
from protos.formats.identifiers import UPLOAD_ID_BYTES
from protos.formats.limits import AEAD_TAG_BYTES
from protos.formats.schema import Dataset
from protos.formats.sealed import (
    HEADER_LABEL,
    KEY_BYTES,
    MANIFEST_LABEL,
    ChunkSealer,
    Manifest,
    SealedContext,
    SealedHeader,
)


@dataclass(frozen=True, repr=False)
class SealingSecrets:
    """What one upload is made of; whoever has it can read the upload."""

    data_key: bytes
    signed_header: bytes
    header: SealedHeader

    def __post_init__(self) -> None:
        if len(self.data_key) != KEY_BYTES:
            raise SealError(f"data key: got {len(self.data_key)} bytes, expected {KEY_BYTES}")

    @property
    def upload_id(self) -> bytes:
        """16 bytes that name the upload."""
        return self.header.context.upload_id


def begin_sealing(
    enclave: VerifiedEnclave, *, dataset: Dataset, identity: Identity, compression: str
) -> SealingSecrets:
    """A new upload of `dataset` to `enclave`, signed by its owner: fresh key, fresh id, wrapped and signed.

    Raises `SealError` when `identity` does not own the dataset.
    """
    require_owner(dataset, identity)
    context = SealedContext(
        agreement_digest=enclave.agreement_digest,
        enclave_id=enclave.keys.enclave_id,
        party=identity.id,
        dataset=dataset.id,
        schema_digest=dataset.schema_digest(),
        upload_id=secrets.token_bytes(UPLOAD_ID_BYTES),
        compression=compression,
    )
    data_key = secrets.token_bytes(KEY_BYTES)
    wrapped = hpke.seal(data_key, public_key=enclave.keys.hpke_public_key, info=context.info())
    header = SealedHeader(context=context, wrapped_key=wrapped)
    signed = cose.sign(header.encode(), typ=HEADER_LABEL, key=identity.signing_key)
    return SealingSecrets(data_key=data_key, signed_header=signed, header=header)


class Sealer:
    """Seals chunk 0, 1, 2, … of one upload and signs its manifest at the end.

    Begun as a `DatasetSealer`, for an enclave, or as an `EnvelopeSealer`, under a key in KMS.
    """

    def __init__(self, data_key: bytes, header: SealedHeader, identity: Identity) -> None:
        self._identity: Final = identity
        self._header_digest: Final = header.digest()
        self._sealer: Final = ChunkSealer(data_key, self._header_digest)
        self._rows = 0

    @property
    def chunks(self) -> int:
        """How many have been sealed; the number of the next one."""
        return self._sealer.chunks

    @property
    def plaintext_bytes(self) -> int:
        """How many bytes have been sealed."""
        return self._sealer.plaintext_bytes

    @property
    def rows(self) -> int:
        """How many rows have been sealed."""
        return self._rows

    def seal(self, plaintext: bytes | memoryview, *, rows: int, last: bool) -> bytes:
        """The next chunk, sealed."""
        sealed = self._sealer.seal(plaintext, last=last)
        self._rows += rows
        return sealed

    def manifest(self) -> Manifest:
        """What has been sealed in all. Raises `SealError` before the last chunk."""
        if not self._sealer.finished:
            raise SealError("the manifest comes after the last chunk")
        return Manifest(
            header_digest=self._header_digest,
            rows=self._rows,
            plaintext_bytes=self._sealer.plaintext_bytes,
            chunks=self._sealer.chunks,
            tags_digest=self._sealer.tags_digest(),
        )

    def sign(self, manifest: Manifest) -> bytes:
        """The manifest as a message of the owner's."""
        return cose.sign(manifest.encode(), typ=MANIFEST_LABEL, key=self._identity.signing_key)


class DatasetSealer(Sealer):
    """Seals one upload to the enclave that was verified."""

    def __init__(self, enclave: VerifiedEnclave, upload: SealingSecrets, identity: Identity) -> None:
        if upload.header.context.enclave_id != enclave.keys.enclave_id:
            raise SealError(
                "the upload was sealed to another enclave than the one that was verified",
                hint="start a new upload: what was sealed to the other enclave is of no use to this one",
            )
        super().__init__(upload.data_key, upload.header, identity)


class EnvelopeSealer(Sealer):
    """Seals one dataset under a data key that the owner's KMS made, for whoever KMS gives that key to.

    The data key is not kept: what is, seals this one dataset.
    """

    def __init__(
        self,
        key: SealingKey,
        data_key: DataKey,
        *,
        agreement_digest: bytes,
        dataset: Dataset,
        identity: Identity,
        compression: str,
    ) -> None:
        require_owner(dataset, identity)
        context = SealedContext(
            agreement_digest=agreement_digest,
            enclave_id=None,
            party=identity.id,
            dataset=dataset.id,
            schema_digest=dataset.schema_digest(),
            upload_id=secrets.token_bytes(UPLOAD_ID_BYTES),
            compression=compression,
            kms_key=key.arn,
        )
        self.header: Final = SealedHeader(context=context, wrapped_key=data_key.ciphertext)
        self.signed_header: Final = cose.sign(
            self.header.encode(), typ=HEADER_LABEL, key=identity.signing_key
        )
        super().__init__(data_key.plaintext, self.header, identity)


def require_owner(dataset: Dataset, identity: Identity) -> None:
    """Raises `SealError` unless the dataset is this identity's."""
    if identity.id != dataset.owner:
        raise SealError(
            f"dataset {dataset.id} belongs to {dataset.owner}, this identity is {identity.id}",
            hint="use the identity of the owner: the enclave takes a dataset from nobody else",
        )


def tag_of(sealed: bytes) -> bytes:
    """The 16 bytes that fix a sealed chunk: the same key, place and tag mean the same plaintext."""
    return sealed[-AEAD_TAG_BYTES:]
