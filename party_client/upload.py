"""Sends one dataset to one verified enclave, survives interruptions, and ends with the enclave's signed word.

Reads acknowledgements from the coordinator, which may lie: a chunk that it claims and does not have makes the
enclave refuse the manifest, nothing worse. Only the acceptance, signed by the key in the enclave's attested
bundle, counts. After a broken connection the enclave is verified anew before anything is sent. Memory is
bounded by the chunks in flight. Followed: protos/README.md, "Sealed datasets".
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from party_client.attestation import VerifiedEnclave
from party_client.datasets import Chunk, DatasetError, Reading, Source, encode_chunks
from party_client.identity import Identity
from party_client.sealing import DatasetSealer, begin_sealing
from party_client.transport import CallRefusedError, Coordinator, UnavailableError
from party_client.upload_journal import Journal, JournalError, create_journal, open_journal
from party_client.upload_pipeline import SealedChunks
from party_client.upload_window import Window
from protos.formats import cose
from protos.formats.calls import Refusal
from protos.formats.errors import ConcordatError, FormatError, SignatureError
from protos.formats.limits import KIB
from protos.formats.schema import Dataset
from protos.formats.sealed import ACCEPTANCE_LABEL, Manifest, acceptance_payload

RECONNECT_PAUSES_S: Final = (0.2, 0.5, 1.0, 2.0, 4.0)
_ACCEPTANCE_MAX_BYTES: Final = KIB
_JOB_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_JOB_OVER: Final = "coordinator/job-not-running"
"""The coordinator's own code. A job that was running once and is not any more will never take the rest."""
_FINAL: Final = frozenset[str](
    {
        _JOB_OVER,
        Refusal.BAD_SIGNATURE,
        Refusal.DOES_NOT_OPEN,
        Refusal.MANIFEST_MISMATCH,
        Refusal.NOT_ALLOWED,
        Refusal.OVER_LIMIT,
        Refusal.SCHEMA_MISMATCH,
        Refusal.SLOT_TAKEN,
        Refusal.TOO_SMALL,
        Refusal.WRONG_PLACE,
    }
)
"""After these the same bytes would be refused again, so the journal goes."""


class UploadError(ConcordatError):
    """A dataset was not accepted."""

    code = "upload/failed"


class UploadInterruptedError(UploadError):
    """The upload stopped half way and can be continued by asking for the same upload again."""

    code = "upload/interrupted"


class AcceptanceError(UploadError):
    """What came back for a dataset is not the word of the enclave to which it was sealed."""

    code = "upload/not-accepted"

    def __init__(self, message: str) -> None:
        super().__init__(
            message,
            hint="the dataset does not count yet: give the command again; if it stays so, the coordinator "
            "forges or keeps back the enclave's answer",
        )


class EnclaveReplacedError(UploadError):
    """The job has another enclave than the one to which this upload was sealed."""

    code = "upload/enclave-replaced"


@dataclass(frozen=True)
class Acceptance:
    """A dataset counts: the enclave has signed that it holds exactly this manifest."""

    dataset: str
    manifest: Manifest
    enclave: VerifiedEnclave
    message: bytes
    """The signed acceptance, for the party's records."""
    resumed_at: int
    """Number of the first chunk that was sent this time; 0 for an upload in one go."""


