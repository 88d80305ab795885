"""What may become of a job and of a run: two tables, a sentence a state, and nothing that touches the world.

A job is one enclave under one agreement, and one life of it unless its state may outlive it. The coordinator
decides from these tables whether work goes on; what may come out is decided inside the enclave.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from coordinator.errors import JobNotRunningError, JobNotWaitingError, JobWaitingError


class JobState(StrEnum):
    """Where a job is in its life."""

    STARTING = "starting"
    WAITING = "waiting"
    RUNNING = "running"
    FAILED = "failed"
    LOST = "lost"
    CLOSED = "closed"


class JobEvent(StrEnum):
    """What can happen to a job."""

    WAITS = "waits"
    """The enclave is bound, and takes no data before it has taken its state up."""
    BOUND = "bound"
    """The enclave verified the agreement and is bound to it; a state, if it has one, it has taken up."""
    RESTARTED = "restarted"
    """Its enclave is gone, and another one is to take up the state."""
    FAILED = "failed"
    """The enclave did not start, or refused the agreement."""
    ENCLAVE_GONE = "enclave gone"
    """Its process ended, or nobody answers there any more."""
    CLOSED = "closed"
    """Somebody who may asked for the end."""


class RunState(StrEnum):
    """Where a run is in its life."""

    RUNNING = "running"
    RELEASED = "released"
    REFUSED = "refused"
    LOST = "lost"


MEANING: Final[dict[JobState, str]] = {
    JobState.STARTING: "the enclave is starting or being bound to the agreement",
    JobState.WAITING: "until the key of its state and the word of each witness have come",
    JobState.RUNNING: "the enclave is bound and takes datasets and runs",
    JobState.FAILED: "the enclave did not start or refused the agreement",
    JobState.LOST: "the enclave was lost and its keys with it: seal the dataset anew to a new job",
    JobState.CLOSED: "ended on request",
}

GOES_ON: Final = "its enclave is gone; another one takes up its state"
"""Detail of a job that is starting again."""
_NEXT: Final[dict[tuple[JobState, JobEvent], JobState]] = {
    (JobState.STARTING, JobEvent.BOUND): JobState.RUNNING,
    (JobState.STARTING, JobEvent.FAILED): JobState.FAILED,
    (JobState.STARTING, JobEvent.ENCLAVE_GONE): JobState.FAILED,
    (JobState.STARTING, JobEvent.CLOSED): JobState.CLOSED,
    (JobState.STARTING, JobEvent.WAITS): JobState.WAITING,
    (JobState.STARTING, JobEvent.RESTARTED): JobState.STARTING,
    (JobState.WAITING, JobEvent.BOUND): JobState.RUNNING,
    (JobState.WAITING, JobEvent.RESTARTED): JobState.STARTING,
    (JobState.WAITING, JobEvent.ENCLAVE_GONE): JobState.LOST,
    (JobState.WAITING, JobEvent.CLOSED): JobState.CLOSED,
    (JobState.RUNNING, JobEvent.RESTARTED): JobState.STARTING,
    (JobState.RUNNING, JobEvent.ENCLAVE_GONE): JobState.LOST,
    (JobState.RUNNING, JobEvent.CLOSED): JobState.CLOSED,
}
LIVING: Final = frozenset({JobState.STARTING, JobState.WAITING, JobState.RUNNING})
"""States in which there is, or soon will be, an enclave; all others are final."""


@dataclass(frozen=True)
class Job:
    """One row of the job table."""

    job_id: str
    agreement_digest: bytes
    started_by: str
    state: JobState
    detail: str
    """For people: why it is in this state, when there is more to say than `MEANING`."""
    launcher: str
    address: str
    """Where its enclave listens, in the launcher's words; empty when it has none."""

    @property
    def is_living(self) -> bool:
        """There is, or soon will be, an enclave."""
        return self.state in LIVING

    @property
    def _goes_on(self) -> bool:
        """Whether it is starting again, with the state of an enclave that was lost."""
        return self.state is JobState.STARTING and self.detail == GOES_ON

    def require_running(self) -> None:
        """Raise `JobNotRunningError` or `JobWaitingError` unless the enclave takes datasets and runs."""
        if self.state is JobState.RUNNING:
            return
        if self.state is JobState.WAITING or self._goes_on:
            raise JobWaitingError(
                f"job {self.job_id} waits for its state: {self.detail or MEANING[self.state]}"
            )
        raise JobNotRunningError(
            f"job {self.job_id} is {self.state.value}, not running: {self.detail or MEANING[self.state]}",
        )

    def require_waiting(self) -> None:
        """Raise `JobNotWaitingError` unless its enclave waits for its state."""
        if self.state is not JobState.WAITING:
            raise JobNotWaitingError(f"job {self.job_id} is {self.state.value}, not waiting for its state")


def after(state: JobState, event: JobEvent) -> JobState | None:
    """The state after `event`, or None where the table has no such row: the job is over, nothing changes."""
    return _NEXT.get((state, event))


def run_state_after_loss(state: RunState) -> RunState:
    """What becomes of a run when its enclave is gone: an unanswered one is lost, the others stay."""
    return RunState.LOST if state is RunState.RUNNING else state
