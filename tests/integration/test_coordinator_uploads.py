"""Datasets on their way in, over a real socket: interrupted, resumed, refused, taken over."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import StatusCode

from protos.v1 import concordat_pb2 as messages
from tests.unit.coordinator import calls
from tests.unit.coordinator.calls import UPLOAD_ID, eventually, refused
from tests.unit.coordinator.fake_enclave import manifest_of
from tests.unit.coordinator.running import Running, running_coordinator


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with running_coordinator(tmp_path) as running:
        yield running


def test_an_interrupted_upload_is_resumed_where_it_was(running: Running) -> None:
    stub = running.stub
    job_id = calls.running_job(stub)
    chunks = calls.random_chunks(20)
    calls.begin(stub, job_id)
    calls.send(stub, calls.messages_of(job_id, chunks[:9], open_end=True))
    assert calls.begin(stub, job_id) == 9
    # Chunks that are stored already are left as they are, whatever comes under their number now.
    altered = [b"altered" * 10] * 9 + chunks[9:]
    assert calls.send(stub, calls.messages_of(job_id, altered, start=4))[-1] == 20
    calls.finish(stub, job_id, manifest_of(chunks))


def test_a_cancelled_stream_is_resumed(running: Running) -> None:
    stub = running.stub
    job_id = calls.running_job(stub)
    chunks = calls.random_chunks(10)
    calls.begin(stub, job_id)
    call = stub.UploadChunks(calls.messages_of(job_id, chunks))
    next(iter(call))
    call.cancel()
    start = calls.begin(stub, job_id)
    calls.send(stub, calls.messages_of(job_id, chunks, start=start))
    calls.finish(stub, job_id, manifest_of(chunks))


def test_a_newer_stream_takes_over_from_one_that_hangs(running: Running) -> None:
    """As when a connection broke and the coordinator has not noticed; it does not count twice."""
    stub = running.stub
    job_id = calls.running_job(stub)
    chunks = calls.random_chunks(6)
    calls.begin(stub, job_id)
    release = threading.Event()

    def hanging() -> Iterator[messages.Chunk]:
        yield from calls.messages_of(job_id, chunks[:3], open_end=True)
        release.wait(60)

    hung = stub.UploadChunks(hanging())
    assert eventually(lambda: next(hung).next_chunk == 3)
    assert calls.send(stub, calls.messages_of(job_id, chunks, start=3))[-1] == 6
    release.set()
    with pytest.raises(grpc.RpcError) as caught:
        list(hung)
    error: Any = caught.value
    assert error.code() == StatusCode.CANCELLED
    calls.finish(stub, job_id, manifest_of(chunks))


def test_an_upload_without_its_last_chunk_is_not_finished(running: Running) -> None:
    job_id = calls.running_job(running.stub)
    chunks = calls.random_chunks(4)
    calls.begin(running.stub, job_id)
    calls.send(running.stub, calls.messages_of(job_id, chunks[:3], open_end=True))
    with refused(StatusCode.OUT_OF_RANGE, "coordinator/out-of-order"):
        calls.finish(running.stub, job_id, manifest_of(chunks[:3]))


def test_a_new_upload_takes_the_place_of_an_unfinished_one(running: Running) -> None:
    stub = running.stub
    job_id = calls.running_job(stub)
    calls.begin(stub, job_id)
    calls.send(stub, calls.messages_of(job_id, calls.random_chunks(5), open_end=True))
    newer, chunks = b"N" * 16, calls.random_chunks(3)
    assert calls.begin(stub, job_id, upload_id=newer) == 0
    assert running.spools() == [f"{newer.hex()}.chunks", f"{newer.hex()}.index"]
    with refused(StatusCode.NOT_FOUND, "coordinator/unknown"):
        calls.send(stub, calls.messages_of(job_id, chunks))
    calls.send(stub, calls.messages_of(job_id, chunks, upload_id=newer))
    calls.finish(stub, job_id, manifest_of(chunks), upload_id=newer)


def test_a_finished_upload_gives_its_acceptance_again_and_takes_nothing_more(running: Running) -> None:
    stub = running.stub
    job_id = calls.running_job(stub)
    chunks = calls.random_chunks(3)
    calls.begin(stub, job_id)
    calls.send(stub, calls.messages_of(job_id, chunks))
    first = calls.finish(stub, job_id, manifest_of(chunks))
    assert calls.finish(stub, job_id, manifest_of(chunks)) == first
    with refused(StatusCode.ALREADY_EXISTS, "coordinator/conflict"):
        calls.finish(stub, job_id, b"another manifest")
    with refused(StatusCode.ALREADY_EXISTS, "coordinator/conflict"):
        calls.send(stub, calls.messages_of(job_id, chunks))


def test_a_gap_in_the_stream_is_refused_and_what_came_before_is_kept(running: Running) -> None:
    stub = running.stub
    job_id = calls.running_job(stub)
    chunks = calls.random_chunks(4)
    calls.begin(stub, job_id)
    stream = [chunk for chunk in calls.messages_of(job_id, chunks) if chunk.number != 2]
    with refused(StatusCode.OUT_OF_RANGE, "coordinator/out-of-order"):
        calls.send(stub, stream)
    assert calls.begin(stub, job_id) == 2
    calls.send(stub, calls.messages_of(job_id, chunks, start=2))
    calls.finish(stub, job_id, manifest_of(chunks))


def test_acknowledgements_come_without_more_chunks_being_sent(running: Running) -> None:
    """A client that waits for an acknowledgement before it sends more must not wait forever."""
    stub = running.stub
    job_id = calls.running_job(stub)
    calls.begin(stub, job_id)
    acknowledged: list[int] = []

    def one_at_a_time() -> Iterator[messages.Chunk]:
        for sent, chunk in enumerate(calls.messages_of(job_id, calls.random_chunks(5))):
            eventually(partial(lambda expected: acknowledged[-1:] == expected, [sent] if sent else []))
            yield chunk

    for ack in stub.UploadChunks(one_at_a_time()):
        acknowledged.append(ack.next_chunk)
    assert acknowledged[:5] == [1, 2, 3, 4, 5]


def test_a_header_that_the_enclave_refuses_leaves_nothing_behind(running: Running) -> None:
    job_id = calls.running_job(running.stub)
    with refused(StatusCode.PERMISSION_DENIED, "bad-signature"):
        calls.begin(running.stub, job_id, header=b"badly signed")
    assert running.spools() == []
    with refused(StatusCode.NOT_FOUND, "coordinator/unknown"):
        calls.finish(running.stub, job_id, b"manifest")


def test_a_refused_chunk_reaches_the_sender_with_the_enclaves_code(running: Running) -> None:
    running.launcher.behaviour.refuse_chunk = 2
    job_id = calls.running_job(running.stub)
    calls.begin(running.stub, job_id)

    def endless() -> Iterator[messages.Chunk]:
        number = 0
        while True:
            yield messages.Chunk(job_id=job_id, upload_id=UPLOAD_ID, number=number, sealed=b"x" * 20)
            number += 1

    with refused(StatusCode.INVALID_ARGUMENT, "does-not-open"):
        calls.send(running.stub, endless())


def test_a_manifest_that_does_not_match_is_refused_by_the_enclave(running: Running) -> None:
    job_id = calls.running_job(running.stub)
    calls.begin(running.stub, job_id)
    calls.send(running.stub, calls.messages_of(job_id, calls.random_chunks(3)))
    with refused(StatusCode.INVALID_ARGUMENT, "manifest-mismatch"):
        calls.finish(running.stub, job_id, b"wrong")


def test_a_lost_enclave_ends_streams_that_are_open(running: Running) -> None:
    stub = running.stub
    job_id = calls.running_job(stub)
    calls.begin(stub, job_id)
    lost = False

    def waiting() -> Iterator[messages.Chunk]:
        nonlocal lost
        yield from calls.messages_of(job_id, calls.random_chunks(3), open_end=True)
        running.launcher.only().die()
        lost = True
        eventually(lambda: False, within_s=60)

    with refused(StatusCode.FAILED_PRECONDITION, "coordinator/job-not-running"):
        calls.send(stub, waiting())
    assert lost


def test_quotas_count_open_streams(running: Running) -> None:
    stub = running.stub
    job_id = calls.running_job(stub)
    other = b"O" * 16
    calls.begin(stub, job_id)
    calls.begin(stub, job_id, upload_id=other, dataset="weather")

    is_open = threading.Event()

    def while_open() -> Iterator[messages.Chunk]:
        stream = calls.messages_of(job_id, calls.random_chunks(2))
        yield next(stream)
        assert is_open.wait(30)
        with refused(StatusCode.RESOURCE_EXHAUSTED, "coordinator/over-quota"):
            calls.send(stub, calls.messages_of(job_id, calls.random_chunks(2), upload_id=other))
        yield next(stream)

    taken = []
    for ack in stub.UploadChunks(while_open()):
        taken.append(ack.next_chunk)
        is_open.set()
    assert taken[-1] == 2


def test_an_empty_stream_is_no_upload(running: Running) -> None:
    assert calls.send(running.stub, []) == []
