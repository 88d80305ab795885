"""Jobs whose enclaves have a state: waiting for witnesses, losing an enclave, going on with another one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode

from protos.v1 import concordat_pb2 as messages
from tests.unit.coordinator import calls
from tests.unit.coordinator.calls import RUN_ID, eventually, refused
from tests.unit.coordinator.fake_enclave import RECEIPT, manifest_of, sealed_result
from tests.unit.coordinator.running import Running, running_coordinator
from tests.unit.coordinator.stateful_enclave import OUTDATED, WITNESS, StatefulEnclave

CHUNKS = calls.random_chunks(3)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with running_coordinator(tmp_path, enclave_class=StatefulEnclave) as running:
        yield running


def waiting_job(running: Running) -> str:
    digest = calls.put_agreement(running.stub)
    request = messages.StartJobRequest(request_id="start", agreement_digest=digest)
    job_id: str = running.stub.StartJob(request).job_id
    eventually(lambda: waits(running, job_id))
    return job_id


def job(running: Running, job_id: str) -> Any:
    return running.stub.GetJob(messages.GetJobRequest(job_id=job_id))


def waits(running: Running, job_id: str) -> bool:
    found = job(running, job_id)
    return bool(found.state == messages.JOB_STATE_WAITING and list(found.missing_witnesses) == [WITNESS])


def witness(running: Running, job_id: str, statement: bytes = b"a statement") -> None:
    request = messages.PutStateStatementRequest(job_id=job_id, signed_statement=statement)
    running.stub.PutStateStatement(request)


def witnessed(running: Running, job_id: str) -> None:
    witness(running, job_id)
    eventually(lambda: job(running, job_id).state == messages.JOB_STATE_RUNNING)


def with_data(running: Running) -> str:
    """A job that runs and has its dataset."""
    job_id = waiting_job(running)
    witnessed(running, job_id)
    calls.begin(running.stub, job_id)
    calls.send(running.stub, calls.messages_of(job_id, CHUNKS))
    calls.finish(running.stub, job_id, manifest_of(CHUNKS))
    return job_id


def kept(running: Running) -> list[bytes]:
    with sqlite3.connect(running.state / "coordinator.sqlite") as database:
        rows = database.execute("SELECT record FROM state_record ORDER BY sequence").fetchall()
    return [bytes(record).removeprefix(b"record: ") for (record,) in rows]


def living(running: Running) -> StatefulEnclave:
    found = running.launcher.only()
    assert isinstance(found, StatefulEnclave)
    return found


def lose_the_enclave(running: Running, job_id: str) -> None:
    launches = running.launcher.launches
    living(running).die()
    eventually(lambda: running.launcher.launches > launches and waits(running, job_id))


def test_a_job_waits_for_its_witnesses_and_takes_nothing_meanwhile(running: Running) -> None:
    job_id = waiting_job(running)
    for call in (
        lambda: running.stub.Attest(messages.AttestRequest(job_id=job_id, nonce=bytes(32))),
        lambda: calls.begin(running.stub, job_id),
        lambda: calls.request_run(running.stub, job_id),
    ):
        with refused(StatusCode.FAILED_PRECONDITION, "coordinator/job-waiting"):
            call()
    request = messages.GetStateProposalRequest(job_id=job_id, nonce=bytes(range(32)))
    proposed = running.stub.GetStateProposal(request)
    assert proposed.signed_proposal == b"proposal after 0"
    assert (proposed.document, proposed.key_bundle) == (b"document for " + bytes(range(32)), b"bundle")
    with refused(StatusCode.FAILED_PRECONDITION, "state-behind"):
        witness(running, job_id, OUTDATED)
    assert waits(running, job_id)
    witnessed(running, job_id)
    assert kept(running) == [b"begun"]
    with refused(StatusCode.FAILED_PRECONDITION, "coordinator/job-not-waiting"):
        running.stub.GetStateProposal(request)


def test_another_enclave_is_offered_everything_and_goes_on(running: Running) -> None:
    job_id = with_data(running)
    calls.request_run(running.stub, job_id)
    assert calls.ended_run(running.stub, job_id).state == messages.RUN_STATE_RELEASED
    before = kept(running)
    assert before == [b"begun", b"accepted", b"run"]
    lose_the_enclave(running, job_id)
    assert [record.removeprefix(b"record: ") for record in living(running).offered] == before
    receipt, parts = calls.fetch(running.stub, job_id, "analyst")
    assert (receipt, b"".join(parts)) == (RECEIPT + RUN_ID, sealed_result(RUN_ID, "analyst"))
    witnessed(running, job_id)
    eventually(lambda: [slot.complete for slot in job(running, job_id).slots] == [True])
    assert living(running).executed == 0, "what was released is not asked for again"
    assert kept(running)[:4] == [*before, b"begun"]


def test_a_run_that_was_going_on_is_asked_for_again_when_the_data_is_back(running: Running) -> None:
    job_id = with_data(running)
    first = living(running)
    running.launcher.behaviour.run_delay_s = 1.0
    calls.request_run(running.stub, job_id)
    eventually(lambda: RUN_ID not in first.runs and first.lock.locked())
    lose_the_enclave(running, job_id)
    running.launcher.behaviour.run_delay_s = 0.0
    witnessed(running, job_id)
    assert calls.ended_run(running.stub, job_id).state == messages.RUN_STATE_RELEASED
    assert living(running).executed == 1
    assert b"run" in kept(running)


def test_nobody_hears_of_an_entry_that_is_not_kept(running: Running) -> None:
    job_id = with_data(running)
    running.stub.GetBudget(messages.GetBudgetRequest(job_id=job_id, signed_request=b"request"))
    assert kept(running)[-1] == b"what the answer tells of"


@pytest.mark.parametrize("most", [4, 7])
def test_no_more_is_fetched_than_a_state_may_have(
    running: Running, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """However much the enclave has to say; one that is full is not asked for what no state has."""
    monkeypatch.setattr("coordinator.keeping.STATE_RECORDS_MAX", most)
    job_id = with_data(running)
    for number in range(10):
        living(running).write(b"%d" % number)
    running.stub.GetBudget(messages.GetBudgetRequest(job_id=job_id, signed_request=b"request"))
    assert len(kept(running)) == most


def test_a_job_is_closed_while_it_waits(running: Running) -> None:
    job_id = waiting_job(running)
    running.stub.CloseJob(messages.CloseJobRequest(request_id="close", job_id=job_id))
    assert job(running, job_id).state == messages.JOB_STATE_CLOSED
    eventually(lambda: all(enclave.closed.is_set() for enclave in running.launcher.enclaves.values()))


def test_an_enclave_that_is_lost_before_its_state_began_is_lost(running: Running) -> None:
    job_id = waiting_job(running)
    living(running).die()
    eventually(lambda: job(running, job_id).state == messages.JOB_STATE_LOST)


def test_a_coordinator_that_stops_in_order_leaves_the_job_to_the_next_one(tmp_path: Path) -> None:
    with running_coordinator(tmp_path, enclave_class=StatefulEnclave) as first:
        job_id = with_data(first)
        calls.request_run(first.stub, job_id)
        assert calls.ended_run(first.stub, job_id).state == messages.RUN_STATE_RELEASED
        before = kept(first)
    assert all(enclave.closed.is_set() for enclave in first.launcher.enclaves.values()), "its enclave ends"
    with running_coordinator(tmp_path, enclave_class=StatefulEnclave) as next_one:
        eventually(lambda: waits(next_one, job_id))
        assert [record.removeprefix(b"record: ") for record in living(next_one).offered] == before
        witnessed(next_one, job_id)
        eventually(lambda: [slot.complete for slot in job(next_one, job_id).slots] == [True])
        next_one.stub.CloseJob(messages.CloseJobRequest(request_id="close", job_id=job_id))
        assert job(next_one, job_id).state == messages.JOB_STATE_CLOSED
    with running_coordinator(tmp_path, enclave_class=StatefulEnclave) as last:
        assert job(last, job_id).state == messages.JOB_STATE_CLOSED, "what somebody closed stays closed"


def test_a_job_whose_state_never_began_ends_with_its_coordinator(tmp_path: Path) -> None:
    with running_coordinator(tmp_path, enclave_class=StatefulEnclave) as first:
        job_id = waiting_job(first)
    with running_coordinator(tmp_path, enclave_class=StatefulEnclave) as next_one:
        assert job(next_one, job_id).state == messages.JOB_STATE_CLOSED
