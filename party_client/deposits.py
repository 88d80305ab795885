"""Leaves a sealed file with the coordinator, for enclaves that come later, and says what became of it.

Anybody may carry a file that its owner sealed: what counts are the owner's signatures, which are verified
before anything is sent, and the enclave's, which is the only word on whether it was accepted. Whatever else a
list of deposits says is the coordinator's, which may lie. An interrupted deposit goes on where it stopped,
from the file alone. Followed: protos/README.md, "Sealed file"; docs/protocol.md, "Datasets".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from party_client.attestation import AttestationError, VerifiedEnclave
from party_client.datasets.stable_file import StableFile
from party_client.sealed_files import SealedFile, open_sealed_file
from party_client.sealed_files.reading import chunks_of
from party_client.transport import Coordinator, TransportError, UnavailableError
from party_client.upload import RECONNECT_PAUSES_S, AcceptanceError, UploadInterruptedError
from party_client.upload_pipeline import SealedChunk
from party_client.upload_window import Window
from protos.formats import cose
from protos.formats.agreement import Agreement
from protos.formats.canonical import decode_map_untrusted, require_bytes
from protos.formats.errors import FormatError, SignatureError
from protos.formats.identifiers import DIGEST_BYTES, ENCLAVE_ID_BYTES
from protos.formats.limits import KIB
from protos.formats.sealed import ACCEPTANCE_LABEL
from protos.v1 import concordat_pb2 as wire

ACCEPTED: Final = "accepted"
"""What the coordinator says where an enclave took a deposit."""
_ACCEPTANCE_MAX_BYTES: Final = KIB


@dataclass(frozen=True)
class Deposited:
    """A sealed file that the coordinator says it has stored."""

    sealed: SealedFile
    resumed_at: int
    """Number of the first chunk that was sent this time."""


@dataclass(frozen=True)
class DepositState:
    """One deposit as the coordinator lists it, and what of it is proved."""

    listed: wire.Deposit
    """The coordinator's word."""
    manifest_digest: bytes | None
    """Of what an enclave accepted, by its own signature; None: nothing is proved."""
    enclave: VerifiedEnclave | None
    """The enclave that signed, verified now."""
    doubt: str | None = None
    """Why the coordinator's word that it was accepted could not be proved."""


@dataclass(frozen=True, kw_only=True)
class Depositing:
    """One sealed file on its way to the coordinator. `send` may be called again after an interruption."""

    coordinator: Coordinator
    agreement: Agreement
    path: Path
    progress: Callable[[int], None] = lambda _: None
    """Called with the further bytes of the file that the coordinator has stored."""

    def send(self) -> Deposited:
        """Verifies the file, then leaves it, or the rest of it, with the coordinator.

        Raises `SealedFileError`, `FormatError`, `SignatureError`, `DatasetError`, `UploadInterruptedError` or
        `TransportError`.
        """
        sealed = open_sealed_file(self.path, self.agreement)
        upload_id = sealed.header.context.upload_id
        arrived = 0
        with StableFile(self.path) as file:
            try:
                resumed_at = arrived = self._begin(sealed)
                window = Window(_chunks(file, sealed), wanted=resumed_at, progress=self.progress)
                try:
                    self._transfer(sealed, window)
                finally:
                    arrived = window.acknowledged
                file.require_unchanged()
                self.coordinator.finish_deposit(self.agreement.digest(), upload_id, sealed.signed_manifest)
            except (KeyboardInterrupt, UnavailableError) as error:
                why = error.message if isinstance(error, UnavailableError) else "interrupted"
                raise UploadInterruptedError(
                    f"{why}; {arrived} chunks of {self.path} have arrived",
                    hint="run the same command again: it continues where this one stopped",
                ) from error
        return Deposited(sealed, resumed_at)

    def _begin(self, sealed: SealedFile) -> int:
        context = sealed.header.context
        return self.coordinator.begin_deposit(
            self.agreement.digest(), context.dataset, context.upload_id, sealed.signed_header
        )

    def _transfer(self, sealed: SealedFile, window: Window) -> None:
        """Streams until everything is acknowledged; connects again when the connection breaks."""
        names = {
            "agreement_digest": self.agreement.digest(),
            "upload_id": sealed.header.context.upload_id,
        }
        pauses_s = list(RECONNECT_PAUSES_S)
        while not window.is_done:
            before = window.acknowledged
            try:
                window.send(self.coordinator, names)
            except UnavailableError:
                if window.acknowledged > before:
                    pauses_s = list(RECONNECT_PAUSES_S)
                if not pauses_s:
                    raise
                time.sleep(pauses_s.pop(0))
                window.rewind(self._begin(sealed))


def accepted_manifest(message: bytes, enclave: VerifiedEnclave) -> bytes:
    """The digest of the manifest that `enclave` signed it has accepted. Raises `AcceptanceError`."""
    try:
        payload = cose.verify_untrusted(
            message,
            typ=ACCEPTANCE_LABEL,
            public_key=enclave.keys.signing_key,
            max_bytes=_ACCEPTANCE_MAX_BYTES,
        )
        fields = decode_map_untrusted(
            payload,
            label=ACCEPTANCE_LABEL,
            keys=frozenset({"manifest", "enclave"}),
            max_bytes=_ACCEPTANCE_MAX_BYTES,
        )
        named = require_bytes(fields["enclave"], what="enclave id", length=ENCLAVE_ID_BYTES)
        manifest = require_bytes(fields["manifest"], what="manifest digest", length=DIGEST_BYTES)
    except (FormatError, SignatureError) as error:
        raise AcceptanceError(
            f"acceptance: not signed by the enclave {enclave.keys.enclave_id.hex()} that was verified"
        ) from error
    if named != enclave.keys.enclave_id:
        raise AcceptanceError("acceptance: signed about another enclave")
    return manifest


def deposit_states(
    deposits: Iterable[wire.Deposit], verify: Callable[[str], VerifiedEnclave]
) -> Iterator[DepositState]:
    """Each deposit, with what its enclave's signature proves; `verify` gives the enclave of a job.

    Whose acceptance somebody may see is the coordinator's to say: only whoever deposited gets it.
    """
    known = cache(verify)
    for listed in deposits:
        if not listed.acceptance:
            yield DepositState(listed, None, None)
            continue
        try:
            enclave = known(listed.job_id)
            yield DepositState(listed, accepted_manifest(listed.acceptance, enclave), enclave)
        except (AcceptanceError, AttestationError, TransportError) as error:
            yield DepositState(listed, None, None, error.message)


def _chunks(file: StableFile, sealed: SealedFile) -> Iterator[SealedChunk]:
    last = sealed.manifest.chunks - 1
    for number, chunk in enumerate(chunks_of(file)):
        yield SealedChunk(number, number == last, chunk, file.tell())
