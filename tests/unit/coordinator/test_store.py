from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.errors import (
    BadRequestError,
    ConflictError,
    DiskFullError,
    NotKnownError,
    OverQuotaError,
    RunNotReleasedError,
    StateError,
)
from coordinator.jobs import Job, JobEvent, JobState, RunState
from coordinator.quotas import Quotas
from coordinator.store import Store
from coordinator.store import requests as requests_module
from coordinator.store.requests import Request
from coordinator.store.runs import RESULT_PART_BYTES, RunRecord
from coordinator.store.uploads import UploadRecord
from protos.formats import limits
from protos.formats.calls import Refusal

DIGEST = b"d" * 48
QUOTAS = Quotas(agreements=2, approvals_per_agreement=2, jobs=2, jobs_of_all=3, runs_at_once=2)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "state.sqlite", QUOTAS)
    yield store
    store.close()


def asked(request_id: str, content: bytes = b"", *, caller: str = "airline", call: str = "Call") -> Request:
    return Request(caller, request_id, call, content)


def put(store: Store, digest: bytes = DIGEST, *, caller: str = "airline") -> None:
    store.agreements.put(
        asked(f"put {digest[:8].hex()}", caller=caller), digest=digest, agreement=b"text of " + digest
    )


def started(store: Store, request_id: str = "start", *, caller: str = "airline") -> Job:
    put(store)
    return store.jobs.start(
        asked(request_id, DIGEST, caller=caller),
        job_id=f"job of {caller}, {request_id}",
        agreement_digest=DIGEST,
        launcher="local",
    )


def run_of(job: Job, run_id: bytes = b"r" * 16, request: bytes = b"request") -> RunRecord:
    return RunRecord(job.job_id, run_id, "analyst", request, RunState.RUNNING)


def approve(
    store: Store, approval: bytes, *, caller: str = "airline", again: str = "", has_own_place: bool = True
) -> list[bytes]:
    """What is pinned to the agreement once `approval` is; `again`: the same call is not meant."""
    store.agreements.put_approval(
        asked(f"approve {approval!r} {again}", approval, caller=caller),
        digest=DIGEST,
        approval=approval,
        has_own_place=has_own_place,
    )
    return store.agreements.get(DIGEST).approvals


def test_an_agreement_stays_on_the_board_with_its_approvals_in_order(store: Store) -> None:
    put(store)
    put(store)
    approve(store, b"second", caller="weather")
    assert approve(store, b"first") == [b"second", b"first"]
    assert store.agreements.get(DIGEST).agreement == b"text of " + DIGEST
    assert store.agreements.digests() == [DIGEST]


def test_a_caller_has_one_place_and_fills_no_other(store: Store) -> None:
    put(store)
    approve(store, b"junk", caller="stranger")
    approve(store, b"genuine")
    assert approve(store, b"genuine", caller="stranger") == [b"genuine", b"genuine"]
    assert approve(store, b"more junk", caller="stranger") == [b"more junk", b"genuine"]
    assert approve(store, b"newer") == [b"more junk", b"newer"]
    assert approve(store, b"genuine") == [b"more junk", b"newer"], "a call that is repeated undoes nothing"
    assert approve(store, b"genuine", again="on purpose") == [b"more junk", b"genuine"]


def test_approvals_of_callers_who_cannot_be_told_apart_do_not_replace_each_other(store: Store) -> None:
    put(store)
    for again in ("", "again"):
        for approval in (b"1", b"2"):
            approve(store, approval, again=again, has_own_place=False)
    assert store.agreements.get(DIGEST).approvals == [b"1", b"2"]
    with pytest.raises(OverQuotaError, match="approvals_per_agreement"):
        approve(store, b"3", has_own_place=False)


def test_an_approval_for_an_unknown_agreement_is_refused(store: Store) -> None:
    with pytest.raises(NotKnownError, match="no agreement"):
        store.agreements.put_approval(asked("a"), digest=DIGEST, approval=b"x")


