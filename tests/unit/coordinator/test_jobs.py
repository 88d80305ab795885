from __future__ import annotations

import pytest

from coordinator.errors import JobNotRunningError, JobNotWaitingError, JobWaitingError
from coordinator.jobs import (
    GOES_ON,
    LIVING,
    MEANING,
    Job,
    JobEvent,
    JobState,
    RunState,
    after,
    run_state_after_loss,
)

EVERY_STEP = [(state, event) for state in JobState for event in JobEvent]


def job_in(state: JobState, detail: str = "") -> Job:
    return Job("j1", b"d" * 48, "airline", state, detail, "local", "/run/enclave.sock")


def test_every_state_is_explained_in_a_sentence() -> None:
    assert MEANING.keys() == set(JobState)
    assert all(MEANING.values())


@pytest.mark.parametrize(("state", "event"), EVERY_STEP)
def test_a_job_that_is_over_stays_over(state: JobState, event: JobEvent) -> None:
    next_state = after(state, event)
    if state not in LIVING:
        assert next_state is None


@pytest.mark.parametrize(
    ("state", "event", "expected"),
    [
        (JobState.STARTING, JobEvent.BOUND, JobState.RUNNING),
        (JobState.STARTING, JobEvent.FAILED, JobState.FAILED),
        (JobState.STARTING, JobEvent.ENCLAVE_GONE, JobState.FAILED),
        (JobState.STARTING, JobEvent.CLOSED, JobState.CLOSED),
        (JobState.STARTING, JobEvent.WAITS, JobState.WAITING),
        (JobState.STARTING, JobEvent.RESTARTED, JobState.STARTING),
        (JobState.WAITING, JobEvent.BOUND, JobState.RUNNING),
        (JobState.WAITING, JobEvent.RESTARTED, JobState.STARTING),
        (JobState.WAITING, JobEvent.ENCLAVE_GONE, JobState.LOST),
        (JobState.WAITING, JobEvent.CLOSED, JobState.CLOSED),
        (JobState.WAITING, JobEvent.FAILED, None),
        (JobState.RUNNING, JobEvent.RESTARTED, JobState.STARTING),
        (JobState.RUNNING, JobEvent.WAITS, None),
        (JobState.RUNNING, JobEvent.BOUND, None),
        (JobState.RUNNING, JobEvent.FAILED, None),
        (JobState.RUNNING, JobEvent.ENCLAVE_GONE, JobState.LOST),
        (JobState.RUNNING, JobEvent.CLOSED, JobState.CLOSED),
    ],
)
def test_a_living_job_goes_on_as_the_table_says(
    state: JobState, event: JobEvent, expected: JobState | None
) -> None:
    assert after(state, event) is expected


def test_only_an_unanswered_run_is_lost_with_its_enclave() -> None:
    assert {state: run_state_after_loss(state) for state in RunState} == {
        RunState.RUNNING: RunState.LOST,
        RunState.RELEASED: RunState.RELEASED,
        RunState.REFUSED: RunState.REFUSED,
        RunState.LOST: RunState.LOST,
    }


def test_work_waits_for_an_enclave_that_goes_on_with_a_state() -> None:
    for job in (job_in(JobState.WAITING), job_in(JobState.STARTING, GOES_ON)):
        with pytest.raises(JobWaitingError, match="waits for its state"):
            job.require_running()


@pytest.mark.parametrize("state", [state for state in JobState if state is not JobState.WAITING])
def test_witnesses_are_heard_while_the_job_waits_and_not_else(state: JobState) -> None:
    job_in(JobState.WAITING).require_waiting()
    with pytest.raises(JobNotWaitingError, match=state.value):
        job_in(state).require_waiting()


@pytest.mark.parametrize(
    "state", [state for state in JobState if state not in (JobState.WAITING, JobState.RUNNING)]
)
def test_work_is_refused_unless_the_job_runs(state: JobState) -> None:
    with pytest.raises(JobNotRunningError, match=state.value):
        job_in(state).require_running()


def test_a_lost_job_says_what_to_do() -> None:
    with pytest.raises(JobNotRunningError, match="seal the dataset anew"):
        job_in(JobState.LOST).require_running()


def test_a_running_job_takes_work() -> None:
    job_in(JobState.RUNNING).require_running()
