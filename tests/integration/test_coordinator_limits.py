"""A coordinator process at its limits: a dataset larger than its memory may grow, and a disk that is full."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from grpc import StatusCode

from protos.formats.limits import CHUNK_CIPHERTEXT_MAX_BYTES, MIB
from protos.v1 import concordat_pb2 as messages
from tests.unit.coordinator import calls
from tests.unit.coordinator.calls import UPLOAD_ID, refused
from tests.unit.coordinator.coordinator_process import coordinator_process
from tests.unit.coordinator.fake_enclave import manifest_of

# A coordinator that did nothing yet has about 45 MiB; what it may add does not depend on the dataset.
PEAK_MAX_BYTES = 160 * MIB


def large_stream(job_id: str, count: int) -> Iterator[messages.Chunk]:
    block = os.urandom(CHUNK_CIPHERTEXT_MAX_BYTES)
    for number in range(count):
        yield messages.Chunk(
            job_id=job_id, upload_id=UPLOAD_ID, number=number, last=number == count - 1, sealed=block
        )


def test_memory_does_not_grow_with_the_dataset(tmp_path: Path) -> None:
    with coordinator_process(tmp_path / "state") as coordinator, coordinator.stub() as stub:
        job_id = calls.running_job(stub)
        calls.begin(stub, job_id)
        assert calls.send(stub, large_stream(job_id, 300))[-1] == 300
        assert coordinator.peak_memory_bytes() < PEAK_MAX_BYTES


def test_memory_does_not_grow_while_the_enclave_is_slow(tmp_path: Path) -> None:
    slow = ("--enclave=--chunk-delay-s", "--enclave=0.01")
    with coordinator_process(tmp_path / "state", *slow) as coordinator, coordinator.stub() as stub:
        job_id = calls.running_job(stub)
        calls.begin(stub, job_id)
        assert calls.send(stub, large_stream(job_id, 200))[-1] == 200
        assert coordinator.peak_memory_bytes() < PEAK_MAX_BYTES


def test_a_full_disk_is_said_clearly_and_costs_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """The kernel refuses every byte beyond 2 MB in any file of this process, as a full disk would."""
    chunks = calls.random_chunks(30, n_bytes=100_000)
    disk_full = (StatusCode.RESOURCE_EXHAUSTED, "coordinator/disk-full")
    with coordinator_process(tmp_path / "state", "--file-max-bytes", "2000000") as coordinator:
        with coordinator.stub() as stub:
            job_id = calls.running_job(stub)
            calls.begin(stub, job_id)
            with refused(*disk_full):
                calls.send(stub, calls.messages_of(job_id, chunks))
            assert calls.begin(stub, job_id) == 20
            with refused(*disk_full):
                for number in range(4):
                    calls.put_agreement(stub, bytes([number]) * 900_000)
            assert calls.put_agreement(stub, calls.AGREEMENT)
        coordinator.kill()
        coordinator.options = ()
        coordinator.start()
        with coordinator.stub() as stub:
            assert calls.begin(stub, job_id) == 20
            calls.send(stub, calls.messages_of(job_id, chunks, start=20))
            calls.finish(stub, job_id, manifest_of(chunks))