def test_everything_is_there_again_after_opening_the_file_anew(store: Store, tmp_path: Path) -> None:
    job = started(store)
    store.jobs.set_address(job.job_id, "/run/enclave.sock")
    upload = UploadRecord(job.job_id, b"u" * 16, "flights", "airline", b"header")
    store.uploads.add(upload)
    store.uploads.set_accepted(upload, signed_manifest=b"manifest", acceptance=b"acceptance")
    run, _ = store.runs.add(run_of(job))
    store.runs.set_released(run, receipt=b"receipt", sealed={"analyst": b"sealed"})
    again = Store(tmp_path / "state.sqlite", QUOTAS)
    assert again.agreements.get(DIGEST) == store.agreements.get(DIGEST)
    assert again.jobs.get(job.job_id).address == "/run/enclave.sock"
    assert again.uploads.get(job.job_id, b"u" * 16).acceptance == b"acceptance"
    released = again.runs.get(job.job_id, run.run_id)
    assert (released.state, again.runs.receipt(released)) == (RunState.RELEASED, b"receipt")
    assert list(again.runs.result_parts(released, "analyst")) == [b"sealed"]
    again.close()


def test_a_repeated_start_gives_the_same_job(store: Store) -> None:
    assert started(store) == started(store)
    assert len(store.jobs.all()) == 1


def test_a_request_id_is_not_used_for_two_things(store: Store) -> None:
    started(store, "same")
    with pytest.raises(ConflictError, match="used before"):
        store.jobs.start(asked("same", b"other"), job_id="j", agreement_digest=DIGEST, launcher="local")
    with pytest.raises(ConflictError, match="used before"):
        store.jobs.close(asked("same", DIGEST, call="CloseJob"), started(store, "same").job_id, detail="")


def test_request_ids_of_two_callers_have_nothing_to_do_with_each_other(store: Store) -> None:
    assert started(store, caller="airline").job_id != started(store, caller="weather").job_id


@pytest.mark.parametrize("request_id", ["", "x" * 65, "line\nbreak"])
def test_a_request_id_is_a_short_printable_text(request_id: str) -> None:
    with pytest.raises(BadRequestError, match="request_id"):
        asked(request_id)


def test_old_request_ids_are_forgotten(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests_module, "REMEMBERED", 5)
    put(store)
    for number in range(20):
        store.agreements.put_approval(asked(f"request {number}"), digest=DIGEST, approval=b"same")
    with sqlite3.connect(tmp_path / "state.sqlite") as connection:
        (count,) = connection.execute("SELECT count(*) FROM request").fetchone()
    connection.close()
    assert count == 5


def test_quotas_bound_what_a_caller_puts_here(store: Store) -> None:
    for digest in (b"1" * 48, b"2" * 48):
        put(store, digest)
    with pytest.raises(OverQuotaError, match="quota agreements: got one more than 2"):
        put(store, b"3" * 48)
    put(store, b"3" * 48, caller="weather")
    put(store, b"1" * 48)


def test_quotas_bound_approvals(store: Store) -> None:
    put(store)
    approve(store, b"1")
    approve(store, b"2", caller="weather")
    with pytest.raises(OverQuotaError, match="approvals_per_agreement"):
        approve(store, b"3", caller="stranger")
    assert approve(store, b"newer") == [b"newer", b"2"], "who has a place keeps it"


def test_a_board_keeps_no_more_approvals_than_an_enclave_takes() -> None:
    assert Quotas().approvals_per_agreement == limits.APPROVALS_MAX


def test_quotas_bound_living_jobs_of_one_and_of_all(store: Store) -> None:
    first = started(store, "1")
    started(store, "2")
    with pytest.raises(OverQuotaError, match="quota jobs:"):
        started(store, "3")
    started(store, "4", caller="weather")
    with pytest.raises(OverQuotaError, match="quota jobs_of_all:"):
        started(store, "5", caller="registry")
    store.jobs.advance(first.job_id, JobEvent.CLOSED)
    started(store, "3")


def test_quotas_bound_waiting_runs(store: Store) -> None:
    job = started(store)
    for run_id in (b"1" * 16, b"2" * 16):
        store.runs.add(run_of(job, run_id))
    with pytest.raises(OverQuotaError, match="runs_at_once"):
        store.runs.add(run_of(job, b"3" * 16))
    store.runs.set_refused(run_of(job, b"1" * 16), Refusal.NOT_READY)
    store.runs.add(run_of(job, b"3" * 16))


