"""Agreements, jobs and runs over a real socket, with fake enclaves in threads of the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from protos.formats import limits
from protos.formats.identifiers import agreement_digest
from protos.v1 import concordat_pb2 as messages
from tests.unit.coordinator import calls
from tests.unit.coordinator.calls import AGREEMENT, RUN_ID, UPLOAD_ID, eventually, refused
from tests.unit.coordinator.fake_enclave import RECEIPT, manifest_of, sealed_result
from tests.unit.coordinator.running import Running, running_coordinator


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with running_coordinator(tmp_path) as running:
        yield running


def test_from_agreement_to_result(running: Running) -> None:
    stub = running.stub
    job_id = calls.running_job(stub)
    chunks = calls.random_chunks(40, n_bytes=5000)
    assert calls.begin(stub, job_id) == 0
    assert calls.send(stub, calls.messages_of(job_id, chunks))[-1] == 40
    assert calls.finish(stub, job_id, manifest_of(chunks)) == b"accepted " + manifest_of(chunks)
    assert calls.request_run(stub, job_id).state == messages.RUN_STATE_RUNNING
    assert calls.ended_run(stub, job_id).state == messages.RUN_STATE_RELEASED
    receipt, parts = calls.fetch(stub, job_id, "analyst")
    assert receipt == RECEIPT + RUN_ID
    assert b"".join(parts) == sealed_result(RUN_ID, "analyst")
    assert len(parts) > 1


def test_the_enclave_is_bound_to_the_agreement_with_its_approvals(running: Running) -> None:
    stub = running.stub
    digest = calls.put_agreement(stub)
    for approval in (b"first", b"second"):
        stub.PutApproval(
            messages.PutApprovalRequest(
                request_id=approval.decode(), agreement_digest=digest, approval=approval
            )
        )
    calls.running_job(stub)
    record = stub.GetAgreement(messages.GetAgreementRequest(agreement_digest=digest))
    assert (record.agreement, list(record.approvals)) == (AGREEMENT, [b"first", b"second"])
    assert digest == agreement_digest(AGREEMENT)
    bound = running.launcher.only().bound
    assert bound is not None
    assert all(part in bound for part in (AGREEMENT, b"first", b"second"))


def test_a_job_shows_its_enclaves_own_word(running: Running) -> None:
    job_id = calls.running_job(running.stub)
    calls.begin(running.stub, job_id)
    job = running.stub.GetJob(messages.GetJobRequest(job_id=job_id))
    assert (job.phase, [(slot.dataset, slot.complete) for slot in job.slots]) == (
        "collecting",
        [("flights", False)],
    )
    assert job.launcher == "threads of a test"


def test_attestation_is_asked_for_with_the_callers_nonce(running: Running) -> None:
    job_id = calls.running_job(running.stub)
    answer = running.stub.Attest(messages.AttestRequest(job_id=job_id, nonce=b"n" * 32))
    assert (answer.document, answer.key_bundle) == (b"document for " + b"n" * 32, b"bundle")


def test_keys_and_their_uses_are_passed_on_unread(running: Running) -> None:
    job_id = calls.running_job(running.stub)
    keys = running.stub.GetPublicKeys(messages.GetPublicKeysRequest(job_id=job_id, nonce=b"n" * 32))
    assert (keys.document, keys.public_keys) == (b"document for " + b"n" * 32, b"keys")
    used = running.stub.UseKey(messages.UseKeyRequest(job_id=job_id, call=b"opaque"))
    assert used.sealed_answer == b"answer to opaque"
    with refused(StatusCode.FAILED_PRECONDITION, "no-uses-left"):
        running.stub.UseKey(messages.UseKeyRequest(job_id=job_id, call=b"too often"))


def test_a_repeated_call_has_the_effect_of_one(running: Running) -> None:
    stub = running.stub
    job = calls.start_job(stub)
    assert calls.start_job(stub).job_id == job.job_id
    assert running.launcher.launches == 1
    for _ in range(2):
        calls.request_run(stub, job.job_id)
    calls.ended_run(stub, job.job_id)
    assert calls.request_run(stub, job.job_id).state == messages.RUN_STATE_RELEASED
    assert running.launcher.only().executed == 1
    request = messages.CloseJobRequest(request_id="close", job_id=job.job_id)
    assert stub.CloseJob(request).state == stub.CloseJob(request).state == messages.JOB_STATE_CLOSED


def test_an_id_is_not_used_for_two_things(running: Running) -> None:
    stub = running.stub
    job_id = calls.running_job(stub)
    calls.begin(stub, job_id)
    calls.request_run(stub, job_id)
    with refused(StatusCode.ALREADY_EXISTS, "coordinator/conflict"):
        stub.PutAgreement(messages.PutAgreementRequest(request_id="start", agreement=b"another"))
    with refused(StatusCode.ALREADY_EXISTS, "coordinator/conflict"):
        calls.begin(stub, job_id, header=b"another header")
    with refused(StatusCode.ALREADY_EXISTS, "coordinator/conflict"):
        calls.request_run(stub, job_id, request=b"another request")


def test_an_agreement_that_is_not_in_force_fails_the_job(running: Running) -> None:
    running.launcher.behaviour.refuse_bind = "not-in-force"
    job = calls.start_job(running.stub)
    assert job.state == messages.JOB_STATE_FAILED
    assert job.detail == "the enclave refused: not-in-force"
    with refused(StatusCode.FAILED_PRECONDITION, "coordinator/job-not-running"):
        running.stub.Attest(messages.AttestRequest(job_id=job.job_id, nonce=b"n" * 32))


def test_a_refused_run_says_why_and_has_no_result(running: Running) -> None:
    job_id = calls.running_job(running.stub)
    calls.request_run(running.stub, job_id, request=b"not allowed")
    run = calls.ended_run(running.stub, job_id)
    assert (run.state, run.refusal) == (messages.RUN_STATE_REFUSED, "not-allowed")
    with refused(StatusCode.FAILED_PRECONDITION, "coordinator/run-not-released"):
        calls.fetch(running.stub, job_id, "analyst")


def test_a_result_for_somebody_else_is_not_there(running: Running) -> None:
    job_id = calls.running_job(running.stub)
    calls.request_run(running.stub, job_id)
    calls.ended_run(running.stub, job_id)
    with refused(StatusCode.NOT_FOUND, "coordinator/unknown"):
        calls.fetch(running.stub, job_id, "weather")


def test_a_lost_enclave_loses_its_job_its_runs_and_its_spool(running: Running) -> None:
    stub = running.stub
    running.launcher.behaviour.run_delay_s = 1.0
    job_id = calls.running_job(stub)
    calls.begin(stub, job_id)
    calls.send(stub, calls.messages_of(job_id, calls.random_chunks(3)))
    calls.request_run(stub, job_id)
    running.launcher.only().die()
    job = eventually(
        lambda: (
            (job := stub.GetJob(messages.GetJobRequest(job_id=job_id))).state == messages.JOB_STATE_LOST
            and job
        )
    )
    assert "seal the dataset anew" in job.detail
    assert calls.ended_run(stub, job_id).state == messages.RUN_STATE_LOST
    eventually(lambda: running.spools() == [])
    with refused(StatusCode.FAILED_PRECONDITION, "coordinator/job-not-running"):
        calls.begin(stub, job_id)


def test_a_closed_job_ends_its_enclave_and_keeps_its_results(running: Running) -> None:
    stub = running.stub
    job_id = calls.running_job(stub)
    calls.request_run(stub, job_id)
    calls.ended_run(stub, job_id)
    enclave = running.launcher.only()
    job = stub.CloseJob(messages.CloseJobRequest(request_id="close", job_id=job_id))
    assert (job.state, job.detail) == (messages.JOB_STATE_CLOSED, "closed by anonymous")
    assert enclave.closed.is_set()
    assert b"".join(calls.fetch(stub, job_id, "analyst")[1]) == sealed_result(RUN_ID, "analyst")
    (listed,) = stub.ListJobs(messages.ListJobsRequest()).jobs
    assert listed.state == messages.JOB_STATE_CLOSED


def test_quotas_are_named_when_they_are_reached(running: Running) -> None:
    stub = running.stub
    job_id = calls.running_job(stub)
    calls.running_job(stub, "second")
    over_quota = (StatusCode.RESOURCE_EXHAUSTED, "coordinator/over-quota")
    with refused(*over_quota):
        calls.start_job(stub, "third")
    calls.begin(stub, job_id)
    with refused(*over_quota):
        calls.send(stub, calls.messages_of(job_id, calls.random_chunks(6, n_bytes=100_000)))
    assert calls.begin(stub, job_id) == 5
    for number in range(2):
        calls.put_agreement(stub, b"another" + bytes([number]))
    with refused(*over_quota):
        calls.put_agreement(stub, b"one too many")


DIGEST = b"d" * 48
MALFORMED = [
    ("PutAgreement", messages.PutAgreementRequest(request_id="r")),
    ("PutAgreement", messages.PutAgreementRequest(agreement=b"x")),
    ("GetAgreement", messages.GetAgreementRequest(agreement_digest=b"short")),
    ("PutApproval", messages.PutApprovalRequest(request_id="r", agreement_digest=DIGEST)),
    ("StartJob", messages.StartJobRequest(request_id="r", agreement_digest=b"")),
    ("ListJobs", messages.ListJobsRequest(agreement_digest=b"short")),
    ("Attest", messages.AttestRequest(job_id="j", nonce=b"short")),
    ("BeginUpload", messages.BeginUploadRequest(job_id="j", dataset="No Slug", upload_id=UPLOAD_ID)),
    ("BeginUpload", messages.BeginUploadRequest(job_id="j", dataset="d", upload_id=b"", signed_header=b"h")),
    ("FinishUpload", messages.FinishUploadRequest(job_id="j", upload_id=UPLOAD_ID)),
    ("RequestRun", messages.RequestRunRequest(job_id="j", run_id=b"", signed_request=b"r")),
    (
        "RequestRun",
        messages.RequestRunRequest(
            job_id="j", run_id=RUN_ID, signed_request=bytes(limits.RUN_REQUEST_MAX_BYTES + 1)
        ),
    ),
    ("GetRun", messages.GetRunRequest(job_id="j", run_id=b"short")),
    ("GetBudget", messages.GetBudgetRequest(job_id="j")),
    ("GetPublicKeys", messages.GetPublicKeysRequest(job_id="j", nonce=b"short")),
    ("UseKey", messages.UseKeyRequest(job_id="j", call=bytes(limits.KEY_CALL_MAX_BYTES + 1))),
]
UNKNOWN = [
    ("GetAgreement", messages.GetAgreementRequest(agreement_digest=DIGEST)),
    ("PutApproval", messages.PutApprovalRequest(request_id="r", agreement_digest=DIGEST, approval=b"a")),
    ("StartJob", messages.StartJobRequest(request_id="r", agreement_digest=DIGEST)),
    ("GetJob", messages.GetJobRequest(job_id="../../etc/passwd")),
    ("CloseJob", messages.CloseJobRequest(request_id="r", job_id="j")),
    ("Attest", messages.AttestRequest(job_id="j", nonce=b"n" * 32)),
    (
        "BeginUpload",
        messages.BeginUploadRequest(job_id="j", dataset="d", upload_id=UPLOAD_ID, signed_header=b"h"),
    ),
    ("FinishUpload", messages.FinishUploadRequest(job_id="j", upload_id=UPLOAD_ID, signed_manifest=b"m")),
    ("RequestRun", messages.RequestRunRequest(job_id="j", run_id=RUN_ID, signed_request=b"r")),
    ("GetRun", messages.GetRunRequest(job_id="j", run_id=RUN_ID)),
    ("GetBudget", messages.GetBudgetRequest(job_id="j", signed_request=b"r")),
    ("GetPublicKeys", messages.GetPublicKeysRequest(job_id="j", nonce=b"n" * 32)),
    ("UseKey", messages.UseKeyRequest(job_id="j", call=b"c")),
]


@pytest.mark.parametrize(("call", "request_message"), MALFORMED)
def test_a_malformed_field_is_refused(running: Running, call: str, request_message: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        getattr(running.stub, call)(request_message)
    error: Any = caught.value
    assert error.code() == StatusCode.INVALID_ARGUMENT
    assert calls.trailing(error)["concordat-code"] in {"format/malformed", "coordinator/bad-request"}


@pytest.mark.parametrize(("call", "request_message"), UNKNOWN)
def test_what_is_not_there_is_not_found(running: Running, call: str, request_message: Any) -> None:
    with refused(StatusCode.NOT_FOUND, "coordinator/unknown"):
        getattr(running.stub, call)(request_message)


def test_a_message_over_the_limit_is_refused_by_the_server(running: Running) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        calls.put_agreement(running.stub, bytes(3 * limits.MIB))
    error: Any = caught.value
    assert error.code() == StatusCode.RESOURCE_EXHAUSTED


def test_health_and_reflection_are_served(running: Running) -> None:
    health = health_pb2_grpc.HealthStub(running.channel)
    for service in ("", "concordat.v1.Coordinator"):
        answer = health.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    reflection = reflection_pb2_grpc.ServerReflectionStub(running.channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    (answer,) = reflection.ServerReflectionInfo(iter([request]))
    names = {service.name for service in answer.list_services_response.service}
    assert "concordat.v1.Coordinator" in names
