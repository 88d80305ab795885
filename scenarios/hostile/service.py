"""The calls that parties make, answered by a coordinator that does its duty wherever its mischief lets it.

As little as a coordinator can be: everything is in memory, enclaves are asked at once, nobody is told apart.
It keeps a copy of whatever passes. A refusal by an enclave is passed on as the honest coordinator does.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final, TypeVar

import grpc

from coordinator.errors import EnclaveRefusedError, NotKnownError
from coordinator.statuses import Call, refusing
from protos.formats.identifiers import agreement_digest
from protos.formats.limits import KIB
from protos.v1 import concordat_pb2 as messages
from protos.v1.concordat_pb2_grpc import CoordinatorServicer
from scenarios.hostile.holdings import Holdings, Job
from scenarios.hostile.mischief import Mischief
from scenarios.hostile.recordings import Part, Pinned, SealedUpload

LAUNCHER: Final = "hostile (SIMULATED)"
_JOB_ID_BYTES: Final = 8
_PART_BYTES: Final = 512 * KIB
_Key = TypeVar("_Key")
_Thing = TypeVar("_Thing")


class HostileService(CoordinatorServicer):
    """`concordat.v1.Coordinator` with a `mischief`, which may be changed between calls."""

    def __init__(self, holdings: Holdings) -> None:
        self.mischief = Mischief()
        self._at = holdings

    # --- Agreements -------------------------------------------------------------------------------------

    def PutAgreement(
        self, request: messages.PutAgreementRequest, context: grpc.ServicerContext
    ) -> messages.AgreementRecord:
        """Pin an agreement to the board."""
        with self._answering(context, "PutAgreement"):
            digest = agreement_digest(request.agreement)
            self._at.board.setdefault(digest, Pinned(request.agreement, ()))
            return _record(digest, self._at.board[digest])

    def PutApproval(
        self, request: messages.PutApprovalRequest, context: grpc.ServicerContext
    ) -> messages.AgreementRecord:
        """Pin an approval to an agreement."""
        with self._answering(context, "PutApproval"):
            digest = request.agreement_digest
            pinned = _known(self._at.board, digest, "agreement")
            self._at.board[digest] = replace(pinned, approvals=(*pinned.approvals, request.approval))
            return _record(digest, self._at.board[digest])

    def GetAgreement(
        self, request: messages.GetAgreementRequest, context: grpc.ServicerContext
    ) -> messages.AgreementRecord:
        """An agreement, or what is passed off as it."""
        with self._answering(context, "GetAgreement"):
            digest = request.agreement_digest
            pinned = _known(self._at.board, digest, "agreement")
            return _record(digest, self.mischief.shown(self._at, pinned))

    # --- Jobs -------------------------------------------------------------------------------------------

    def StartJob(self, request: messages.StartJobRequest, context: grpc.ServicerContext) -> messages.Job:
        """Bind an enclave, and answer when that is done."""
        with self._answering(context, "StartJob"):
            pinned = _known(self._at.board, request.agreement_digest, "agreement")
            enclave = self.mischief.enclave(self._at)
            job = Job(secrets.token_hex(_JOB_ID_BYTES), enclave, request.agreement_digest)
            self._at.jobs[job.job_id] = job
            try:
                enclave.bind(self.mischief.binding(self._at, pinned))
            except EnclaveRefusedError as error:
                self._at.refusal = error.refusal
                job.failure = error.message
            return _job_message(job)

    def GetJob(self, request: messages.GetJobRequest, context: grpc.ServicerContext) -> messages.Job:
        """How a job stands."""
        with self._answering(context, "GetJob"):
            return _job_message(self._job(request.job_id))

    def Attest(
        self, request: messages.AttestRequest, context: grpc.ServicerContext
    ) -> messages.AttestResponse:
        """A document, of whatever."""
        with self._answering(context, "Attest"):
            job = self._job(request.job_id)
            evidence = self.mischief.evidence(self._at, job, request.nonce)
            if self.mischief.is_honest:
                job.evidence.append(evidence)
            return messages.AttestResponse(document=evidence.document, key_bundle=evidence.key_bundle)

    # --- Datasets ---------------------------------------------------------------------------------------

    def BeginUpload(
        self, request: messages.BeginUploadRequest, context: grpc.ServicerContext
    ) -> messages.UploadState:
        """Take note of an upload."""
        with self._answering(context, "BeginUpload"):
            upload = SealedUpload(request.dataset, request.upload_id, request.signed_header)
            known = self._job(request.job_id).uploads.setdefault(request.upload_id, upload)
            return messages.UploadState(next_chunk=len(known.parts))

    def UploadChunks(
        self, request_iterator: Iterator[messages.Chunk], context: grpc.ServicerContext
    ) -> Iterator[messages.ChunkAck]:
        """Keep chunks, and acknowledge each."""
        with self._answering(context, "UploadChunks"):
            uploads, upload_id = None, b""
            for chunk in request_iterator:
                if uploads is None:  # the address stands in the first message only
                    uploads, upload_id = self._job(chunk.job_id).uploads, chunk.upload_id
                upload = _known(uploads, upload_id, "upload")
                part = Part(chunk.number, chunk.sealed, chunk.last)
                uploads[upload_id] = replace(upload, parts=(*upload.parts, part))
                yield messages.ChunkAck(next_chunk=chunk.number + 1)

    def FinishUpload(
        self, request: messages.FinishUploadRequest, context: grpc.ServicerContext
    ) -> messages.FinishUploadResponse:
        """Have an acceptance from the enclave, or from elsewhere."""
        with self._answering(context, "FinishUpload"):
            job = self._job(request.job_id)
            upload = _known(job.uploads, request.upload_id, "upload")
            upload = replace(upload, signed_manifest=request.signed_manifest)
            job.uploads[request.upload_id] = upload
            acceptance = self.mischief.acceptance(self._at, job, upload)
            if self.mischief.is_honest:
                job.acceptances[upload.dataset] = acceptance
            return messages.FinishUploadResponse(acceptance=acceptance)

    # --- Runs -------------------------------------------------------------------------------------------

    def RequestRun(self, request: messages.RequestRunRequest, context: grpc.ServicerContext) -> messages.Run:
        """Have the enclave run it, and answer when that is done."""
        with self._answering(context, "RequestRun"):
            job = self._job(request.job_id)
            job.requests[request.run_id] = request.signed_request
            try:
                job.enclave.run(request.run_id, self.mischief.request(self._at, job, request.signed_request))
            except EnclaveRefusedError as error:
                self._at.refusal = error.refusal
                job.refused[request.run_id] = error.refusal
            return _run_message(job, request.run_id)

    def GetRun(self, request: messages.GetRunRequest, context: grpc.ServicerContext) -> messages.Run:
        """How a run ended."""
        with self._answering(context, "GetRun"):
            return _run_message(self._job(request.job_id), request.run_id)

    def FetchResult(
        self, request: messages.FetchResultRequest, context: grpc.ServicerContext
    ) -> Iterator[messages.ResultPart]:
        """A receipt and a sealed result, of whatever run."""
        with self._answering(context, "FetchResult"):
            job = self._job(request.job_id)
            delivery = self.mischief.delivery(self._at, job, request.run_id, request.receiver)
            if self.mischief.is_honest:
                job.deliveries.setdefault(request.run_id, {})[request.receiver] = delivery
            yield messages.ResultPart(receipt=delivery.receipt)
            for start in range(0, len(delivery.sealed), _PART_BYTES):
                yield messages.ResultPart(sealed=delivery.sealed[start : start + _PART_BYTES])

    # ----------------------------------------------------------------------------------------------------

    @contextmanager
    def _answering(self, context: grpc.ServicerContext, call: str) -> Iterator[None]:
        with refusing(context, Call(call)):
            try:
                yield
            except EnclaveRefusedError as error:
                self._at.refusal = error.refusal
                raise

    def _job(self, job_id: str) -> Job:
        return _known(self._at.jobs, job_id, "job")


def _known(things: dict[_Key, _Thing], key: _Key, what: str) -> _Thing:
    if key not in things:
        raise NotKnownError(f"there is no such {what} here")
    return things[key]


def _record(digest: bytes, pinned: Pinned) -> messages.AgreementRecord:
    return messages.AgreementRecord(
        agreement_digest=digest, agreement=pinned.agreement, approvals=pinned.approvals
    )


def _job_message(job: Job) -> messages.Job:
    return messages.Job(
        job_id=job.job_id,
        agreement_digest=job.agreement_digest,
        state=messages.JOB_STATE_FAILED if job.failure else messages.JOB_STATE_RUNNING,
        detail=job.failure,
        launcher=LAUNCHER,
    )


def _run_message(job: Job, run_id: bytes) -> messages.Run:
    refusal = job.refused.get(run_id, "")
    state = messages.RUN_STATE_REFUSED if refusal else messages.RUN_STATE_RELEASED
    return messages.Run(run_id=run_id, job_id=job.job_id, state=state, refusal=refusal)
