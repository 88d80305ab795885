"""Calls to a running coordinator, as a client would make them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from coordinator.launchers import Launcher
from protos.v1 import concordat_pb2 as messages
from tests.unit.coordinator.fake_enclave import manifest_of

AGREEMENT = b"an agreement, as far as the coordinator can tell"
UPLOAD_ID = b"U" * 16
RUN_ID = b"R" * 16
SETTLED = {
    messages.JOB_STATE_RUNNING,
    messages.JOB_STATE_FAILED,
    messages.JOB_STATE_LOST,
    messages.JOB_STATE_CLOSED,
}


def eventually(condition: Callable[[], Any], *, within_s: float = 30.0) -> Any:
    """What `condition` gives once it is true."""
    until = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < until, "it did not become true in time"
        time.sleep(0.01)
    return value


def takes_connections(launcher: Launcher, address: str) -> bool:
    """Whether something answers there now."""
    try:
        launcher.connect(address, timeout_s=10).close()
    except OSError:
        return False
    return True


def processes_in(folder: Path) -> list[int]:
    """The processes whose working folder this is."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").readlink() == folder:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def put_agreement(stub: Any, agreement: bytes = AGREEMENT) -> bytes:
    request = messages.PutAgreementRequest(request_id=f"put {agreement!r}"[:60], agreement=agreement)
    return bytes(stub.PutAgreement(request).agreement_digest)


def settled(stub: Any, job_id: str) -> Any:
    """The job once it is no longer starting."""
    return eventually(
        lambda: (job := stub.GetJob(messages.GetJobRequest(job_id=job_id))).state in SETTLED and job
    )


def start_job(stub: Any, request_id: str = "start") -> Any:
    digest = put_agreement(stub)
    job = stub.StartJob(messages.StartJobRequest(request_id=request_id, agreement_digest=digest))
    return settled(stub, job.job_id)


def running_job(stub: Any, request_id: str = "start") -> str:
    job = start_job(stub, request_id)
    assert job.state == messages.JOB_STATE_RUNNING, job.detail
    return str(job.job_id)


def random_chunks(count: int, n_bytes: int = 1000) -> list[bytes]:
    return [os.urandom(n_bytes) for _ in range(count)]


def begin(
    stub: Any,
    destination: str | bytes,
    *,
    upload_id: bytes = UPLOAD_ID,
    header: bytes = b"header",
    dataset: str = "flights",
) -> int:
    """`destination`: a job's id, or the digest of an agreement under which the dataset is to wait."""
    request = messages.BeginUploadRequest(
        dataset=dataset, upload_id=upload_id, signed_header=header, **addressed(destination)
    )
    return int(stub.BeginUpload(request).next_chunk)


def addressed(destination: str | bytes) -> Any:
    """`job_id` or `agreement_digest`, whichever it is."""
    return {"job_id" if isinstance(destination, str) else "agreement_digest": destination}


def messages_of(
    destination: str | bytes,
    chunks: list[bytes],
    *,
    start: int = 0,
    upload_id: bytes = UPLOAD_ID,
    open_end: bool = False,
) -> Iterator[messages.Chunk]:
    """The stream of an upload from chunk `start`; the last one is marked so unless `open_end`."""
    for number in range(start, len(chunks)):
        yield messages.Chunk(
            upload_id=upload_id if number == start else b"",
            number=number,
            last=number == len(chunks) - 1 and not open_end,
            sealed=chunks[number],
            **(addressed(destination) if number == start else {}),
        )


def send(stub: Any, stream: Iterable[messages.Chunk]) -> list[int]:
    """All acknowledgements."""
    return [ack.next_chunk for ack in stub.UploadChunks(iter(stream))]


def finish(stub: Any, destination: str | bytes, manifest: bytes, *, upload_id: bytes = UPLOAD_ID) -> bytes:
    request = messages.FinishUploadRequest(
        upload_id=upload_id, signed_manifest=manifest, **addressed(destination)
    )
    return bytes(stub.FinishUpload(request).acceptance)


def deposit(
    stub: Any,
    digest: bytes,
    chunks: list[bytes],
    *,
    upload_id: bytes = UPLOAD_ID,
    header: bytes = b"header",
    dataset: str = "flights",
) -> None:
    """A whole dataset, to wait under the agreement `digest`."""
    assert begin(stub, digest, upload_id=upload_id, header=header, dataset=dataset) == 0
    send(stub, messages_of(digest, chunks, upload_id=upload_id))
    assert finish(stub, digest, manifest_of(chunks), upload_id=upload_id) == b""


def deposits(stub: Any, digest: bytes) -> list[Any]:
    return list(stub.ListDeposits(messages.ListDepositsRequest(agreement_digest=digest)).deposits)


def remove_deposit(
    stub: Any,
    digest: bytes,
    *,
    upload_id: bytes = UPLOAD_ID,
    deposited_by: str = "",
    request_id: str = "remove",
) -> None:
    stub.RemoveDeposit(
        messages.RemoveDepositRequest(
            request_id=request_id, agreement_digest=digest, upload_id=upload_id, deposited_by=deposited_by
        )
    )


def request_run(stub: Any, job_id: str, *, run_id: bytes = RUN_ID, request: bytes = b"request") -> Any:
    return stub.RequestRun(messages.RequestRunRequest(job_id=job_id, run_id=run_id, signed_request=request))


def ended_run(stub: Any, job_id: str, *, run_id: bytes = RUN_ID) -> Any:
    """The run once it is no longer running."""
    request = messages.GetRunRequest(job_id=job_id, run_id=run_id)
    return eventually(lambda: (run := stub.GetRun(request)).state != messages.RUN_STATE_RUNNING and run)


def fetch(stub: Any, job_id: str, receiver: str, *, run_id: bytes = RUN_ID) -> tuple[bytes, list[bytes]]:
    """(receipt, parts of the sealed result)."""
    request = messages.FetchResultRequest(job_id=job_id, run_id=run_id, receiver=receiver)
    first, *rest = stub.FetchResult(request)
    return bytes(first.receipt), [bytes(part.sealed) for part in rest]


@contextmanager
def refused(status: grpc.StatusCode, code: str) -> Iterator[None]:
    """The block's call must end with this status and this `concordat-code`."""
    with pytest.raises(grpc.RpcError) as caught:
        yield
    error: Any = caught.value
    assert (error.code(), trailing(error).get("concordat-code")) == (status, code), error.details()


def trailing(error: Any) -> dict[str, str]:
    """The metadata that came with a refusal."""
    return dict(error.trailing_metadata() or ())
