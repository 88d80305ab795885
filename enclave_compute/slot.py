"""One dataset's place: opens what its owner sealed to this enclave and hands it to the engine.

Reads bytes that a party made and the coordinator carried. A dataset counts only when its signed manifest
matches what arrived; until then it can begin anew. Chunks come in order; one that came before is acknowledged
and not opened again, so an interrupted upload resumes. The threshold of trust is the owner's signature on the
header: no chunk is opened, and nothing reaches Arrow or the engine, before it has been verified.

In envelope mode the data key is with the owner's KMS: the slot wants it, and takes chunks once it has
come. That KMS let go of a key says nothing about who made the upload; the signature does. A key lives as
long as its upload: one that begins anew asks KMS anew.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from enclave_compute.engine import Engine
from enclave_compute.errors import RefusedError
from enclave_compute.keys import EnclaveKeys
from enclave_compute.kms.errands import Errands
from enclave_compute.kms.request import KeyAnswer, KeyRequest
from protos.formats import cose, limits, sealed
from protos.formats.calls import Refusal
from protos.formats.errors import FormatError, SealError, SignatureError
from protos.formats.kms import encryption_context
from protos.formats.participants import Participant
from protos.formats.receipt import UsedDataset
from protos.formats.schema import Dataset


@dataclass
class _Upload:
    """A dataset on its way in."""

    signed_header: bytes
    header: sealed.SealedHeader
    opener: sealed.ChunkOpener | None = None
    """There is none while the key is still with KMS."""
    rows: int = 0

    def take_key(self, data_key: bytes) -> None:
        """From now on chunks open."""
        self.opener = sealed.ChunkOpener(data_key, self.header.digest())

    def require_opener(self) -> sealed.ChunkOpener:
        """Raises `RefusedError` while there is none."""
        if self.opener is None:
            raise RefusedError(Refusal.KEY_WANTED, "the data key has not come from KMS yet")
        return self.opener


@dataclass(frozen=True)
class _Accepted:
    signed_manifest: bytes
    used: UsedDataset
    acceptance: bytes


class Slot:
    """The place of one dataset of the agreement. Calls from several connections take turns."""

    def __init__(
        self,
        dataset: Dataset,
        owner: Participant,
        *,
        agreement_digest: bytes,
        keys: EnclaveKeys,
        engine: Engine,
        errands: Errands,
        on_accepted: Callable[[UsedDataset], None] = lambda _: None,
        agreed_manifest: bytes | None = None,
    ) -> None:
        """`agreed_manifest`: digest of the one that an earlier life accepted here; no other counts then."""
        self._dataset = dataset
        self._owner = owner
        self._agreement_digest = agreement_digest
        self._keys = keys
        self._engine = engine
        self._errands = errands
        self._on_accepted = on_accepted
        self._agreed_manifest = agreed_manifest
        self._lock = threading.Lock()
        self._upload: _Upload | None = None
        self._accepted: _Accepted | None = None

    @property
    def accepted(self) -> UsedDataset | None:
        """The dataset that counts, once its manifest matched."""
        return self._accepted.used if self._accepted else None

    @property
    def begun(self) -> bool:
        """Whether any upload has begun here."""
        return self._upload is not None

    def holds(self, upload_id: bytes) -> bool:
        """Whether the upload in this slot is `upload_id`."""
        return self._upload is not None and self._upload.header.context.upload_id == upload_id

    def begin(self, signed_header: bytes) -> int:
        """Start or resume the upload of this signed header; the number of the chunk that is wanted next."""
        with self._lock:
            if self._upload is not None and self._upload.signed_header == signed_header:
                return self._upload.opener.chunks if self._upload.opener else 0
            if self._accepted is not None:
                raise RefusedError(Refusal.SLOT_TAKEN, f"{self._dataset.id} is complete")
            upload = _Upload(signed_header, self._verify_header(signed_header))
            request = self._key_request(upload.header)
            if request is None:
                upload.take_key(self._unwrap(upload.header))
            self._restart()
            self._upload = upload
            if request is not None:
                self._errands.want(request, partial(self._take_key, upload))
            return 0

    def chunk(self, sealed_chunk: bytes, *, number: int, last: bool) -> int:
        """Open one chunk into the engine; the number of the chunk that is wanted next."""
        with self._lock:
            upload = self._require_upload()
            opener = upload.require_opener()
            if number < opener.chunks:
                return opener.chunks
            if number > opener.chunks:
                raise RefusedError(Refusal.OUT_OF_ORDER, f"chunk {number}", next_chunk=opener.chunks)
            try:
                plaintext = opener.open(sealed_chunk, last=last)
            except SealError as error:
                raise RefusedError(Refusal.DOES_NOT_OPEN, error.message) from error
            self._append(upload, opener, plaintext)
            return opener.chunks

    def finish(self, signed_manifest: bytes) -> bytes:
        """Accept the dataset if it is what its owner says it sent; the signed acceptance."""
        with self._lock:
            if self._accepted is not None and self._accepted.signed_manifest == signed_manifest:
                return self._accepted.acceptance
            upload = self._require_upload()
            if self._accepted is not None:
                raise RefusedError(Refusal.SLOT_TAKEN, f"{self._dataset.id} is complete")
            payload = self._verify_owner(signed_manifest, sealed.MANIFEST_LABEL, limits.MANIFEST_MAX_BYTES)
            manifest = sealed.Manifest.decode_untrusted(payload)
            if manifest != _received(upload, upload.require_opener()):
                raise RefusedError(Refusal.MANIFEST_MISMATCH, "what arrived is not what the manifest says")
            if self._agreed_manifest not in (None, manifest.digest()):
                raise RefusedError(Refusal.MANIFEST_MISMATCH, "an earlier life accepted another dataset")
            with self._restarting_on_error():
                self._engine.finish(self._dataset.id)
            accepted = self._accept(upload, signed_manifest, manifest)
            if self._agreed_manifest is None:
                self._on_accepted(accepted.used)
            self._accepted = accepted
            return self._accepted.acceptance

    def _verify_header(self, signed_header: bytes) -> sealed.SealedHeader:
        payload = self._verify_owner(signed_header, sealed.HEADER_LABEL, limits.SEALED_HEADER_MAX_BYTES)
        header = sealed.SealedHeader.decode_untrusted(payload)
        context = header.context
        expected = sealed.SealedContext(
            agreement_digest=self._agreement_digest,
            # In envelope mode KMS decides which enclaves may open it, and none is named.
            enclave_id=self._keys.enclave_id if context.kms_key is None else None,
            party=self._owner.id,
            dataset=self._dataset.id,
            schema_digest=self._dataset.schema_digest(),
            # These are the sender's choice.
            upload_id=context.upload_id,
            compression=context.compression,
            kms_key=context.kms_key,
        )
        if context != expected:
            raise RefusedError(Refusal.WRONG_PLACE, "the header is for another agreement, enclave or dataset")
        return header

    def _unwrap(self, header: sealed.SealedHeader) -> bytes:
        try:
            return self._keys.opening.open(header.wrapped_key, info=header.context.info())
        except SealError as error:
            raise RefusedError(Refusal.DOES_NOT_OPEN, "the wrapped key is not for this enclave") from error

    def _key_request(self, header: sealed.SealedHeader) -> KeyRequest | None:
        """What to ask KMS for, by the agreement and a header for this slot; None where no KMS is involved."""
        key_id, service = header.context.kms_key, self._dataset.kms
        if key_id is None:
            return None
        if service is None:
            raise RefusedError(Refusal.WRONG_PLACE, "the agreement knows of no KMS for this dataset")
        try:
            service.require_key_arn(key_id)
        except FormatError as error:
            raise RefusedError(Refusal.WRONG_PLACE, "a key of another account or region") from error
        return KeyRequest(
            operation="Decrypt",
            service=service,
            party=self._owner.id,
            subject=self._dataset.id,
            key_id=key_id,
            context=encryption_context(self._agreement_digest, self._owner.id, self._dataset.id),
            ciphertext=header.wrapped_key,
        )

    def _take_key(self, upload: _Upload, answer: KeyAnswer) -> None:
        with self._lock:
            upload.take_key(answer.plaintext)

    def _verify_owner(self, message: bytes, typ: str, max_bytes: int) -> bytes:
        try:
            return cose.verify_untrusted(
                message, typ=typ, public_key=self._owner.signing_key, max_bytes=max_bytes
            )
        except SignatureError as error:
            raise RefusedError(Refusal.BAD_SIGNATURE, error.message) from error

    def _require_upload(self) -> _Upload:
        if self._upload is None:
            raise RefusedError(Refusal.UNKNOWN, "no upload has begun")
        return self._upload

    def _append(self, upload: _Upload, opener: sealed.ChunkOpener, plaintext: bytes) -> None:
        if opener.plaintext_bytes > self._dataset.max_bytes:
            self._restart()
            raise RefusedError(Refusal.OVER_LIMIT, "more bytes than the agreement allows")
        with self._restarting_on_error():
            upload.rows += self._engine.append_untrusted(
                self._dataset.id, plaintext, compression=upload.header.context.compression
            )
        if upload.rows > self._dataset.max_rows:
            self._restart()
            raise RefusedError(Refusal.OVER_LIMIT, "more rows than the agreement allows")

    @contextmanager
    def _restarting_on_error(self) -> Iterator[None]:
        # Data that opened but is not of the agreed shape ends this upload: part of it may be in the engine.
        try:
            yield
        except Exception:
            self._restart()
            raise

    def _restart(self) -> None:
        self._upload = None
        self._errands.drop(self._dataset.id)
        self._engine.drop(self._dataset.id)
        self._engine.create(self._dataset)

    def _accept(self, upload: _Upload, signed_manifest: bytes, manifest: sealed.Manifest) -> _Accepted:
        used = UsedDataset(
            dataset=self._dataset.id,
            party=self._owner.id,
            upload_id=upload.header.context.upload_id,
            manifest_digest=manifest.digest(),
        )
        payload = sealed.acceptance_payload(used.manifest_digest, self._keys.enclave_id)
        acceptance = cose.sign(payload, typ=sealed.ACCEPTANCE_LABEL, key=self._keys.signing)
        return _Accepted(signed_manifest, used, acceptance)


def _received(upload: _Upload, opener: sealed.ChunkOpener) -> sealed.Manifest | None:
    """The manifest of what arrived; None while the last chunk has not."""
    if not opener.finished:
        return None
    return sealed.Manifest(
        header_digest=upload.header.digest(),
        rows=upload.rows,
        plaintext_bytes=opener.plaintext_bytes,
        chunks=opener.chunks,
        tags_digest=opener.tags_digest(),
    )
