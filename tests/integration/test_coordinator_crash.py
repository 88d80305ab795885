"""kill -9 at any moment, and start again: nothing that was acknowledged is lost, nothing is done twice.

The coordinator is a process of its own, and so are its (fake) enclaves, which outlive it.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from protos.v1 import concordat_pb2 as messages
from tests.unit.coordinator import calls
from tests.unit.coordinator.calls import RUN_ID, eventually
from tests.unit.coordinator.coordinator_process import CoordinatorProcess, coordinator_process
from tests.unit.coordinator.fake_enclave import RECEIPT, manifest_of, sealed_result

WINDOW_CHUNKS = 20


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def coordinator(tmp_path: Path, journal: Path) -> Iterator[CoordinatorProcess]:
    enclave = ("--journal", str(journal), "--run-delay-s", "1.5", "--chunk-delay-s", "0.002")
    with coordinator_process(tmp_path / "state", *(f"--enclave={word}" for word in enclave)) as process:
        yield process


def test_everything_acknowledged_is_there_after_a_kill(coordinator: CoordinatorProcess) -> None:
    chunks = calls.random_chunks(10)
    with coordinator.stub() as stub:
        digest = calls.put_agreement(stub)
        stub.PutApproval(
            messages.PutApprovalRequest(request_id="a", agreement_digest=digest, approval=b"approval")
        )
        job_id = calls.running_job(stub)
        calls.begin(stub, job_id)
        acknowledged = calls.send(stub, calls.messages_of(job_id, chunks[:6], open_end=True))[-1]
    coordinator.kill()
    coordinator.start()
    with coordinator.stub() as stub:
        record = stub.GetAgreement(messages.GetAgreementRequest(agreement_digest=digest))
        assert list(record.approvals) == [b"approval"]
        assert calls.running_job(stub) == job_id
        assert calls.begin(stub, job_id) == acknowledged == 6
        calls.send(stub, calls.messages_of(job_id, chunks, start=6))
        assert calls.finish(stub, job_id, manifest_of(chunks)) == b"accepted " + manifest_of(chunks)
    coordinator.kill()
    coordinator.start()
    with coordinator.stub() as stub:
        assert calls.finish(stub, job_id, manifest_of(chunks)) == b"accepted " + manifest_of(chunks)


def test_kills_in_the_middle_of_an_upload_cost_no_acknowledged_chunk(coordinator: CoordinatorProcess) -> None:
    chunks = calls.random_chunks(120, n_bytes=20_000)
    with coordinator.stub() as stub:
        job_id = calls.running_job(stub)
    start = 0
    for kill_after in (20, 50, 80):
        with coordinator.stub() as stub:
            start = calls.begin(stub, job_id)
            stream = calls.messages_of(job_id, chunks, start=start)
            acknowledged = kill_while_sending(coordinator, stub, stream, kill_after)
        coordinator.start()
        with coordinator.stub() as stub:
            assert calls.begin(stub, job_id) >= acknowledged >= kill_after
    with coordinator.stub() as stub:
        start = calls.begin(stub, job_id)
        calls.send(stub, calls.messages_of(job_id, chunks, start=start))
        calls.finish(stub, job_id, manifest_of(chunks))


def kill_while_sending(
    coordinator: CoordinatorProcess, stub: Any, stream: Iterator[messages.Chunk], kill_after: int
) -> int:
    """Kill the coordinator once `kill_after` chunks are acknowledged; the last acknowledgement that came."""
    acknowledged = kill_after - WINDOW_CHUNKS
    killed = threading.Event()

    def a_window_at_a_time() -> Iterator[messages.Chunk]:
        for chunk in stream:
            while chunk.number >= acknowledged + WINDOW_CHUNKS:
                if killed.wait(0.002):
                    return
            yield chunk

    with pytest.raises(grpc.RpcError):
        for ack in stub.UploadChunks(a_window_at_a_time()):
            acknowledged = ack.next_chunk
            if acknowledged >= kill_after and not killed.is_set():
                coordinator.kill()
                killed.set()
    return acknowledged


def test_a_run_that_was_under_way_is_released_once(coordinator: CoordinatorProcess, journal: Path) -> None:
    with coordinator.stub() as stub:
        job_id = calls.running_job(stub)
        calls.request_run(stub, job_id)
    coordinator.kill()
    coordinator.start()
    with coordinator.stub() as stub:
        assert calls.ended_run(stub, job_id).state == messages.RUN_STATE_RELEASED
    coordinator.kill()
    coordinator.start()
    with coordinator.stub() as stub:
        receipt, parts = calls.fetch(stub, job_id, "airline")
    assert (receipt, b"".join(parts)) == (RECEIPT + RUN_ID, sealed_result(RUN_ID, "airline"))
    assert journal.read_text().split() == [RUN_ID.hex()]


def test_a_job_whose_enclave_died_meanwhile_is_lost(coordinator: CoordinatorProcess) -> None:
    with coordinator.stub() as stub:
        job_id = calls.running_job(stub)
        calls.begin(stub, job_id)
        calls.send(stub, calls.messages_of(job_id, calls.random_chunks(3)))
    enclave_pid = enclave_pid_of(coordinator)
    coordinator.kill()
    os.kill(enclave_pid, signal.SIGKILL)
    coordinator.start()
    with coordinator.stub() as stub:
        job = eventually(
            lambda: (
                (job := stub.GetJob(messages.GetJobRequest(job_id=job_id))).state == messages.JOB_STATE_LOST
                and job
            )
        )
    assert "seal the dataset anew" in job.detail
    eventually(lambda: not list((coordinator.state / "spool").glob("*/*")))


def test_a_job_that_was_starting_gets_going_again(coordinator: CoordinatorProcess) -> None:
    with coordinator.stub() as stub:
        digest = calls.put_agreement(stub)
        job = stub.StartJob(messages.StartJobRequest(request_id="start", agreement_digest=digest))
    coordinator.kill()
    coordinator.start()
    with coordinator.stub() as stub:
        assert calls.settled(stub, job.job_id).state == messages.JOB_STATE_RUNNING


def test_a_stopped_coordinator_leaves_nothing_running(tmp_path: Path) -> None:
    with coordinator_process(tmp_path / "state") as coordinator:
        with coordinator.stub() as stub:
            job_id = calls.running_job(stub)
        enclave_pid = enclave_pid_of(coordinator)
        assert coordinator.end(signal.SIGINT) == 0
        assert not is_running(enclave_pid)
        coordinator.start()
        with coordinator.stub() as stub:
            job = stub.GetJob(messages.GetJobRequest(job_id=job_id))
    assert (job.state, job.detail) == (messages.JOB_STATE_CLOSED, "the coordinator was stopped")


def test_enclaves_can_be_kept_for_the_next_start(tmp_path: Path) -> None:
    with coordinator_process(tmp_path / "state", "--keep-enclaves") as coordinator:
        with coordinator.stub() as stub:
            job_id = calls.running_job(stub)
        enclave_pid = enclave_pid_of(coordinator)
        assert coordinator.end() == 0
        assert is_running(enclave_pid)
        coordinator.start()
        with coordinator.stub() as stub:
            assert stub.GetJob(messages.GetJobRequest(job_id=job_id)).phase == "collecting"
            stub.CloseJob(messages.CloseJobRequest(request_id="close", job_id=job_id))
    assert not is_running(enclave_pid)


def test_a_machine_that_does_not_start_fails_the_job_with_its_own_words(tmp_path: Path) -> None:
    with (
        coordinator_process(tmp_path / "state", "--enclave=--never-listen") as coordinator,
        coordinator.stub() as stub,
    ):
        job = calls.start_job(stub)
    assert job.state == messages.JOB_STATE_FAILED
    assert job.detail == "the enclave did not start: this machine has no memory left"


def enclave_pid_of(coordinator: CoordinatorProcess) -> int:
    """The one child of the coordinator, started by whichever of its threads."""
    assert coordinator.process is not None
    tasks = Path(f"/proc/{coordinator.process.pid}/task").iterdir()
    (child,) = [pid for task in tasks for pid in (task / "children").read_text().split()]
    return int(child)


def is_running(pid: int) -> bool:
    """Whether there is such a process; one that ended and waits for its parent has no command line."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except FileNotFoundError:
        return False
