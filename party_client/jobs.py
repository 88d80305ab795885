"""Waits for a job's enclave, and says what the coordinator says of a job: informative, decided by nobody.

Whether an enclave is the agreed one is not the coordinator's to say: see `Client.verify`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from party_client.refusals import first_line, next_step_for_words
from party_client.transport import Coordinator
from protos.formats.errors import ConcordatError
from protos.v1 import concordat_pb2 as wire

START_WAIT_S: Final = 120.0
_POLL_S: Final = 0.1
_STATES: Final = {
    wire.JOB_STATE_STARTING: "starting",
    wire.JOB_STATE_RUNNING: "running",
    wire.JOB_STATE_WAITING: "waiting",
    wire.JOB_STATE_FAILED: "failed",
    wire.JOB_STATE_LOST: "lost",
    wire.JOB_STATE_CLOSED: "closed",
}


class JobNotRunningError(ConcordatError):
    """A job has no enclave that is bound to the agreement."""

    code = "job/not-running"


def wait_until_running(coordinator: Coordinator, job_id: str, *, at_most_s: float = START_WAIT_S) -> wire.Job:
    """The job once its enclave is bound, although it may wait for its state. Raises `JobNotRunningError`."""
    deadline_s = time.monotonic() + at_most_s
    while (job := coordinator.get_job(job_id)).state == wire.JOB_STATE_STARTING:
        if time.monotonic() >= deadline_s:
            raise JobNotRunningError(
                f"job {job_id}: the enclave is still starting after {at_most_s:.0f} s",
                hint=f"look again later: `concordat job show {job_id}`",
            )
        time.sleep(_POLL_S)
    if job.state not in (wire.JOB_STATE_RUNNING, wire.JOB_STATE_WAITING):
        said = first_line(job.detail)
        raise JobNotRunningError(
            f"job {job_id}: {state_name(job)}, the coordinator says: {said or 'no reason given'}",
            hint=next_step_for_words(said) or "start another job; if that one fails too, ask the operator",
        )
    return job


def state_name(job: wire.Job) -> str:
    """`running` and the like, in words of the service definition."""
    return _STATES.get(job.state, "unknown")


def facts(job: wire.Job) -> Mapping[str, Any]:
    """Everything the coordinator says of a job, for JSON."""
    return {
        "job_id": job.job_id,
        "agreement": job.agreement_digest.hex(),
        "state": state_name(job),
        "phase": job.phase,
        "launcher": job.launcher,
        "detail": job.detail,
        "missing_witnesses": list(job.missing_witnesses),
        "datasets": [{"dataset": slot.dataset, "complete": slot.complete} for slot in job.slots],
        "deposits": [
            {"dataset": each.dataset, "deposited_by": each.deposited_by, "said": first_line(each.said)}
            for each in job.deposits
        ],
        "keys_wanted": [
            {
                "subject": first_line(each.subject),
                "endpoint": first_line(each.endpoint),
                "said": first_line(each.said),
            }
            for each in job.errands
        ],
    }