def test_a_job_that_is_over_takes_its_unanswered_runs_with_it(store: Store) -> None:
    job = started(store)
    store.jobs.advance(job.job_id, JobEvent.BOUND)
    waiting, _ = store.runs.add(run_of(job, b"1" * 16))
    released, _ = store.runs.add(run_of(job, b"2" * 16))
    store.runs.set_released(released, receipt=b"receipt", sealed={"analyst": b"sealed"})
    lost = store.jobs.advance(job.job_id, JobEvent.ENCLAVE_GONE)
    assert lost.state is JobState.LOST
    assert store.runs.get(job.job_id, waiting.run_id).state is RunState.LOST
    assert store.runs.get(job.job_id, released.run_id).state is RunState.RELEASED
    assert store.jobs.advance(job.job_id, JobEvent.CLOSED).state is JobState.LOST


def test_closing_twice_is_closing_once(store: Store) -> None:
    job = started(store)
    for _ in range(2):
        closed = store.jobs.close(
            asked("close", job.job_id.encode(), call="CloseJob"), job.job_id, detail="by airline"
        )
        assert (closed.state, closed.detail) == (JobState.CLOSED, "by airline")


def test_jobs_are_listed_by_agreement(store: Store) -> None:
    job = started(store)
    assert [found.job_id for found in store.jobs.all(agreement_digest=DIGEST)] == [job.job_id]
    assert store.jobs.all(agreement_digest=b"e" * 48) == []
    with pytest.raises(NotKnownError, match="no job 'other'"):
        store.jobs.get("other")


def test_a_run_id_is_asked_for_once(store: Store) -> None:
    job = started(store)
    assert store.runs.add(run_of(job)) == (run_of(job), True)
    assert store.runs.add(run_of(job)) == (run_of(job), False)
    with pytest.raises(ConflictError, match="another request"):
        store.runs.add(run_of(job, request=b"other"))


def test_a_run_without_a_result_says_how_it_stands(store: Store) -> None:
    job = started(store)
    run, _ = store.runs.add(run_of(job))
    with pytest.raises(RunNotReleasedError, match="is running"):
        store.runs.receipt(run)
    store.runs.set_refused(run, Refusal.NO_RUNS_LEFT)
    with pytest.raises(RunNotReleasedError, match="refused no-runs-left"):
        store.runs.receipt(store.runs.get(job.job_id, run.run_id))


def test_a_large_result_comes_in_parts(store: Store) -> None:
    job = started(store)
    run, _ = store.runs.add(run_of(job))
    sealed = bytes(range(256)) * 4200
    store.runs.set_released(run, receipt=b"receipt", sealed={"analyst": sealed, "airline": b"other"})
    parts = list(store.runs.result_parts(run, "analyst"))
    assert b"".join(parts) == sealed
    assert max(map(len, parts)) == RESULT_PART_BYTES
    with pytest.raises(NotKnownError, match="no result for 'weather'"):
        list(store.runs.result_parts(run, "weather"))


def test_a_new_upload_to_a_slot_replaces_the_senders_unfinished_one(store: Store) -> None:
    job = started(store)
    first = UploadRecord(job.job_id, b"1" * 16, "flights", "airline", b"header")
    others = [
        UploadRecord(job.job_id, b"2" * 16, "weather", "airline", b"header"),
        UploadRecord(job.job_id, b"3" * 16, "flights", "weather", b"header"),
    ]
    for upload in (first, *others):
        assert store.uploads.add(upload) == []
    newer = UploadRecord(job.job_id, b"4" * 16, "flights", "airline", b"header")
    assert store.uploads.add(newer) == [first]
    assert store.uploads.add(newer) == []
    assert store.uploads.of_job(job.job_id) == [*others, newer]
    with pytest.raises(NotKnownError, match="no upload"):
        store.uploads.get(job.job_id, first.upload_id)


def test_a_full_disk_changes_nothing_and_says_so(store: Store) -> None:
    job = started(store)
    run, _ = store.runs.add(run_of(job))
    with store._database.reading() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 10}")
    with pytest.raises(DiskFullError, match="no space left"):
        store.runs.set_released(run, receipt=b"receipt", sealed={"analyst": bytes(10**6)})
    assert store.runs.get(job.job_id, run.run_id).state is RunState.RUNNING
    with pytest.raises(RunNotReleasedError):
        store.runs.receipt(run)
    store.runs.set_released(run, receipt=b"receipt", sealed={"analyst": b"small"})


def test_state_of_another_release_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "state.sqlite") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StateError, match="schema version 99, expected 3"):
        Store(tmp_path / "state.sqlite", QUOTAS)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state.sqlite").write_bytes(b"something else entirely" * 100)
    with pytest.raises(StateError, match="SQLITE_NOTADB"):
        Store(tmp_path / "state.sqlite", QUOTAS)
