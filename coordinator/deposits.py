"""Datasets that wait here for enclaves: taken in while their owner is there, kept under an agreement.

A deposit is an upload to no job in particular. Nobody looks into it: whether its header is genuine, and
whose, an enclave finds out later. So anybody may deposit under the name of any dataset, each in a place of
their own, and fill no more than their quota. What is complete stays through crashes and jobs until its
depositor replaces or removes it, or an operator does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coordinator import log
from coordinator.errors import ConflictError, NotKnownError, StateError
from coordinator.intake import IncomingChunk, Intake, Place
from coordinator.jobs import Job
from coordinator.spool import Spool, delete_spool, delete_spools, spool_names, stored_bytes
from coordinator.store import Store
from coordinator.store.deposits import DepositRecord, Said
from coordinator.store.requests import Request
from coordinator.upload import Upload

_FOLDER: Final = "deposits"


@dataclass(frozen=True)
class Standing:
    """A deposit, and how it fares."""

    record: DepositRecord
    stored_bytes: int
    said: Said | None
    """In the latest job that it was brought to."""


class Deposits:
    """All deposits under all agreements. Safe to use from many threads."""

    def __init__(
        self, state: Path, store: Store, intake: Intake, *, on_complete: Callable[[bytes], None]
    ) -> None:
        """`on_complete` hears the digest of an agreement when there is something new to bring under it."""
        self._folder = state / _FOLDER
        self._store = store
        self._intake = intake
        self._on_complete = on_complete

    def recover(self) -> None:
        """Count what the last process left, and remove files of what it was about to remove."""
        kept = self._store.deposits.all()
        delete_spools(self._folder, but_of={record.agreement_digest.hex() for record in kept})
        names = {(self._place(record).folder, self._place(record).name) for record in kept}
        for folder in self._folder.glob("*"):
            for name in spool_names(folder):
                if (folder, name) not in names:
                    delete_spool(folder, name)
        for record in kept:
            self._intake.rest(self._place(record), record)

    # --- From callers -----------------------------------------------------------------------------------

    def begin(
        self, caller: str, agreement_digest: bytes, *, dataset: str, upload_id: bytes, signed_header: bytes
    ) -> int:
        """Start or resume a deposit; the number of the first chunk that is not stored."""
        self._store.agreements.get(agreement_digest)
        record, given_up = self._store.deposits.add(
            agreement_digest=agreement_digest,
            upload_id=upload_id,
            dataset=dataset,
            sent_by=caller,
            signed_header=signed_header,
        )
        for other in given_up:
            self._delete(other, f"deposit {other.name} gave way to {record.name}")
        if record.is_complete:
            return self.spool(record).durable
        log.event("deposit-begun", dataset=dataset, upload=record.name, caller=caller)
        return self._upload(record).spool.commit()

    def receive(
        self,
        caller: str,
        agreement_digest: bytes,
        upload_id: bytes,
        chunks: Iterator[IncomingChunk],
        cancel: Callable[[], object],
    ) -> Iterator[int]:
        """Store `chunks`, as `Intake.receive` does."""
        record = self._store.deposits.get(agreement_digest, caller, upload_id)
        if record.is_complete:
            raise ConflictError(f"deposit {record.name} is complete")
        yield from self._intake.receive(caller, self._upload(record), chunks, cancel)

    def finish(
        self, caller: str, agreement_digest: bytes, *, upload_id: bytes, signed_manifest: bytes
    ) -> None:
        """Call a deposit complete; the caller's earlier one of this dataset gives way to it."""
        record = self._store.deposits.get(agreement_digest, caller, upload_id)
        if record.is_complete:
            if record.signed_manifest != signed_manifest:
                raise ConflictError(f"deposit {record.name} was finished before, with another manifest")
            return
        self._upload(record).require_all_chunks()
        replaced = self._store.deposits.set_complete(record, signed_manifest=signed_manifest)
        self._intake.rest(self._place(record), record)
        for other in replaced:
            self._delete(other, f"deposit {other.name} gave way to {record.name}")
        log.event("deposit-complete", dataset=record.dataset, upload=record.name, caller=caller)
        self._on_complete(agreement_digest)

    def remove(
        self, caller: str, request_id: str, agreement_digest: bytes, *, upload_id: bytes, sent_by: str
    ) -> None:
        """Delete a deposit of `sent_by`, which the caller may."""
        content = agreement_digest + upload_id + sent_by.encode()
        once = Request(caller, request_id, "RemoveDeposit", content)
        removed = self._store.deposits.remove(once, agreement_digest, sent_by, upload_id)
        if removed is not None:
            self._delete(removed, f"deposit {removed.name} was removed by {caller}")
            log.event("deposit-removed", dataset=removed.dataset, upload=removed.name, caller=caller)

    def standing(self, agreement_digest: bytes) -> list[Standing]:
        """All deposits under an agreement and how they fare, in the order in which they were begun."""
        self._store.agreements.get(agreement_digest)
        said = self._store.deposits.last_said(agreement_digest)
        return [
            Standing(record, self._stored_bytes(record), said.get(record.number))
            for record in self._store.deposits.under(agreement_digest)
        ]

    def brought_to(self, job: Job) -> list[tuple[DepositRecord, Said]]:
        """The deposits that were brought to a job, with what came of it."""
        said = self._store.deposits.said_in(job.job_id)
        under = self._store.deposits.under(job.agreement_digest)
        return [(record, said[record.number]) for record in under if record.number in said]

    # --- For enclaves -----------------------------------------------------------------------------------

    def spool(self, record: DepositRecord) -> Spool:
        """The chunks of a complete deposit, for one reader; `NotKnownError` if it was removed meanwhile."""
        place = self._place(record)
        spool = Spool(place.folder, place.name)
        if not spool.complete:
            self._require_not_removed(record)
            raise StateError(f"{place.folder}: the chunks of deposit {place.name} are damaged")
        return spool

    def _require_not_removed(self, record: DepositRecord) -> None:
        try:
            self._store.deposits.get(record.agreement_digest, record.sent_by, record.upload_id)
        except NotKnownError:
            self._delete(record, "it was removed")  # opening its spool made new, empty files
            raise

    def _upload(self, record: DepositRecord) -> Upload:
        return self._intake.open(self._place(record), record)

    def _place(self, record: DepositRecord) -> Place:
        return Place(self._folder / record.agreement_digest.hex(), str(record.number))

    def _stored_bytes(self, record: DepositRecord) -> int:
        place = self._place(record)
        return stored_bytes(place.folder, place.name)

    def _delete(self, record: DepositRecord, why: str) -> None:
        place = self._place(record)
        self._intake.forget(place, NotKnownError(why))
        delete_spool(place.folder, place.name)
