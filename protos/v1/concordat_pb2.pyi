from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JobState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_STATE_UNSPECIFIED: _ClassVar[JobState]
    JOB_STATE_STARTING: _ClassVar[JobState]
    JOB_STATE_RUNNING: _ClassVar[JobState]
    JOB_STATE_FAILED: _ClassVar[JobState]
    JOB_STATE_LOST: _ClassVar[JobState]
    JOB_STATE_CLOSED: _ClassVar[JobState]
    JOB_STATE_WAITING: _ClassVar[JobState]

class RunState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RUN_STATE_UNSPECIFIED: _ClassVar[RunState]
    RUN_STATE_RUNNING: _ClassVar[RunState]
    RUN_STATE_RELEASED: _ClassVar[RunState]
    RUN_STATE_REFUSED: _ClassVar[RunState]
    RUN_STATE_LOST: _ClassVar[RunState]
JOB_STATE_UNSPECIFIED: JobState
JOB_STATE_STARTING: JobState
JOB_STATE_RUNNING: JobState
JOB_STATE_FAILED: JobState
JOB_STATE_LOST: JobState
JOB_STATE_CLOSED: JobState
JOB_STATE_WAITING: JobState
RUN_STATE_UNSPECIFIED: RunState
RUN_STATE_RUNNING: RunState
RUN_STATE_RELEASED: RunState
RUN_STATE_REFUSED: RunState
RUN_STATE_LOST: RunState

class PutAgreementRequest(_message.Message):
    __slots__ = ("request_id", "agreement")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    AGREEMENT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    agreement: bytes
    def __init__(self, request_id: _Optional[str] = ..., agreement: _Optional[bytes] = ...) -> None: ...

class GetAgreementRequest(_message.Message):
    __slots__ = ("agreement_digest",)
    AGREEMENT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    agreement_digest: bytes
    def __init__(self, agreement_digest: _Optional[bytes] = ...) -> None: ...

class AgreementRecord(_message.Message):
    __slots__ = ("agreement_digest", "agreement", "approvals")
    AGREEMENT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    AGREEMENT_FIELD_NUMBER: _ClassVar[int]
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    agreement_digest: bytes
    agreement: bytes
    approvals: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, agreement_digest: _Optional[bytes] = ..., agreement: _Optional[bytes] = ..., approvals: _Optional[_Iterable[bytes]] = ...) -> None: ...

class ListAgreementsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListAgreementsResponse(_message.Message):
    __slots__ = ("agreement_digests",)
    AGREEMENT_DIGESTS_FIELD_NUMBER: _ClassVar[int]
    agreement_digests: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, agreement_digests: _Optional[_Iterable[bytes]] = ...) -> None: ...

class PutApprovalRequest(_message.Message):
    __slots__ = ("request_id", "agreement_digest", "approval")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    AGREEMENT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    agreement_digest: bytes
    approval: bytes
    def __init__(self, request_id: _Optional[str] = ..., agreement_digest: _Optional[bytes] = ..., approval: _Optional[bytes] = ...) -> None: ...

class StartJobRequest(_message.Message):
    __slots__ = ("request_id", "agreement_digest")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    AGREEMENT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    agreement_digest: bytes
    def __init__(self, request_id: _Optional[str] = ..., agreement_digest: _Optional[bytes] = ...) -> None: ...

class GetJobRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class ListJobsRequest(_message.Message):
    __slots__ = ("agreement_digest",)
    AGREEMENT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    agreement_digest: bytes
    def __init__(self, agreement_digest: _Optional[bytes] = ...) -> None: ...

class ListJobsResponse(_message.Message):
    __slots__ = ("jobs",)
    JOBS_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[Job]
    def __init__(self, jobs: _Optional[_Iterable[_Union[Job, _Mapping]]] = ...) -> None: ...

class CloseJobRequest(_message.Message):
    __slots__ = ("request_id", "job_id")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    job_id: str
    def __init__(self, request_id: _Optional[str] = ..., job_id: _Optional[str] = ...) -> None: ...

