from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from coordinator.enclaves import Enclaves
from coordinator.errors import (
    ConflictError,
    EnclaveAnswerError,
    EnclaveRefusedError,
    JobNotRunningError,
    StreamIdleError,
)
from coordinator.forwarding import forward, forward_while_receiving
from coordinator.jobs import Job, JobState
from coordinator.spool import Spool
from coordinator.store.uploads import UploadRecord
from coordinator.upload import BEHIND_MAX_CHUNKS, Stream, Upload
from protos.formats.calls import Op, Refusal
from tests.unit.coordinator.calls import UPLOAD_ID, eventually, random_chunks
from tests.unit.coordinator.fake_enclave import FakeEnclave, manifest_of
from tests.unit.coordinator.thread_launcher import ThreadLauncher


@dataclass
class Line:
    """Everything between a caller's stream and a fake enclave."""

    upload: Upload
    launcher: ThreadLauncher
    enclaves: Enclaves
    job: Job

    @property
    def enclave(self) -> FakeEnclave:
        return self.launcher.only()

    def forward(self) -> None:
        forward(self.upload, self.enclaves, self.job)

    def digest_in_enclave(self) -> bytes:
        return self.enclave.uploads[UPLOAD_ID].seen.digest()


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    launcher = ThreadLauncher()
    address = launcher.new_address()
    launcher.launch(address, console=tmp_path / "console")
    job = Job("j", b"d" * 48, "airline", JobState.RUNNING, "", launcher.name, address)
    record = UploadRecord("j", UPLOAD_ID, "flights", "airline", b"header")
    yield Line(Upload(record, Spool(tmp_path / "spool", "u")), launcher, Enclaves(launcher), job)
    launcher.end(address)


def fill(upload: Upload, chunks: list[bytes], *, start: int = 0, complete: bool = True) -> None:
    for number in range(start, len(chunks)):
        upload.append(number, chunks[number], last=complete and number == len(chunks) - 1)
    upload.spool.commit()


def open_stream(upload: Upload) -> Stream:
    stream = Stream(cancel=lambda: None)
    upload.take_over(stream, timeout_s=1)
    return stream


def test_what_is_durable_is_forwarded_in_order(line: Line) -> None:
    chunks = random_chunks(20)
    fill(line.upload, chunks)
    line.forward()
    assert line.digest_in_enclave() == manifest_of(chunks)


def test_forwarding_goes_on_where_the_enclave_is(line: Line) -> None:
    chunks = random_chunks(20)
    fill(line.upload, chunks[:7], complete=False)
    line.forward()
    assert line.enclave.uploads[UPLOAD_ID].next_chunk == 7
    fill(line.upload, chunks, start=7)
    line.forward()
    line.forward()
    assert line.digest_in_enclave() == manifest_of(chunks)


def test_an_enclave_that_is_ahead_is_left_ahead(line: Line) -> None:
    chunks = random_chunks(5)
    fill(line.upload, chunks)
    line.forward()
    behind = Upload(line.upload.announced, Spool(Path(line.job.address).parent / "other", "u"))
    fill(behind, chunks[:2], complete=False)
    forward(behind, line.enclaves, line.job)
    assert line.digest_in_enclave() == manifest_of(chunks)


def test_a_broken_connection_is_caught_up_while_the_stream_is_open(line: Line) -> None:
    chunks = random_chunks(30)
    line.launcher.behaviour.drop_connection_at_chunk = 11
    stream = open_stream(line.upload)
    forwarder = threading.Thread(
        target=forward_while_receiving, args=(line.upload, line.enclaves, lambda: line.job)
    )
    forwarder.start()
    fill(line.upload, chunks[:-1], complete=False)
    eventually(lambda: UPLOAD_ID in line.enclave.uploads and line.enclave.uploads[UPLOAD_ID].next_chunk == 29)
    fill(line.upload, chunks, start=29)
    line.upload.end(stream, None)
    line.upload.leave(stream)
    forwarder.join(10)
    assert not forwarder.is_alive()
    assert line.digest_in_enclave() == manifest_of(chunks)


