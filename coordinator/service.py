"""The gRPC calls: each checks the shape of what came, asks the part that knows, and writes the answer.

Reads what anybody with a client certificate sends. Signed and sealed fields are passed on as they are; every
other field is checked for type and size here. Whatever goes wrong ends in `statuses`.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import grpc

from coordinator import answers, log
from coordinator.access import Caller, caller_of, require_may_close, require_may_remove, require_receiver
from coordinator.bringing import Bringing
from coordinator.call_fields import (
    incoming_chunks,
    is_deposit,
    require_digest,
    require_run_id,
    require_upload_id,
)
from coordinator.deposits import Deposits
from coordinator.enclaves import Enclaves
from coordinator.jobs import Job
from coordinator.keeping import Keeping
from coordinator.relay import Relay
from coordinator.runs import Runs
from coordinator.statuses import Call, refusing
from coordinator.store import Store
from coordinator.store.requests import Request
from coordinator.supervisor import Supervisor
from protos.formats import limits
from protos.formats.canonical import require_bytes
from protos.formats.identifiers import (
    agreement_digest,
    require_slug,
)
from protos.v1 import concordat_pb2 as messages
from protos.v1.concordat_pb2_grpc import CoordinatorServicer

_JOB_ID_BYTES: Final = 8
_CLOSED: Final = "closed by {caller}"


@dataclass(frozen=True)
class Parts:
    """Everything that a call may need."""

    store: Store
    relay: Relay
    deposits: Deposits
    bringing: Bringing
    runs: Runs
    enclaves: Enclaves
    keeping: Keeping
    supervisor: Supervisor
    launcher_name: str
    operators: frozenset[str]
    """Callers who may close any job and remove any deposit."""


class CoordinatorService(CoordinatorServicer):
    """`concordat.v1.Coordinator`; what each call means stands in its .proto file."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._store = parts.store

    # --- Agreements -------------------------------------------------------------------------------------

    def PutAgreement(
        self, request: messages.PutAgreementRequest, context: grpc.ServicerContext
    ) -> messages.AgreementRecord:
        """Pin an agreement to the board."""
        with _answering(context, "PutAgreement") as caller:
            agreement = require_bytes(
                request.agreement, what="agreement", max_length=limits.AGREEMENT_MAX_BYTES
            )
            digest = agreement_digest(agreement)
            once = Request(caller.name, request.request_id, "PutAgreement", digest)
            self._store.agreements.put(once, digest=digest, agreement=agreement)
            log.event("agreement-put", caller=caller.name, agreement=digest.hex())
            return answers.agreement_record(self._store.agreements.get(digest))

    def GetAgreement(
        self, request: messages.GetAgreementRequest, context: grpc.ServicerContext
    ) -> messages.AgreementRecord:
        """An agreement with the approvals pinned to it."""
        with _answering(context, "GetAgreement"):
            return answers.agreement_record(
                self._store.agreements.get(require_digest(request.agreement_digest))
            )

    def ListAgreements(
        self, _request: messages.ListAgreementsRequest, context: grpc.ServicerContext
    ) -> messages.ListAgreementsResponse:
        """The digests of all agreements on the board."""
        with _answering(context, "ListAgreements"):
            return messages.ListAgreementsResponse(agreement_digests=self._store.agreements.digests())

    def PutApproval(
        self, request: messages.PutApprovalRequest, context: grpc.ServicerContext
    ) -> messages.AgreementRecord:
        """Pin an approval to an agreement, in the caller's place."""
        with _answering(context, "PutApproval") as caller:
            digest = require_digest(request.agreement_digest)
            approval = require_bytes(request.approval, what="approval", max_length=limits.APPROVAL_MAX_BYTES)
            once = Request(caller.name, request.request_id, "PutApproval", digest + approval)
            self._store.agreements.put_approval(
                once, digest=digest, approval=approval, has_own_place=caller.is_authenticated
            )
            log.event("approval-put", caller=caller.name, agreement=digest.hex())
            return answers.agreement_record(self._store.agreements.get(digest))

    # --- Jobs -------------------------------------------------------------------------------------------

    def StartJob(self, request: messages.StartJobRequest, context: grpc.ServicerContext) -> messages.Job:
        """Start an enclave for an agreement; the answer comes before the enclave does."""
        with _answering(context, "StartJob") as caller:
            digest = require_digest(request.agreement_digest)
            self._store.agreements.get(digest)
            job = self._store.jobs.start(
                Request(caller.name, request.request_id, "StartJob", digest),
                job_id=secrets.token_hex(_JOB_ID_BYTES),
                agreement_digest=digest,
                launcher=self._parts.launcher_name,
            )
            if job.is_living:
                self._parts.supervisor.keep(job)
            log.event("job-started", caller=caller.name, job=job.job_id, agreement=digest.hex())
            return answers.job(job)

    def GetJob(self, request: messages.GetJobRequest, context: grpc.ServicerContext) -> messages.Job:
        """A job, with its enclave's own word where there is one."""
        with _answering(context, "GetJob"):
            return self._answer_with_status(self._store.jobs.get(request.job_id))

    def ListJobs(
        self, request: messages.ListJobsRequest, context: grpc.ServicerContext
    ) -> messages.ListJobsResponse:
        """All jobs, or those of one agreement; without asking their enclaves."""
        with _answering(context, "ListJobs"):
            digest = require_digest(request.agreement_digest) if request.agreement_digest else b""
            return messages.ListJobsResponse(
                jobs=[answers.job(job) for job in self._store.jobs.all(agreement_digest=digest)]
            )

    def CloseJob(self, request: messages.CloseJobRequest, context: grpc.ServicerContext) -> messages.Job:
        """End a job and its enclave."""
        with _answering(context, "CloseJob") as caller:
            job = self._store.jobs.get(request.job_id)
            require_may_close(caller, job, self._parts.operators)
            once = Request(caller.name, request.request_id, "CloseJob", job.job_id.encode())
            job = self._store.jobs.close(once, job.job_id, detail=_CLOSED.format(caller=caller.name))
            self._parts.supervisor.end(job.job_id)
            return answers.job(job)

    def Attest(
        self, request: messages.AttestRequest, context: grpc.ServicerContext
    ) -> messages.AttestResponse:
        """A fresh attestation document for the caller's nonce."""
        with _answering(context, "Attest"):
            nonce = require_bytes(request.nonce, what="nonce", length=limits.NONCE_BYTES)
            evidence = self._parts.enclaves.attest(self._running(request.job_id), nonce)
            return messages.AttestResponse(document=evidence.document, key_bundle=evidence.key_bundle)

    # --- Datasets ---------------------------------------------------------------------------------------

    def BeginUpload(
        self, request: messages.BeginUploadRequest, context: grpc.ServicerContext
    ) -> messages.UploadState:
        """Start or resume an upload to a job, or a deposit."""
        with _answering(context, "BeginUpload") as caller:
            dataset = require_slug(request.dataset, what="dataset")
            upload_id = require_upload_id(request.upload_id)
            signed_header = require_bytes(
                request.signed_header, what="signed header", max_length=limits.SEALED_HEADER_MAX_BYTES
            )
            if is_deposit(request):
                next_chunk = self._parts.deposits.begin(
                    caller.name,
                    require_digest(request.agreement_digest),
                    dataset=dataset,
                    upload_id=upload_id,
                    signed_header=signed_header,
                )
            else:
                next_chunk = self._parts.relay.begin(
                    caller.name,
                    request.job_id,
                    dataset=dataset,
                    upload_id=upload_id,
                    signed_header=signed_header,
                )
            return messages.UploadState(next_chunk=next_chunk)

    def UploadChunks(
        self, request_iterator: Iterator[messages.Chunk], context: grpc.ServicerContext
    ) -> Iterator[messages.ChunkAck]:
        """Store chunks; acknowledge what is durable."""
        with _answering(context, "UploadChunks") as caller:
            first = next(request_iterator, None)
            if first is None:
                return
            upload_id, chunks = require_upload_id(first.upload_id), incoming_chunks(first, request_iterator)
            if is_deposit(first):
                digest = require_digest(first.agreement_digest)
                durable = self._parts.deposits.receive(caller.name, digest, upload_id, chunks, context.cancel)
            else:
                durable = self._parts.relay.receive(
                    caller.name, first.job_id, upload_id, chunks, context.cancel
                )
            del first
            for next_chunk in durable:
                yield messages.ChunkAck(next_chunk=next_chunk)

    def FinishUpload(
        self, request: messages.FinishUploadRequest, context: grpc.ServicerContext
    ) -> messages.FinishUploadResponse:
        """Have the enclave accept the dataset, or keep it for enclaves to come."""
        with _answering(context, "FinishUpload") as caller:
            upload_id = require_upload_id(request.upload_id)
            signed_manifest = require_bytes(
                request.signed_manifest, what="signed manifest", max_length=limits.MANIFEST_MAX_BYTES
            )
            if is_deposit(request):
                digest = require_digest(request.agreement_digest)
                self._parts.deposits.finish(
                    caller.name, digest, upload_id=upload_id, signed_manifest=signed_manifest
                )
                return messages.FinishUploadResponse()
            acceptance = self._parts.relay.finish(
                caller.name, request.job_id, upload_id=upload_id, signed_manifest=signed_manifest
            )
            return messages.FinishUploadResponse(acceptance=acceptance)

    def ListDeposits(
        self, request: messages.ListDepositsRequest, context: grpc.ServicerContext
    ) -> messages.ListDepositsResponse:
        """What waits under an agreement, and how it fares."""
        with _answering(context, "ListDeposits") as caller:
            standing = self._parts.deposits.standing(require_digest(request.agreement_digest))
            return messages.ListDepositsResponse(
                deposits=[answers.deposit(deposit, asked_by=caller.name) for deposit in standing]
            )

    def RemoveDeposit(
        self, request: messages.RemoveDepositRequest, context: grpc.ServicerContext
    ) -> messages.RemoveDepositResponse:
        """Delete a deposit."""
        with _answering(context, "RemoveDeposit") as caller:
            sent_by = require_slug(request.deposited_by or caller.name, what="depositor")
            require_may_remove(caller, sent_by, self._parts.operators)
            self._parts.deposits.remove(
                caller.name,
                request.request_id,
                require_digest(request.agreement_digest),
                upload_id=require_upload_id(request.upload_id),
                sent_by=sent_by,
            )
            return messages.RemoveDepositResponse()

    # --- Runs -------------------------------------------------------------------------------------------

    def RequestRun(self, request: messages.RequestRunRequest, context: grpc.ServicerContext) -> messages.Run:
        """Ask for a run; the answer comes before the run has ended."""
        with _answering(context, "RequestRun") as caller:
            run = self._parts.runs.request(
                caller.name,
                request.job_id,
                run_id=require_run_id(request.run_id),
                signed_request=require_bytes(
                    request.signed_request, what="signed request", max_length=limits.RUN_REQUEST_MAX_BYTES
                ),
            )
            return answers.run(run)

    def GetRun(self, request: messages.GetRunRequest, context: grpc.ServicerContext) -> messages.Run:
        """How a run stands."""
        with _answering(context, "GetRun"):
            return answers.run(self._store.runs.get(request.job_id, require_run_id(request.run_id)))

    def FetchResult(
        self, request: messages.FetchResultRequest, context: grpc.ServicerContext
    ) -> Iterator[messages.ResultPart]:
        """The receipt, then a receiver's sealed result in parts."""
        with _answering(context, "FetchResult") as caller:
            require_receiver(caller, request.receiver)
            run = self._store.runs.get(request.job_id, require_run_id(request.run_id))
            yield messages.ResultPart(receipt=self._store.runs.receipt(run))
            for part in self._store.runs.result_parts(run, request.receiver):
                yield messages.ResultPart(sealed=part)

    def GetBudget(
        self, request: messages.GetBudgetRequest, context: grpc.ServicerContext
    ) -> messages.GetBudgetResponse:
        """What is left of the agreed runs, by the enclave's own word."""
        with _answering(context, "GetBudget"):
            signed_request = require_bytes(
                request.signed_request, what="signed request", max_length=limits.RUN_REQUEST_MAX_BYTES
            )
            job = self._running(request.job_id)
            signed = self._parts.enclaves.budget(job, signed_request=signed_request)
            # It tells how long the ledger is: nobody may know of an entry that is not kept here.
            self._parts.keeping.fetch(job)
            return messages.GetBudgetResponse(signed_budget=signed)

    # --- Keys -------------------------------------------------------------------------------------------

    def GetPublicKeys(
        self, request: messages.GetPublicKeysRequest, context: grpc.ServicerContext
    ) -> messages.GetPublicKeysResponse:
        """The public halves of the enclave's keys, attested for the caller's nonce."""
        with _answering(context, "GetPublicKeys"):
            nonce = require_bytes(request.nonce, what="nonce", length=limits.NONCE_BYTES)
            keys = self._parts.enclaves.public_keys(self._running(request.job_id), nonce)
            return messages.GetPublicKeysResponse(document=keys.document, public_keys=keys.public_keys)

    def UseKey(
        self, request: messages.UseKeyRequest, context: grpc.ServicerContext
    ) -> messages.UseKeyResponse:
        """Bring one use of a key to the enclave; the answer is sealed to whoever signed it."""
        with _answering(context, "UseKey") as caller:
            call = require_bytes(request.call, what="key use", max_length=limits.KEY_CALL_MAX_BYTES)
            job = self._running(request.job_id)
            sealed = self._parts.enclaves.use_key(job, call=call)
            self._parts.keeping.fetch(job)  # as with budgets: it tells which use this was
            log.event("key-used", job=job.job_id, caller=caller.name, bytes=log.bucketed(len(sealed)))
            return messages.UseKeyResponse(sealed_answer=sealed)

    # ----------------------------------------------------------------------------------------------------

    # --- The enclave's state ----------------------------------------------------------------------------

    def GetStateProposal(
        self, request: messages.GetStateProposalRequest, context: grpc.ServicerContext
    ) -> messages.GetStateProposalResponse:
        """What the enclave would take up, by its own word."""
        with _answering(context, "GetStateProposal"):
            job = self._waiting(request.job_id)
            nonce = require_bytes(request.nonce, what="nonce", length=limits.NONCE_BYTES)
            evidence = self._parts.enclaves.attest(job, nonce)
            return messages.GetStateProposalResponse(
                signed_proposal=self._parts.enclaves.state_proposal(job),
                document=evidence.document,
                key_bundle=evidence.key_bundle,
            )

    def PutStateStatement(
        self, request: messages.PutStateStatementRequest, context: grpc.ServicerContext
    ) -> messages.PutStateStatementResponse:
        """Bring a witness's statement to the enclave."""
        with _answering(context, "PutStateStatement") as caller:
            statement = require_bytes(
                request.signed_statement,
                what="signed statement",
                max_length=limits.STATE_STATEMENT_MAX_BYTES,
            )
            self._parts.enclaves.witness(self._waiting(request.job_id), statement)
            log.event("state-witnessed", caller=caller.name, job=request.job_id)
            return messages.PutStateStatementResponse()

    def _waiting(self, job_id: str) -> Job:
        job = self._store.jobs.get(job_id)
        job.require_waiting()
        return job

    def _running(self, job_id: str) -> Job:
        job = self._store.jobs.get(job_id)
        job.require_running()
        return job

    def _answer_with_status(self, job: Job) -> messages.Job:
        status = self._parts.enclaves.status_if_any(job)
        wanted = self._parts.bringing.wanted(job, status.errands if status else [])
        return answers.job(job, status, brought=self._parts.deposits.brought_to(job), wanted=wanted)


@contextmanager
def _answering(context: grpc.ServicerContext, call: str) -> Iterator[Caller]:
    """The caller for the length of a call that is refused in the right words if anything goes wrong."""
    seen = Call(call)
    with refusing(context, seen):
        caller = caller_of(context)
        seen.caller = caller.name
        yield caller
