"""How every refusal looks on the wire: one table from error to gRPC status, and the metadata beside it.

The status says what kind of thing a caller can do about it. The exact code travels in the trailing metadata
`concordat-code` (the enclave's own code where the enclave refused). There is no advice beside it: clients do
not take any from a coordinator.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
from grpc import StatusCode

from coordinator import errors, log
from protos.formats.calls import Refusal
from protos.formats.errors import ConcordatError, FormatError

CODE_KEY: Final = "concordat-code"

OF_ERROR: Final[dict[type[ConcordatError], StatusCode]] = {
    errors.BadRequestError: StatusCode.INVALID_ARGUMENT,
    errors.NotKnownError: StatusCode.NOT_FOUND,
    errors.ConflictError: StatusCode.ALREADY_EXISTS,
    errors.NotAllowedError: StatusCode.PERMISSION_DENIED,
    errors.OverQuotaError: StatusCode.RESOURCE_EXHAUSTED,
    errors.DiskFullError: StatusCode.RESOURCE_EXHAUSTED,
    errors.JobNotRunningError: StatusCode.FAILED_PRECONDITION,
    errors.JobWaitingError: StatusCode.FAILED_PRECONDITION,
    errors.JobNotWaitingError: StatusCode.FAILED_PRECONDITION,
    errors.RunNotReleasedError: StatusCode.FAILED_PRECONDITION,
    errors.OutOfOrderError: StatusCode.OUT_OF_RANGE,
    errors.StreamIdleError: StatusCode.ABORTED,
    errors.EnclaveUnreachableError: StatusCode.UNAVAILABLE,
    errors.EnclaveAnswerError: StatusCode.UNAVAILABLE,
    FormatError: StatusCode.INVALID_ARGUMENT,
}
"""Any other error is a fault of the coordinator: INTERNAL."""

OF_REFUSAL: Final[dict[Refusal, StatusCode]] = {
    Refusal.MALFORMED: StatusCode.INVALID_ARGUMENT,
    Refusal.WRONG_PHASE: StatusCode.FAILED_PRECONDITION,
    Refusal.ALREADY_BOUND: StatusCode.FAILED_PRECONDITION,
    Refusal.NOT_IN_FORCE: StatusCode.FAILED_PRECONDITION,
    Refusal.NOT_VALID_NOW: StatusCode.FAILED_PRECONDITION,
    Refusal.UNKNOWN: StatusCode.NOT_FOUND,
    Refusal.NOT_ALLOWED: StatusCode.PERMISSION_DENIED,
    Refusal.BAD_SIGNATURE: StatusCode.PERMISSION_DENIED,
    Refusal.WRONG_PLACE: StatusCode.FAILED_PRECONDITION,
    Refusal.DOES_NOT_OPEN: StatusCode.INVALID_ARGUMENT,
    Refusal.KEY_WANTED: StatusCode.FAILED_PRECONDITION,
    Refusal.KMS_DENIED: StatusCode.PERMISSION_DENIED,
    Refusal.KMS_FAILED: StatusCode.UNAVAILABLE,
    Refusal.STATE_WANTED: StatusCode.FAILED_PRECONDITION,
    Refusal.STATE_BEHIND: StatusCode.FAILED_PRECONDITION,
    Refusal.STATE_FORKED: StatusCode.FAILED_PRECONDITION,
    Refusal.OUT_OF_ORDER: StatusCode.OUT_OF_RANGE,
    Refusal.OVER_LIMIT: StatusCode.INVALID_ARGUMENT,
    Refusal.SCHEMA_MISMATCH: StatusCode.INVALID_ARGUMENT,
    Refusal.TOO_SMALL: StatusCode.INVALID_ARGUMENT,
    Refusal.MANIFEST_MISMATCH: StatusCode.INVALID_ARGUMENT,
    Refusal.SLOT_TAKEN: StatusCode.ALREADY_EXISTS,
    Refusal.NOT_READY: StatusCode.FAILED_PRECONDITION,
    Refusal.QUERY_REFUSED: StatusCode.FAILED_PRECONDITION,
    Refusal.NO_RUNS_LEFT: StatusCode.FAILED_PRECONDITION,
    Refusal.NO_RUNS_NOW: StatusCode.FAILED_PRECONDITION,
    Refusal.PRIVACY_SPENT: StatusCode.FAILED_PRECONDITION,
    Refusal.NOT_APPROVED: StatusCode.PERMISSION_DENIED,
    Refusal.NO_USES_LEFT: StatusCode.FAILED_PRECONDITION,
    Refusal.NO_USES_NOW: StatusCode.FAILED_PRECONDITION,
    Refusal.OUT_OF_RESOURCES: StatusCode.RESOURCE_EXHAUSTED,
    Refusal.INTERNAL: StatusCode.INTERNAL,
}


def status_of(error: ConcordatError) -> tuple[StatusCode, str]:
    """(gRPC status, value of `concordat-code`) for an error."""
    if isinstance(error, errors.EnclaveRefusedError):
        return OF_REFUSAL[error.refusal], error.refusal.value
    for kind in type(error).__mro__:
        if kind in OF_ERROR:
            return OF_ERROR[kind], error.code
    return StatusCode.INTERNAL, error.code


@dataclass
class Call:
    """What a log says about a call that was refused."""

    name: str
    caller: str | None = None
    """Unknown until the certificate has been looked at."""


@contextmanager
def refusing(context: grpc.ServicerContext, call: Call) -> Iterator[None]:
    """End `call` with the right status if the block raises, and log that it did."""
    try:
        yield
    except ConcordatError as error:
        status, code = status_of(error)
        level = logging.ERROR if status is StatusCode.INTERNAL else logging.INFO
        log.event("refused", level=level, code=code, status=status.name, call=call.name, caller=call.caller)
        context.set_trailing_metadata(((CODE_KEY, code),))
        context.abort(status, error.message)
    except grpc.RpcError:
        log.event("caller-gone", call=call.name, caller=call.caller)
        context.abort(StatusCode.CANCELLED, "the caller went away")
    except Exception as error:
        log.event("fault", level=logging.ERROR, call=call.name, kind=type(error).__name__, at=_place(error))
        context.set_trailing_metadata(((CODE_KEY, errors.CoordinatorError.code),))
        context.abort(StatusCode.INTERNAL, f"a fault of the coordinator ({type(error).__name__})")


def _place(error: BaseException) -> str:
    """File and line where it was raised: enough to find it, and nothing of what was being carried."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