class Slot(_message.Message):
    __slots__ = ("dataset", "complete")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    complete: bool
    def __init__(self, dataset: _Optional[str] = ..., complete: _Optional[bool] = ...) -> None: ...

class Job(_message.Message):
    __slots__ = ("job_id", "agreement_digest", "state", "phase", "slots", "detail", "launcher", "deposits", "errands", "missing_witnesses")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    AGREEMENT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    LAUNCHER_FIELD_NUMBER: _ClassVar[int]
    DEPOSITS_FIELD_NUMBER: _ClassVar[int]
    ERRANDS_FIELD_NUMBER: _ClassVar[int]
    MISSING_WITNESSES_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    agreement_digest: bytes
    state: JobState
    phase: str
    slots: _containers.RepeatedCompositeFieldContainer[Slot]
    detail: str
    launcher: str
    deposits: _containers.RepeatedCompositeFieldContainer[DepositInJob]
    errands: _containers.RepeatedCompositeFieldContainer[Errand]
    missing_witnesses: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, job_id: _Optional[str] = ..., agreement_digest: _Optional[bytes] = ..., state: _Optional[_Union[JobState, str]] = ..., phase: _Optional[str] = ..., slots: _Optional[_Iterable[_Union[Slot, _Mapping]]] = ..., detail: _Optional[str] = ..., launcher: _Optional[str] = ..., deposits: _Optional[_Iterable[_Union[DepositInJob, _Mapping]]] = ..., errands: _Optional[_Iterable[_Union[Errand, _Mapping]]] = ..., missing_witnesses: _Optional[_Iterable[str]] = ...) -> None: ...

class DepositInJob(_message.Message):
    __slots__ = ("dataset", "deposited_by", "said")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    DEPOSITED_BY_FIELD_NUMBER: _ClassVar[int]
    SAID_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    deposited_by: str
    said: str
    def __init__(self, dataset: _Optional[str] = ..., deposited_by: _Optional[str] = ..., said: _Optional[str] = ...) -> None: ...

class Errand(_message.Message):
    __slots__ = ("subject", "endpoint", "said")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    SAID_FIELD_NUMBER: _ClassVar[int]
    subject: str
    endpoint: str
    said: str
    def __init__(self, subject: _Optional[str] = ..., endpoint: _Optional[str] = ..., said: _Optional[str] = ...) -> None: ...

class AttestRequest(_message.Message):
    __slots__ = ("job_id", "nonce")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    nonce: bytes
    def __init__(self, job_id: _Optional[str] = ..., nonce: _Optional[bytes] = ...) -> None: ...

class AttestResponse(_message.Message):
    __slots__ = ("document", "key_bundle")
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    KEY_BUNDLE_FIELD_NUMBER: _ClassVar[int]
    document: bytes
    key_bundle: bytes
    def __init__(self, document: _Optional[bytes] = ..., key_bundle: _Optional[bytes] = ...) -> None: ...

class BeginUploadRequest(_message.Message):
    __slots__ = ("job_id", "dataset", "upload_id", "signed_header", "agreement_digest")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNED_HEADER_FIELD_NUMBER: _ClassVar[int]
    AGREEMENT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    dataset: str
    upload_id: bytes
    signed_header: bytes
    agreement_digest: bytes
    def __init__(self, job_id: _Optional[str] = ..., dataset: _Optional[str] = ..., upload_id: _Optional[bytes] = ..., signed_header: _Optional[bytes] = ..., agreement_digest: _Optional[bytes] = ...) -> None: ...

class UploadState(_message.Message):
    __slots__ = ("next_chunk",)
    NEXT_CHUNK_FIELD_NUMBER: _ClassVar[int]
    next_chunk: int
    def __init__(self, next_chunk: _Optional[int] = ...) -> None: ...

