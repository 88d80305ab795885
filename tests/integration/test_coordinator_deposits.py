"""Datasets that wait at a coordinator, over a real socket: kept, replaced, removed, brought to enclaves."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode

from coordinator import bringing
from protos.v1 import concordat_pb2 as messages
from tests.unit.coordinator import calls
from tests.unit.coordinator.calls import UPLOAD_ID, eventually, refused
from tests.unit.coordinator.fake_enclave import manifest_of
from tests.unit.coordinator.running import SMALL_QUOTAS, Running, running_coordinator

OTHER_ID = b"O" * 16


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with running_coordinator(tmp_path) as running:
        yield running


@pytest.fixture
def digest(running: Running) -> bytes:
    return calls.put_agreement(running.stub)


def said(stub: Any, digest: bytes) -> list[tuple[str, str]]:
    """(dataset, what came of it) of all deposits."""
    return [(deposit.dataset, deposit.said) for deposit in calls.deposits(stub, digest)]


def test_a_deposit_waits_for_the_jobs_of_its_agreement(running: Running, digest: bytes) -> None:
    stub, chunks = running.stub, calls.random_chunks(5)
    calls.deposit(stub, digest, chunks)
    (waiting,) = calls.deposits(stub, digest)
    assert (waiting.dataset, waiting.complete, waiting.said, waiting.job_id) == ("flights", True, "", "")
    assert waiting.stored_bytes_at_most == 8192
    for request_id in ("first", "second"):  # each of which is another enclave with other keys
        job_id = calls.running_job(stub, request_id)
        eventually(partial(lambda job_id: calls.deposits(stub, digest)[0].job_id == job_id, job_id))
        (deposit,) = calls.deposits(stub, digest)
        assert deposit.said == "accepted"
        assert deposit.acceptance == b"accepted " + manifest_of(chunks)
        job = stub.GetJob(messages.GetJobRequest(job_id=job_id))
        assert [(slot.dataset, slot.complete) for slot in job.slots] == [("flights", True)]
        assert [(d.dataset, d.deposited_by, d.said) for d in job.deposits] == [
            ("flights", "anonymous", "accepted")
        ]
        stub.CloseJob(messages.CloseJobRequest(request_id=f"close {request_id}", job_id=job_id))
    assert running.kept(), "what ends with a job is the enclave, not the deposit"


def test_a_deposit_that_comes_while_a_job_runs_is_brought_as_well(running: Running, digest: bytes) -> None:
    calls.running_job(running.stub)
    calls.deposit(running.stub, digest, calls.random_chunks(3))
    eventually(lambda: said(running.stub, digest) == [("flights", "accepted")])


def test_a_deposit_is_not_complete_before_it_is_finished(running: Running, digest: bytes) -> None:
    stub, chunks = running.stub, calls.random_chunks(4)
    calls.running_job(stub)
    calls.begin(stub, digest)
    calls.send(stub, calls.messages_of(digest, chunks[:2], open_end=True))
    with refused(StatusCode.OUT_OF_RANGE, "coordinator/out-of-order"):
        calls.finish(stub, digest, manifest_of(chunks))
    assert [(d.complete, d.said) for d in calls.deposits(stub, digest)] == [(False, "")]
    assert calls.begin(stub, digest) == 2
    calls.send(stub, calls.messages_of(digest, chunks, start=2))
    for _ in range(2):  # again is fine
        assert calls.finish(stub, digest, manifest_of(chunks)) == b""
    assert calls.begin(stub, digest) == 4
    with refused(StatusCode.ALREADY_EXISTS, "coordinator/conflict"):
        calls.finish(stub, digest, b"another manifest")
    with refused(StatusCode.ALREADY_EXISTS, "coordinator/conflict"):
        calls.send(stub, calls.messages_of(digest, chunks))
    with refused(StatusCode.ALREADY_EXISTS, "coordinator/conflict"):
        calls.begin(stub, digest, header=b"another header")
    eventually(lambda: said(stub, digest) == [("flights", "accepted")])


def test_a_complete_deposit_stays_until_the_next_one_is_complete(running: Running, digest: bytes) -> None:
    stub = running.stub
    calls.deposit(stub, digest, calls.random_chunks(3))
    newer = calls.random_chunks(2)
    calls.begin(stub, digest, upload_id=OTHER_ID, header=b"newer")
    calls.send(stub, calls.messages_of(digest, newer, upload_id=OTHER_ID))
    assert [d.complete for d in calls.deposits(stub, digest)] == [True, False]
    calls.finish(stub, digest, manifest_of(newer), upload_id=OTHER_ID)
    assert [d.upload_id for d in calls.deposits(stub, digest)] == [OTHER_ID]
    assert running.kept() == ["2.chunks", "2.index"]
    calls.running_job(stub)
    eventually(lambda: said(stub, digest) == [("flights", "accepted")])
    assert running.launcher.only().uploads[OTHER_ID].accepted == b"accepted " + manifest_of(newer)


def test_an_unfinished_deposit_gives_way_to_another_one(running: Running, digest: bytes) -> None:
    stub = running.stub
    calls.begin(stub, digest)
    calls.send(stub, calls.messages_of(digest, calls.random_chunks(2), open_end=True))
    calls.begin(stub, digest, upload_id=OTHER_ID)
    assert running.kept() == ["2.chunks", "2.index"]
    with refused(StatusCode.NOT_FOUND, "coordinator/unknown"):
        calls.finish(stub, digest, b"manifest")


def test_a_removed_deposit_is_gone_and_its_space_is_free(running: Running, digest: bytes) -> None:
    stub = running.stub
    calls.deposit(stub, digest, calls.random_chunks(4, n_bytes=100_000))
    for _ in range(2):  # the same call twice is one
        calls.remove_deposit(stub, digest)
    assert (calls.deposits(stub, digest), running.kept()) == ([], [])
    with refused(StatusCode.NOT_FOUND, "coordinator/unknown"):
        calls.remove_deposit(stub, digest, request_id="once more")
    # 400,000 bytes of 800,000 each: this would not fit if the first one still counted.
    for number, dataset in enumerate(("weather", "planes")):
        upload_id = bytes([number]) * 16
        chunks = calls.random_chunks(4, n_bytes=90_000)
        calls.deposit(stub, digest, chunks, upload_id=upload_id, dataset=dataset)


def test_a_stream_into_a_removed_deposit_ends(running: Running, digest: bytes) -> None:
    stub = running.stub
    calls.begin(stub, digest)
    removed = False

    def waiting() -> Iterator[messages.Chunk]:
        nonlocal removed
        yield from calls.messages_of(digest, calls.random_chunks(2), open_end=True)
        calls.remove_deposit(stub, digest)
        removed = True
        eventually(lambda: False, within_s=60)

    with refused(StatusCode.NOT_FOUND, "coordinator/unknown"):
        calls.send(stub, waiting())
    eventually(lambda: removed)  # the stream may end before the call that removed it has its answer


def test_what_an_enclave_refuses_is_said_and_not_tried_again(running: Running, digest: bytes) -> None:
    stub = running.stub
    calls.deposit(stub, digest, calls.random_chunks(2), header=b"badly signed")
    job_id = calls.running_job(stub)
    eventually(lambda: said(stub, digest) == [("flights", "bad-signature")])
    good = calls.random_chunks(2)
    calls.deposit(stub, digest, good, upload_id=OTHER_ID)
    eventually(lambda: said(stub, digest) == [("flights", "accepted")])
    # The next version needs the next enclave, and says so.
    calls.deposit(stub, digest, calls.random_chunks(2))
    eventually(lambda: said(stub, digest) == [("flights", "slot-taken")])
    job = stub.GetJob(messages.GetJobRequest(job_id=job_id))
    assert [(d.dataset, d.said) for d in job.deposits] == [("flights", "slot-taken")]


def test_a_dataset_that_its_owner_is_sending_is_left_alone(running: Running, digest: bytes) -> None:
    stub = running.stub
    waiting, sent = calls.random_chunks(2), calls.random_chunks(3)
    calls.begin(stub, digest)
    calls.send(stub, calls.messages_of(digest, waiting))
    job_id = calls.running_job(stub)
    enclave = running.launcher.only()
    calls.begin(stub, job_id, upload_id=OTHER_ID)

    def slowly() -> Iterator[messages.Chunk]:
        stream = calls.messages_of(job_id, sent, upload_id=OTHER_ID)
        yield next(stream)
        eventually(lambda: enclave.uploads[OTHER_ID].next_chunk == 1)
        calls.finish(stub, digest, manifest_of(waiting))
        looks = enclave.asked_status
        eventually(lambda: enclave.asked_status > looks + 2)
        assert said(stub, digest) == [("flights", "")]
        yield from stream

    calls.send(stub, slowly())
    calls.finish(stub, job_id, manifest_of(sent), upload_id=OTHER_ID)
    eventually(lambda: said(stub, digest) == [("flights", "slot-taken")])


def test_calls_name_a_job_or_an_agreement(running: Running, digest: bytes) -> None:
    job_id = calls.running_job(running.stub)
    for both_or_neither in ({}, {"job_id": job_id, "agreement_digest": digest}):
        for attempt in (
            lambda fields: running.stub.BeginUpload(
                messages.BeginUploadRequest(
                    dataset="flights", upload_id=UPLOAD_ID, signed_header=b"header", **fields
                )
            ),
            lambda fields: running.stub.FinishUpload(
                messages.FinishUploadRequest(upload_id=UPLOAD_ID, signed_manifest=b"m", **fields)
            ),
            lambda fields: calls.send(
                running.stub, [messages.Chunk(upload_id=UPLOAD_ID, sealed=b"x" * 20, **fields)]
            ),
        ):
            with refused(StatusCode.INVALID_ARGUMENT, "coordinator/bad-request"):
                attempt(both_or_neither)


def test_a_deposit_is_under_an_agreement_that_is_on_the_board(running: Running) -> None:
    with refused(StatusCode.NOT_FOUND, "coordinator/unknown"):
        calls.begin(running.stub, b"d" * 48)
    with refused(StatusCode.INVALID_ARGUMENT, "format/malformed"):
        calls.begin(running.stub, b"short")
    with refused(StatusCode.NOT_FOUND, "coordinator/unknown"):
        calls.deposits(running.stub, b"d" * 48)


def test_a_deposit_that_another_upload_drove_out_is_brought_again(running: Running, digest: bytes) -> None:
    running.launcher.behaviour.forget_upload_at_chunk = 2
    calls.deposit(running.stub, digest, calls.random_chunks(4))
    calls.running_job(running.stub)
    eventually(lambda: said(running.stub, digest) == [("flights", "coordinator/conflict")])
    eventually(lambda: said(running.stub, digest) == [("flights", "accepted")])


def test_what_is_new_is_brought_at_once(
    running: Running, digest: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bringing, "LOOK_S", 300.0)
    calls.running_job(running.stub)
    eventually(lambda: running.launcher.only().asked_status > 0)
    calls.deposit(running.stub, digest, calls.random_chunks(2))
    eventually(lambda: said(running.stub, digest) == [("flights", "accepted")])


TOO_MUCH = (StatusCode.RESOURCE_EXHAUSTED, "coordinator/over-quota")


def test_quotas_bound_how_many_deposits_there_are(running: Running, digest: bytes) -> None:
    for number in range(SMALL_QUOTAS.deposits):
        calls.begin(running.stub, digest, upload_id=bytes([number]) * 16, dataset=f"dataset_{number}")
    with refused(*TOO_MUCH):
        calls.begin(running.stub, digest, upload_id=b"x" * 16, dataset="one_more")


def test_what_rests_counts_for_its_caller_after_a_restart_too(tmp_path: Path) -> None:
    """800,000 bytes are what a caller may have here, 500,000 in one upload."""
    with running_coordinator(tmp_path) as running:
        digest = calls.put_agreement(running.stub)
        big = calls.random_chunks(4, n_bytes=100_000)
        calls.deposit(running.stub, digest, big, upload_id=b"1" * 16, dataset="first")
        calls.begin(running.stub, digest, upload_id=b"2" * 16, dataset="second")
        with refused(*TOO_MUCH):
            calls.send(running.stub, calls.messages_of(digest, 2 * big, upload_id=b"2" * 16))
        calls.remove_deposit(running.stub, digest, upload_id=b"2" * 16)
        fill_up(running, digest, upload_id=b"3" * 16)
    with running_coordinator(tmp_path) as running:
        fill_up(running, digest, upload_id=b"4" * 16)
        job_id = calls.running_job(running.stub)  # what is sent to a job counts in the same
        fill_up(running, job_id, upload_id=b"5" * 16)


def fill_up(running: Running, destination: str | bytes, *, upload_id: bytes) -> None:
    """Beside the 400,000 bytes that rest, 450,000 do not fit."""
    calls.begin(running.stub, destination, upload_id=upload_id, dataset="more")
    chunks = calls.random_chunks(5, n_bytes=90_000)
    with refused(*TOO_MUCH):
        calls.send(running.stub, calls.messages_of(destination, chunks, upload_id=upload_id))
    if isinstance(destination, bytes):
        calls.remove_deposit(running.stub, destination, upload_id=upload_id, request_id=upload_id.hex())
