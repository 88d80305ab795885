"""What the coordinator knows, as messages of the service definition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from coordinator import log
from coordinator.bringing import WantedErrand
from coordinator.deposits import Standing
from coordinator.enclaves import Status
from coordinator.jobs import MEANING, Job, JobState, RunState
from coordinator.store.agreements import AgreementRecord
from coordinator.store.deposits import DepositRecord, Said
from coordinator.store.runs import RunRecord
from protos.v1 import concordat_pb2 as messages

_JOB_STATES: Final = {
    JobState.STARTING: messages.JOB_STATE_STARTING,
    JobState.WAITING: messages.JOB_STATE_WAITING,
    JobState.RUNNING: messages.JOB_STATE_RUNNING,
    JobState.FAILED: messages.JOB_STATE_FAILED,
    JobState.LOST: messages.JOB_STATE_LOST,
    JobState.CLOSED: messages.JOB_STATE_CLOSED,
}
_RUN_STATES: Final = {
    RunState.RUNNING: messages.RUN_STATE_RUNNING,
    RunState.RELEASED: messages.RUN_STATE_RELEASED,
    RunState.REFUSED: messages.RUN_STATE_REFUSED,
    RunState.LOST: messages.RUN_STATE_LOST,
}


def agreement_record(record: AgreementRecord) -> messages.AgreementRecord:
    """An agreement with its approvals."""
    return messages.AgreementRecord(
        agreement_digest=record.digest, agreement=record.agreement, approvals=record.approvals
    )


def job(
    job: Job,
    status: Status | None = None,
    *,
    brought: Sequence[tuple[DepositRecord, Said]] = (),
    wanted: Sequence[WantedErrand] = (),
) -> messages.Job:
    """A job; phase and slots where its enclave said them just now; `wanted` likewise."""
    slots = status.slots if status else []
    return messages.Job(
        job_id=job.job_id,
        agreement_digest=job.agreement_digest,
        state=_JOB_STATES[job.state],
        phase=status.phase if status else "",
        slots=[messages.Slot(dataset=slot.dataset, complete=slot.complete) for slot in slots],
        detail=job.detail or MEANING[job.state],
        launcher=job.launcher,
        deposits=[
            messages.DepositInJob(dataset=deposit.dataset, deposited_by=deposit.sent_by, said=said.said)
            for deposit, said in brought
        ],
        errands=[
            messages.Errand(subject=each.errand.subject, endpoint=each.errand.endpoint, said=each.said)
            for each in wanted
        ],
        missing_witnesses=status.state.missing if status and status.state else [],
    )


def deposit(standing: Standing, *, asked_by: str) -> messages.Deposit:
    """A deposit and how it fares, for a caller: the acceptance is for whoever deposited."""
    record, said = standing.record, standing.said
    is_own = record.sent_by == asked_by
    return messages.Deposit(
        upload_id=record.upload_id,
        dataset=record.dataset,
        deposited_by=record.sent_by,
        complete=record.is_complete,
        stored_bytes_at_most=log.bucketed(standing.stored_bytes),
        job_id=said.job_id if said else "",
        said=said.said if said else "",
        acceptance=(said.acceptance or b"") if said and is_own else b"",
    )


def run(run: RunRecord) -> messages.Run:
    """A run and, where it was refused, the enclave's code."""
    return messages.Run(
        run_id=run.run_id, job_id=run.job_id, state=_RUN_STATES[run.state], refusal=run.refusal
    )