class Chunk(_message.Message):
    __slots__ = ("job_id", "upload_id", "number", "last", "sealed", "agreement_digest")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    AGREEMENT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    upload_id: bytes
    number: int
    last: bool
    sealed: bytes
    agreement_digest: bytes
    def __init__(self, job_id: _Optional[str] = ..., upload_id: _Optional[bytes] = ..., number: _Optional[int] = ..., last: _Optional[bool] = ..., sealed: _Optional[bytes] = ..., agreement_digest: _Optional[bytes] = ...) -> None: ...

class ChunkAck(_message.Message):
    __slots__ = ("next_chunk",)
    NEXT_CHUNK_FIELD_NUMBER: _ClassVar[int]
    next_chunk: int
    def __init__(self, next_chunk: _Optional[int] = ...) -> None: ...

class FinishUploadRequest(_message.Message):
    __slots__ = ("job_id", "upload_id", "signed_manifest", "agreement_digest")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNED_MANIFEST_FIELD_NUMBER: _ClassVar[int]
    AGREEMENT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    upload_id: bytes
    signed_manifest: bytes
    agreement_digest: bytes
    def __init__(self, job_id: _Optional[str] = ..., upload_id: _Optional[bytes] = ..., signed_manifest: _Optional[bytes] = ..., agreement_digest: _Optional[bytes] = ...) -> None: ...

class FinishUploadResponse(_message.Message):
    __slots__ = ("acceptance",)
    ACCEPTANCE_FIELD_NUMBER: _ClassVar[int]
    acceptance: bytes
    def __init__(self, acceptance: _Optional[bytes] = ...) -> None: ...

class ListDepositsRequest(_message.Message):
    __slots__ = ("agreement_digest",)
    AGREEMENT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    agreement_digest: bytes
    def __init__(self, agreement_digest: _Optional[bytes] = ...) -> None: ...

class ListDepositsResponse(_message.Message):
    __slots__ = ("deposits",)
    DEPOSITS_FIELD_NUMBER: _ClassVar[int]
    deposits: _containers.RepeatedCompositeFieldContainer[Deposit]
    def __init__(self, deposits: _Optional[_Iterable[_Union[Deposit, _Mapping]]] = ...) -> None: ...

class Deposit(_message.Message):
    __slots__ = ("upload_id", "dataset", "deposited_by", "complete", "stored_bytes_at_most", "job_id", "said", "acceptance")
    UPLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    DEPOSITED_BY_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    STORED_BYTES_AT_MOST_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    SAID_FIELD_NUMBER: _ClassVar[int]
    ACCEPTANCE_FIELD_NUMBER: _ClassVar[int]
    upload_id: bytes
    dataset: str
    deposited_by: str
    complete: bool
    stored_bytes_at_most: int
    job_id: str
    said: str
    acceptance: bytes
    def __init__(self, upload_id: _Optional[bytes] = ..., dataset: _Optional[str] = ..., deposited_by: _Optional[str] = ..., complete: _Optional[bool] = ..., stored_bytes_at_most: _Optional[int] = ..., job_id: _Optional[str] = ..., said: _Optional[str] = ..., acceptance: _Optional[bytes] = ...) -> None: ...

class RemoveDepositRequest(_message.Message):
    __slots__ = ("request_id", "agreement_digest", "upload_id", "deposited_by")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    AGREEMENT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    DEPOSITED_BY_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    agreement_digest: bytes
    upload_id: bytes
    deposited_by: str
    def __init__(self, request_id: _Optional[str] = ..., agreement_digest: _Optional[bytes] = ..., upload_id: _Optional[bytes] = ..., deposited_by: _Optional[str] = ...) -> None: ...

class RemoveDepositResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RequestRunRequest(_message.Message):
    __slots__ = ("job_id", "run_id", "signed_request")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNED_REQUEST_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    run_id: bytes
    signed_request: bytes
    def __init__(self, job_id: _Optional[str] = ..., run_id: _Optional[bytes] = ..., signed_request: _Optional[bytes] = ...) -> None: ...

