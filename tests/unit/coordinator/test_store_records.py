"""Sealed records of enclaves' states come to the disk with what they are about, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.errors import RunNotReleasedError, StateError
from coordinator.jobs import JobEvent, RunState
from coordinator.quotas import Quotas
from coordinator.store import Store
from coordinator.store.records import Released
from coordinator.store.requests import Request
from coordinator.store.runs import RunRecord

RUN_ID = bytes(16)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "coordinator.sqlite", Quotas())
    store.agreements.put(Request("airline", "1", "PutAgreement", b""), digest=b"d" * 48, agreement=b"a")
    store.jobs.start(
        Request("airline", "2", "StartJob", b""), job_id="j", agreement_digest=b"d" * 48, launcher="local"
    )
    yield store
    store.close()


def asked(store: Store) -> RunRecord:
    run, _ = store.runs.add(RunRecord("j", RUN_ID, "analyst", b"request", RunState.RUNNING))
    return run


def test_records_are_numbered_and_kept_as_they_are(store: Store) -> None:
    assert store.records.count("j") == 0
    store.records.add("j", 1, b"first", None)
    store.records.add("j", 2, b"second", None)
    assert store.records.count("j") == 2
    assert [store.records.get("j", sequence) for sequence in (1, 2)] == [b"first", b"second"]
    assert store.records.count("another") == 0


def test_a_run_is_released_with_its_record_or_not_at_all(store: Store) -> None:
    run = asked(store)
    released = Released(run, b"receipt", {"analyst": b"sealed"})
    store.records.add("j", 1, b"begun", None)
    with pytest.raises(StateError):
        store.records.add("j", 1, b"of the run", released)  # there is one in its place
    with pytest.raises(RunNotReleasedError):
        store.runs.receipt(run)
    store.records.add("j", 2, b"of the run", released)
    assert store.runs.get("j", RUN_ID).state is RunState.RELEASED
    assert store.runs.receipt(run) == b"receipt"
    assert b"".join(store.runs.result_parts(run, "analyst")) == b"sealed"


def test_a_run_waits_for_the_enclave_that_goes_on(store: Store) -> None:
    run = asked(store)
    for event in (JobEvent.WAITS, JobEvent.BOUND, JobEvent.RESTARTED, JobEvent.WAITS):
        store.jobs.advance("j", event)
        assert store.runs.waiting("j") == [run]
    store.jobs.advance("j", JobEvent.ENCLAVE_GONE)
    assert store.runs.get("j", RUN_ID).state is RunState.LOST
