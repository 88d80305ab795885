"""Seals one dataset under a key of its owner's in KMS, into one file that can be deposited by anybody.

Reads the owner's own data, checks it against the agreed schema as `Upload` does, and keys that stand twice as
well: nobody of the owner's may be there when an enclave would refuse them. The file is whole or not there. No
enclave is verified here; KMS verifies one before it lets go of the key, and `SealingKey` says that its policy
demands that. Followed: protos/README.md, "Sealed dataset" and "Sealed file".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from party_client import files
from party_client.agreements import require_not_expired
from party_client.datasets import CsvSettings, Reading, Source, encode_chunks, open_source
from party_client.datasets.errors import SourceFileError
from party_client.identity import Identity
from party_client.kms.access import Reach
from party_client.kms.data_keys import generate_data_key
from party_client.kms.errors import NoKeyServiceError
from party_client.kms.sealing_key import SealingKey
from party_client.runs import require_dataset
from party_client.sealed_files import SealedFileWriter
from party_client.sealing import EnvelopeSealer, require_owner
from party_client.upload_pipeline import with_last
from protos.formats.agreement import Agreement
from protos.formats.errors import SealError
from protos.formats.kms import KeyService, encryption_context
from protos.formats.schema import Dataset
from protos.formats.sealed import Manifest, SealedHeader
from protos.release.history import Agreed, agreed_releases

if TYPE_CHECKING:
    from pandas import DataFrame

SUFFIX: Final = ".sealed"


@dataclass(frozen=True)
class Sealed:
    """What was written."""

    path: Path
    header: SealedHeader
    manifest: Manifest
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class SealOptions:
    """How a dataset is read, and how its owner's KMS is reached; the defaults are right for most."""

    csv: CsvSettings | None = None
    ignore_extra: bool = False
    """Leave columns out that are not in the agreement, instead of refusing them."""
    compression: str = "zstd"
    """"none" or "zstd"."""
    reach: Reach = field(default_factory=Reach)
    """As whom, and which way, the owner's KMS is asked."""
    progress: Callable[[int], None] = lambda _: None
    """Called with the further bytes of the source that have been sealed."""


@dataclass(frozen=True, kw_only=True)
class FileSealing:
    """One dataset on its way into one file."""

    agreement: Agreement
    dataset: Dataset
    identity: Identity
    source: Source
    key: SealingKey
    output: Path
    now: datetime
    options: SealOptions

    def write(self) -> Sealed:
        """Makes data key and file. Raises `DatasetError`, `KmsError`, `SealError` or `FileAccessError`."""
        require_may_seal(self.agreement, self.dataset, self.identity, now=self.now)
        files.require_absent(self.output)
        sealer = self._begin()
        with files.create_whole(self.output) as file:
            writer = SealedFileWriter(file, sealer.signed_header)
            reading = Reading(self.source, self.dataset)
            position_bytes = 0
            chunks = encode_chunks(
                reading, self.dataset, compression=self.options.compression, source=self.source
            )
            for chunk, last in with_last(chunks):
                writer.add(sealer.seal(chunk.plaintext, rows=chunk.rows, last=last))
                self.options.progress(chunk.position_bytes - position_bytes)
                position_bytes = chunk.position_bytes
            self._require_enough(sealer.rows)
            manifest = sealer.manifest()
            writer.finish(sealer.sign(manifest), self.identity.signing_key)
        return Sealed(self.output, sealer.header, manifest, self.output.stat().st_size)

    def _begin(self) -> EnvelopeSealer:
        digest = self.agreement.digest()
        return EnvelopeSealer(
            self.key,
            generate_data_key(
                self.key,
                encryption_context(digest, self.identity.id, self.dataset.id),
                self.options.reach,
            ),
            agreement_digest=digest,
            dataset=self.dataset,
            identity=self.identity,
            compression=self.options.compression,
        )

    def _require_enough(self, rows: int) -> None:
        """An enclave would say so when nobody is there to hear it."""
        if rows < self.dataset.rules.min_rows:
            raise SourceFileError(
                f"{self.source.name}: got {rows} rows, expected at least {self.dataset.rules.min_rows} of "
                f"{self.dataset.id}",
                hint="the enclave would refuse it: seal all of the data",
            )


def seal_dataset(
    agreement: Agreed,
    dataset_id: str,
    data: Path | str | DataFrame,
    output: Path | str,
    *,
    identity: Identity,
    key: SealingKey,
    options: SealOptions | None = None,
) -> Sealed:
    """Seals a CSV or Parquet file, or a pandas DataFrame, under a data key of `key`, into the file `output`.

    `key` is what `party_client.kms.checked_key` or `unchecked_key` gives. Needs the kms extra. Raises
    `DatasetError`, `KmsError`, `SealError` or `FileAccessError`.
    """
    options = options or SealOptions()
    agreed = agreed_releases(agreement).agreement
    return FileSealing(
        agreement=agreed,
        dataset=require_dataset(agreed, dataset_id),
        identity=identity,
        source=open_source(data, csv=options.csv, ignore_extra=options.ignore_extra),
        key=key,
        output=Path(output),
        now=datetime.now(UTC),
        options=options,
    ).write()


def require_may_seal(
    agreement: Agreement, dataset: Dataset, identity: Identity, *, now: datetime
) -> KeyService:
    """Where its owner's KMS is. Raises `NoKeyServiceError`, `ExpiredError` or `SealError`.

    Who has signed the agreement is not looked at: no enclave is bound to one that this owner has not signed.
    """
    require_owner(dataset, identity)
    if agreement.participant(identity.id).signing_key != identity.public.signing_key:
        raise SealError(
            f"{identity.id}: the agreement names another signing key than this identity's",
            hint="use the identity that is in the agreement: `concordat agreement show` has its fingerprint",
        )
    require_not_expired(agreement, now=now)
    if dataset.kms is None:
        raise NoKeyServiceError(
            f"{agreement.id} does not let {dataset.id} be sealed under a key in KMS",
            hint="send it to a verified enclave (`concordat dataset send`), or agree on `kms` for it",
        )
    return dataset.kms
