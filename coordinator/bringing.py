"""Brings what waits here to the enclaves that run: deposits into their slots, and requests for keys out.

One thread for each running job looks at what its enclave lacks. Each deposit of the agreement is offered
once; what the enclave says to it is noted for those who ask (`ListDeposits`, `GetJob`). A dataset may have
several deposits, by different callers, of which the enclave takes the first genuine one. What fails because
of a key service, a connection or this coordinator is tried again with growing pauses for as long as the job
runs.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Final

from coordinator import log
from coordinator.deposits import Deposits
from coordinator.enclaves import Enclaves
from coordinator.errand import Errand
from coordinator.errors import ConflictError, EnclaveAnswerError, EnclaveRefusedError, ErrandsNotRunError
from coordinator.forwarding import forward
from coordinator.jobs import Job, JobState
from coordinator.keeping import Keeping
from coordinator.kms.forwarder import Forwarder
from coordinator.pauses import Pauses
from coordinator.relay import Relay
from coordinator.statuses import status_of
from coordinator.store import Store
from coordinator.store.deposits import ACCEPTED, DepositRecord, Said
from coordinator.upload import Upload
from protos.formats.calls import Refusal
from protos.formats.errors import ConcordatError

LOOK_S: Final = 1.0
"""So often an enclave is asked what it wants, beside when there is something new here."""
_LOOK: Final = "#look"
"""Beside deposits and subjects, what may fail and is tried again: the looking itself."""
_AGAIN: Final = frozenset(
    {
        *(Refusal.KEY_WANTED, Refusal.KMS_DENIED, Refusal.KMS_FAILED),
        *(Refusal.OUT_OF_ORDER, Refusal.WRONG_PHASE, Refusal.NOT_VALID_NOW),
    }
)
"""What an enclave says that it need not say the next time: the rest is about what is in the deposit."""


@dataclass(frozen=True)
class WantedErrand:
    """What an enclave wants from a key service, and how that failed last; empty: it was not tried yet."""

    errand: Errand
    said: str


@dataclass
class _Round:
    """What a job's thread and those who wake or end it share."""

    wake: threading.Event = field(default_factory=threading.Event)
    ended: bool = False
    pauses: Pauses[int | str] = field(default_factory=Pauses)
    """By the number of a deposit, or the subject of an errand."""
    failed: dict[str, str] = field(default_factory=dict)
    """Subjects of errands, and the code with which each failed last."""


