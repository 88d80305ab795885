"""Deposits through kill -9 of the coordinator: nothing acknowledged is lost, nothing is brought twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from protos.v1 import concordat_pb2 as messages
from tests.unit.coordinator import calls
from tests.unit.coordinator.calls import eventually
from tests.unit.coordinator.coordinator_process import CoordinatorProcess, coordinator_process
from tests.unit.coordinator.fake_enclave import manifest_of


@pytest.fixture
def coordinator(tmp_path: Path) -> Iterator[CoordinatorProcess]:
    with coordinator_process(tmp_path / "state", "--enclave=--chunk-delay-s", "--enclave=0.02") as process:
        yield process


def restarted(coordinator: CoordinatorProcess) -> None:
    coordinator.kill()
    coordinator.start()


def test_a_deposit_is_resumed_and_kept_and_brought_whatever_is_killed_when(
    coordinator: CoordinatorProcess,
) -> None:
    chunks = calls.random_chunks(60)
    with coordinator.stub() as stub:
        digest = calls.put_agreement(stub)
        calls.begin(stub, digest)
        calls.send(stub, calls.messages_of(digest, chunks[:40], open_end=True))
    restarted(coordinator)
    with coordinator.stub() as stub:
        assert [deposit.complete for deposit in calls.deposits(stub, digest)] == [False]
        assert calls.begin(stub, digest) == 40
        calls.send(stub, calls.messages_of(digest, chunks, start=40))
    restarted(coordinator)
    with coordinator.stub() as stub:
        calls.finish(stub, digest, manifest_of(chunks))
    restarted(coordinator)
    with coordinator.stub() as stub:
        job_id = calls.running_job(stub)
    restarted(coordinator)  # in the middle of 60 chunks of 20 ms
    with coordinator.stub() as stub:
        (deposit,) = eventually(lambda: [d for d in calls.deposits(stub, digest) if d.said == "accepted"])
        assert (deposit.job_id, deposit.acceptance) == (job_id, b"accepted " + manifest_of(chunks))
    restarted(coordinator)
    with coordinator.stub() as stub:
        (deposit,) = calls.deposits(stub, digest)
        assert (deposit.said, deposit.acceptance) == ("accepted", b"accepted " + manifest_of(chunks))
        job = stub.GetJob(messages.GetJobRequest(job_id=job_id))
        assert [(slot.dataset, slot.complete) for slot in job.slots] == [("flights", True)]


def test_the_acceptance_of_an_enclave_that_was_not_heard_is_asked_for_again(
    coordinator: CoordinatorProcess,
) -> None:
    """Killed between the enclave's answer and the disk: the next coordinator knows nothing of the answer."""
    chunks = calls.random_chunks(3)
    with coordinator.stub() as stub:
        digest = calls.put_agreement(stub)
        calls.deposit(stub, digest, chunks)
        calls.running_job(stub)
        eventually(lambda: calls.deposits(stub, digest)[0].said == "accepted")
    coordinator.kill()
    forget_what_was_said(coordinator.state)
    coordinator.start()
    with coordinator.stub() as stub:
        (deposit,) = eventually(lambda: [d for d in calls.deposits(stub, digest) if d.said])
    assert (deposit.said, deposit.acceptance) == ("accepted", b"accepted " + manifest_of(chunks))


def forget_what_was_said(state: Path) -> None:
    import sqlite3

    with sqlite3.connect(state / "coordinator.sqlite") as connection:
        assert connection.execute("DELETE FROM said").rowcount == 1
    connection.close()


def test_files_that_a_removed_deposit_left_go_at_the_next_start(coordinator: CoordinatorProcess) -> None:
    with coordinator.stub() as stub:
        digest = calls.put_agreement(stub)
        calls.deposit(stub, digest, calls.random_chunks(3))
    coordinator.kill()
    folder = coordinator.state / "deposits" / digest.hex()
    for left in (folder / "77.chunks", folder / "77.index", folder.parent / "ab" / "78.chunks"):
        left.parent.mkdir(exist_ok=True)
        left.write_bytes(b"left behind by a kill between the database and the disk")
    coordinator.start()
    assert sorted(path.name for path in folder.parent.glob("*/*")) == ["1.chunks", "1.index"]
    with coordinator.stub() as stub:
        calls.running_job(stub)
        eventually(lambda: calls.deposits(stub, digest)[0].said == "accepted")