def test_a_refused_chunk_ends_the_stream_with_the_enclaves_code(line: Line) -> None:
    line.launcher.behaviour.refuse_chunk = 3
    stream = open_stream(line.upload)
    fill(line.upload, random_chunks(10))
    forward_while_receiving(line.upload, line.enclaves, lambda: line.job)
    with pytest.raises(EnclaveRefusedError) as caught:
        line.upload.commit(stream, idle_s=1)
    assert caught.value.refusal is Refusal.DOES_NOT_OPEN
    with pytest.raises(EnclaveRefusedError):
        line.upload.append(10, b"x" * 20, last=False)


def test_a_job_that_is_over_ends_the_stream(line: Line) -> None:
    lost = Job("j", b"d" * 48, "airline", JobState.LOST, "", "local", line.job.address)
    stream = open_stream(line.upload)
    forward_while_receiving(line.upload, line.enclaves, lambda: lost)
    with pytest.raises(JobNotRunningError, match="seal the dataset anew"):
        line.upload.commit(stream, idle_s=1)


@pytest.mark.parametrize("next_chunk", [-1, 10**6, "5", None, True])
def test_a_number_that_no_chunk_explains_is_an_error_of_the_enclave(
    line: Line, monkeypatch: pytest.MonkeyPatch, next_chunk: object
) -> None:
    fill(line.upload, random_chunks(3))
    monkeypatch.setattr(line.enclave, f"on_{Op.CHUNK}", lambda header, body: ({"next": next_chunk}, b""))
    with pytest.raises(EnclaveAnswerError):
        line.forward()


def test_reading_stops_while_the_enclave_is_slow(line: Line) -> None:
    stream = open_stream(line.upload)
    line.upload.taken(0)
    chunks = random_chunks(BEHIND_MAX_CHUNKS + 1, n_bytes=20)
    fill(line.upload, chunks[:-1], complete=False)
    held = threading.Thread(
        target=line.upload.append, args=(BEHIND_MAX_CHUNKS, chunks[-1]), kwargs={"last": True}
    )
    held.start()
    held.join(0.2)
    assert held.is_alive()
    line.upload.taken(1)
    held.join(10)
    assert not held.is_alive()
    assert line.upload.commit(stream, idle_s=1) == BEHIND_MAX_CHUNKS + 1


def test_reading_stops_while_the_disk_is_slow_and_goes_on_when_it_is_not(line: Line) -> None:
    stream = open_stream(line.upload)
    for number in range(BEHIND_MAX_CHUNKS):
        line.upload.append(number, b"x" * 20, last=False)
    held = threading.Thread(
        target=line.upload.append, args=(BEHIND_MAX_CHUNKS, b"x" * 20), kwargs={"last": True}
    )
    held.start()
    held.join(0.2)
    assert held.is_alive()
    assert line.upload.commit(stream, idle_s=1) == BEHIND_MAX_CHUNKS
    held.join(10)
    assert not held.is_alive()


def test_an_enclave_out_of_reach_does_not_hold_up_the_stream(line: Line) -> None:
    open_stream(line.upload)
    line.upload.taken(0)
    line.upload.not_taking()
    fill(line.upload, random_chunks(3 * BEHIND_MAX_CHUNKS, n_bytes=20)[:BEHIND_MAX_CHUNKS])
    assert line.upload.spool.durable == BEHIND_MAX_CHUNKS


def test_a_stream_on_which_nothing_comes_is_ended(line: Line) -> None:
    stream = open_stream(line.upload)
    with pytest.raises(StreamIdleError, match="no chunk"):
        line.upload.commit(stream, idle_s=0.05)


def test_a_stream_that_ends_is_over_when_all_is_durable(line: Line) -> None:
    stream = open_stream(line.upload)
    line.upload.append(0, b"x" * 20, last=False)
    line.upload.end(stream, ConnectionError("gone"))
    assert line.upload.commit(stream, idle_s=1) == 1
    with pytest.raises(ConnectionError, match="gone"):
        line.upload.commit(stream, idle_s=1)


def test_a_newer_stream_takes_over_from_a_broken_one(line: Line) -> None:
    older = Stream(cancel=lambda: line.upload.leave(older))
    line.upload.take_over(older, timeout_s=1)
    newer = open_stream(line.upload)
    line.upload.end(newer, None)
    assert line.upload.commit(newer, idle_s=1) is None


def test_a_stream_that_does_not_go_away_is_not_taken_over(line: Line) -> None:
    open_stream(line.upload)
    with pytest.raises(ConflictError, match="another stream"):
        line.upload.take_over(Stream(cancel=lambda: None), timeout_s=0.05)