class Bringing:
    """All running jobs, a thread each. Safe to use from many threads."""

    def __init__(
        self,
        store: Store,
        enclaves: Enclaves,
        relay: Relay,
        deposits: Deposits,
        *,
        forwarder: Forwarder | None,
        keeping: Keeping,
    ) -> None:
        """`forwarder`: None where errands are not run at all."""
        self._store = store
        self._enclaves = enclaves
        self._relay = relay
        self._deposits = deposits
        self._forwarder = forwarder
        self._keeping = keeping
        self._rounds: dict[str, _Round] = {}
        self._lock = threading.Lock()

    def keep(self, job: Job) -> None:
        """Bring to this job from now on."""
        with self._lock:
            if job.job_id not in self._rounds:
                self._rounds[job.job_id] = round_ = _Round()
                threading.Thread(
                    target=self._keep, args=(job, round_), name=f"bring-{job.job_id}", daemon=True
                ).start()

    def start_over(self, job: Job) -> None:
        """The enclave of the job is gone, and the next one has to be brought everything again."""
        self._end([job.job_id])
        self._store.deposits.forget_said(job.job_id)

    def end(self, job: Job) -> None:
        """The job is over."""
        self._end([job.job_id])

    def stop(self) -> None:
        """Bring nothing more; the next coordinator does."""
        with self._lock:
            job_ids = list(self._rounds)
        self._end(job_ids)

    def wake(self, agreement_digest: bytes) -> None:
        """There is something new under this agreement."""
        for job in self._store.jobs.all(agreement_digest=agreement_digest):
            with self._lock:
                if job.job_id in self._rounds:
                    self._rounds[job.job_id].wake.set()

    def wanted(self, job: Job, errands: list[Errand]) -> list[WantedErrand]:
        """`errands`, as the enclave of `job` just named them, with how each failed last."""
        with self._lock:
            round_ = self._rounds.get(job.job_id)
            failed = dict(round_.failed) if round_ else {}
        return [WantedErrand(errand, failed.get(errand.subject, "")) for errand in errands]

    def _end(self, job_ids: list[str]) -> None:
        with self._lock:
            for job_id in job_ids:
                if (round_ := self._rounds.pop(job_id, None)) is not None:
                    round_.ended = True
                    round_.wake.set()

    # --- The thread of one job --------------------------------------------------------------------------

    def _keep(self, job: Job, round_: _Round) -> None:
        while not round_.ended:
            round_.wake.clear()
            if round_.pauses.is_due(_LOOK):
                self._look(job, round_)
            round_.wake.wait(LOOK_S)

    def _look(self, job: Job, round_: _Round) -> None:
        try:
            if self._store.jobs.get(job.job_id).state is JobState.RUNNING:
                self._bring_deposits(job, round_)
            self._run_errands(job, round_)
        except ConcordatError as error:  # the enclave is out of reach or speaks nonsense, or our disk is full
            round_.pauses.failed(_LOOK)
            log.problem("bringing-interrupted", job=job.job_id, code=status_of(error)[1])
        else:
            round_.pauses.forget(_LOOK)

    def _bring_deposits(self, job: Job, round_: _Round) -> None:
        said = self._store.deposits.said_in(job.job_id)
        for deposit in self._store.deposits.under(job.agreement_digest):
            is_due = round_.pauses.is_due(deposit.number)
            known = said.get(deposit.number)
            if round_.ended or not deposit.is_complete or not is_due or (known and _is_final(known.said)):
                continue
            if not self._relay.is_receiving(job.job_id, deposit.dataset):
                self._offer(job, deposit, known.said if known else "", round_)

    def _offer(self, job: Job, deposit: DepositRecord, said_before: str, round_: _Round) -> None:
        """Bring a deposit, and note what comes of it."""
        acceptance = None
        try:
            acceptance, code = self._bring(job, deposit, round_), ACCEPTED
        except ConcordatError as error:
            code = status_of(error)[1]
        if _is_final(code):
            round_.pauses.forget(deposit.number)
        else:
            round_.pauses.failed(deposit.number)
        if code != said_before and not round_.ended:
            self._store.deposits.set_said(Said(deposit.number, job.job_id, code, acceptance))
            log.event(
                "deposit-brought", job=job.job_id, upload=deposit.name, dataset=deposit.dataset, said=code
            )

    def _bring(self, job: Job, deposit: DepositRecord, round_: _Round) -> bytes:
        """Have the enclave take a deposit; its signed acceptance."""
        errand = self._enclaves.begin(
            job,
            dataset=deposit.dataset,
            upload_id=deposit.upload_id,
            signed_header=deposit.signed_header,
        )
        if errand is not None:
            self._run_errand(job, _require_about(errand, deposit), round_)
        # A view of one job: several may be brought the same deposit at once.
        upload = Upload(deposit, self._deposits.spool(deposit))
        try:
            forward(upload, self._enclaves, job)
            manifest = deposit.signed_manifest or b""
            acceptance = self._enclaves.finish(job, upload_id=deposit.upload_id, signed_manifest=manifest)
        except EnclaveRefusedError as error:
            if error.refusal is not Refusal.UNKNOWN:
                raise
            raise ConflictError(f"another upload took the slot of deposit {deposit.name}") from error
        self._keeping.fetch(job)
        return acceptance

    def _run_errands(self, job: Job, round_: _Round) -> None:
        """What the enclave wants beside the keys of deposits, which were just seen to."""
        wanted = self._enclaves.status(job).errands
        for errand in wanted:
            if not round_.ended and round_.pauses.is_due(errand.subject):
                try:
                    self._run_errand(job, errand, round_)
                except ConcordatError:
                    continue  # it is noted, and tried again
        with self._lock:
            subjects = {errand.subject for errand in wanted}
            round_.failed = {subject: code for subject, code in round_.failed.items() if subject in subjects}

    def _run_errand(self, job: Job, errand: Errand, round_: _Round) -> None:
        try:
            if self._forwarder is None:
                raise ErrandsNotRunError("requests for keys are not carried from here")
            self._forwarder.run(job, errand)
        except ConcordatError as error:
            round_.pauses.failed(errand.subject)
            with self._lock:
                round_.failed[errand.subject] = status_of(error)[1]
            raise
        round_.pauses.forget(errand.subject)


def _require_about(errand: Errand, deposit: DepositRecord) -> Errand:
    """Raise `EnclaveAnswerError` if an enclave answers a deposit with the wish for another key."""
    if errand.subject != deposit.dataset:
        raise EnclaveAnswerError(f"the enclave wants a key for {errand.subject}, expected {deposit.dataset}")
    return errand


def _is_final(code: str) -> bool:
    """Whether there is nothing to be tried again in this job."""
    return code == ACCEPTED or (code in set(Refusal) and code not in _AGAIN)