class Run(_message.Message):
    __slots__ = ("run_id", "job_id", "state", "refusal")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    run_id: bytes
    job_id: str
    state: RunState
    refusal: str
    def __init__(self, run_id: _Optional[bytes] = ..., job_id: _Optional[str] = ..., state: _Optional[_Union[RunState, str]] = ..., refusal: _Optional[str] = ...) -> None: ...

class GetRunRequest(_message.Message):
    __slots__ = ("job_id", "run_id")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    run_id: bytes
    def __init__(self, job_id: _Optional[str] = ..., run_id: _Optional[bytes] = ...) -> None: ...

class FetchResultRequest(_message.Message):
    __slots__ = ("job_id", "run_id", "receiver")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    RECEIVER_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    run_id: bytes
    receiver: str
    def __init__(self, job_id: _Optional[str] = ..., run_id: _Optional[bytes] = ..., receiver: _Optional[str] = ...) -> None: ...

class ResultPart(_message.Message):
    __slots__ = ("receipt", "sealed")
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    receipt: bytes
    sealed: bytes
    def __init__(self, receipt: _Optional[bytes] = ..., sealed: _Optional[bytes] = ...) -> None: ...

class GetBudgetRequest(_message.Message):
    __slots__ = ("job_id", "signed_request")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNED_REQUEST_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    signed_request: bytes
    def __init__(self, job_id: _Optional[str] = ..., signed_request: _Optional[bytes] = ...) -> None: ...

class GetBudgetResponse(_message.Message):
    __slots__ = ("signed_budget",)
    SIGNED_BUDGET_FIELD_NUMBER: _ClassVar[int]
    signed_budget: bytes
    def __init__(self, signed_budget: _Optional[bytes] = ...) -> None: ...

class GetStateProposalRequest(_message.Message):
    __slots__ = ("job_id", "nonce")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    nonce: bytes
    def __init__(self, job_id: _Optional[str] = ..., nonce: _Optional[bytes] = ...) -> None: ...

class GetStateProposalResponse(_message.Message):
    __slots__ = ("signed_proposal", "document", "key_bundle")
    SIGNED_PROPOSAL_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    KEY_BUNDLE_FIELD_NUMBER: _ClassVar[int]
    signed_proposal: bytes
    document: bytes
    key_bundle: bytes
    def __init__(self, signed_proposal: _Optional[bytes] = ..., document: _Optional[bytes] = ..., key_bundle: _Optional[bytes] = ...) -> None: ...

class PutStateStatementRequest(_message.Message):
    __slots__ = ("job_id", "signed_statement")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNED_STATEMENT_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    signed_statement: bytes
    def __init__(self, job_id: _Optional[str] = ..., signed_statement: _Optional[bytes] = ...) -> None: ...

class PutStateStatementResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetPublicKeysRequest(_message.Message):
    __slots__ = ("job_id", "nonce")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    nonce: bytes
    def __init__(self, job_id: _Optional[str] = ..., nonce: _Optional[bytes] = ...) -> None: ...

class GetPublicKeysResponse(_message.Message):
    __slots__ = ("document", "public_keys")
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEYS_FIELD_NUMBER: _ClassVar[int]
    document: bytes
    public_keys: bytes
    def __init__(self, document: _Optional[bytes] = ..., public_keys: _Optional[bytes] = ...) -> None: ...

class UseKeyRequest(_message.Message):
    __slots__ = ("job_id", "call")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    call: bytes
    def __init__(self, job_id: _Optional[str] = ..., call: _Optional[bytes] = ...) -> None: ...

class UseKeyResponse(_message.Message):
    __slots__ = ("sealed_answer",)
    SEALED_ANSWER_FIELD_NUMBER: _ClassVar[int]
    sealed_answer: bytes
    def __init__(self, sealed_answer: _Optional[bytes] = ...) -> None: ...