@dataclass(frozen=True, kw_only=True)
class Upload:
    """One party's dataset on its way into one job. `send` may be called again after an interruption."""

    coordinator: Coordinator
    job_id: str
    verify: Callable[[], VerifiedEnclave]
    """Attests the job's enclave with a fresh nonce; called for every connection."""
    dataset: Dataset
    identity: Identity
    source: Source
    journals: Path
    """The folder in which unfinished uploads are remembered."""
    compression: str
    """"none" or "zstd"."""
    progress: Callable[[int], None] = lambda _: None
    """Called with the further bytes of the source that the coordinator has stored."""
    notify: Callable[[str], None] = lambda _: None
    """Called with a line for people when something happens that they should know of."""
    restart: bool = False
    """Forget an unfinished upload of this dataset instead of continuing it."""

    def send(self) -> Acceptance:
        """Sends the dataset, or the rest of it. Raises `UploadError`, `DatasetError`, `TransportError`,
        `AttestationError`.
        """
        enclave = self._verify_for_this_job()
        with self._journal(enclave) as journal:
            try:
                acceptance = self._send(enclave, journal)
            except (CallRefusedError, DatasetError) as error:
                if isinstance(error, DatasetError) or error.refusal in _FINAL:
                    journal.remove()
                if isinstance(error, CallRefusedError) and error.refusal == Refusal.SCHEMA_MISMATCH:
                    self._name_the_rows()
                raise
            journal.remove()
            return acceptance

    def _verify_for_this_job(self) -> VerifiedEnclave:
        """As `verify`; the key of an upload to a job that is over is not kept."""
        try:
            return self.verify()
        except CallRefusedError as error:
            if error.refusal == _JOB_OVER:
                self._forget()
            raise

    def _forget(self) -> None:
        with contextlib.suppress(JournalError):  # in use or not ours: then it is not for us to remove
            journal = open_journal(self._journal_path(), signing_key=self.identity.public.signing_key)
            if journal is not None:
                with journal:
                    journal.remove()

    def _journal_path(self) -> Path:
        if not _JOB_ID.fullmatch(self.job_id):  # it becomes part of a file name
            raise UploadError(f"job {self.job_id[:64]!r}: expected letters, digits, - and _ only")
        return self.journals / f"{self.job_id}.{self.dataset.id}.{self.identity.id}.journal"

    def _journal(self, enclave: VerifiedEnclave) -> Journal:
        path = self._journal_path()
        if self.restart:
            path.unlink(missing_ok=True)
        journal = open_journal(path, signing_key=self.identity.public.signing_key)
        if journal is not None:
            if journal.upload.header.context.enclave_id == enclave.keys.enclave_id:
                self.notify("continuing the upload that was interrupted")
                return journal
            self.notify("the enclave was replaced since the upload was interrupted: sealing anew")
            journal.remove()
            journal.close()
        upload = begin_sealing(
            enclave, dataset=self.dataset, identity=self.identity, compression=self.compression
        )
        return create_journal(path, upload, source=self.source.fingerprint())

    def _send(self, enclave: VerifiedEnclave, journal: Journal) -> Acceptance:
        journal.require_same_source(self.source.fingerprint())
        sealer = DatasetSealer(enclave, journal.upload, self.identity)
        arrived = 0
        try:
            resumed_at = arrived = self._begin(journal)
            with SealedChunks(self._chunks(journal), sealer, journal) as chunks:
                window = Window(chunks, wanted=resumed_at, progress=self.progress)
                try:
                    self._transfer(enclave, journal, window)
                finally:
                    arrived = window.acknowledged
            manifest = sealer.manifest()
            message = self.coordinator.finish_upload(
                self.job_id, journal.upload.upload_id, sealer.sign(manifest)
            )
        except (KeyboardInterrupt, UnavailableError) as error:
            why = error.message if isinstance(error, UnavailableError) else "interrupted"
            raise UploadInterruptedError(
                f"{why}; {arrived} chunks of {self.dataset.id} have arrived",
                hint="run the same command again: it continues where this one stopped",
            ) from error
        _verify_acceptance(message, manifest, enclave)
        return Acceptance(self.dataset.id, manifest, enclave, message, resumed_at=resumed_at)

    def _name_the_rows(self) -> None:
        """The enclave refused the data and names no row: look here. Raises `DatasetError` for such rows."""
        for _ in Reading(self.source, self.dataset):
            pass

    def _chunks(self, journal: Journal) -> Iterator[Chunk]:
        # Unique keys cost as much memory as the keys and are left to the enclave, which has them all anyway.
        reading = Reading(self.source, self.dataset, uniqueness=False)
        return encode_chunks(
            reading,
            self.dataset,
            compression=journal.upload.header.context.compression,
            source=self.source,
        )

    def _begin(self, journal: Journal) -> int:
        upload = journal.upload
        return self.coordinator.begin_upload(
            self.job_id, self.dataset.id, upload.upload_id, upload.signed_header
        )

    def _transfer(self, enclave: VerifiedEnclave, journal: Journal, window: Window) -> None:
        """Streams until everything is acknowledged; connects again when the connection breaks."""
        pauses_s = list(RECONNECT_PAUSES_S)
        while not window.is_done:
            before = window.acknowledged
            try:
                names = {"job_id": self.job_id, "upload_id": journal.upload.upload_id}
                window.send(self.coordinator, names)
            except UnavailableError:
                if window.acknowledged > before:
                    pauses_s = list(RECONNECT_PAUSES_S)
                if not pauses_s:
                    raise
                time.sleep(pauses_s.pop(0))
                self._verify_again(enclave)
                window.rewind(self._begin(journal))

    def _verify_again(self, enclave: VerifiedEnclave) -> None:
        if self.verify().keys != enclave.keys:
            raise EnclaveReplacedError(
                "the enclave was replaced while the dataset was being sent",
                hint="run the same command again: it verifies the new one and seals anew",
            )


def _verify_acceptance(message: bytes, manifest: Manifest, enclave: VerifiedEnclave) -> None:
    try:
        payload = cose.verify_untrusted(
            message,
            typ=ACCEPTANCE_LABEL,
            public_key=enclave.keys.signing_key,
            max_bytes=_ACCEPTANCE_MAX_BYTES,
        )
    except (FormatError, SignatureError) as error:
        raise AcceptanceError(
            f"acceptance: not signed by the enclave {enclave.keys.enclave_id.hex()} that was verified"
        ) from error
    if payload != acceptance_payload(manifest.digest(), enclave.keys.enclave_id):
        raise AcceptanceError("acceptance: the enclave accepted another dataset than the one that was sent")
