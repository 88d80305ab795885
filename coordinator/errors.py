"""Every way in which the coordinator says no, one class each.

Messages name calls, jobs and sizes; never anything out of a dataset, which the coordinator cannot read. How
each class looks on the wire is in `statuses`. What a caller can do about it, the caller's own client says:
only errors that an operator meets, when the coordinator is started, carry a hint.
"""

from __future__ import annotations

from protos.formats.calls import Refusal
from protos.formats.errors import ConcordatError


class CoordinatorError(ConcordatError):
    """Root of the coordinator's own errors."""

    code = "coordinator/error"


class BadRequestError(CoordinatorError):
    """A call is not what the service definition says."""

    code = "coordinator/bad-request"


class NotKnownError(CoordinatorError):
    """No such agreement, job, upload or run here."""

    code = "coordinator/unknown"


class ConflictError(CoordinatorError):
    """An id was used before, for something else."""

    code = "coordinator/conflict"


class NotAllowedError(CoordinatorError):
    """This caller may not do this."""

    code = "coordinator/not-allowed"


class OverQuotaError(CoordinatorError):
    """The caller would use more than its share."""

    code = "coordinator/over-quota"


class DiskFullError(CoordinatorError):
    """The coordinator's disk takes no more."""

    code = "coordinator/disk-full"


class JobNotRunningError(CoordinatorError):
    """The job is still starting, or over."""

    code = "coordinator/job-not-running"


class JobWaitingError(CoordinatorError):
    """The job's enclave waits for its state, and takes work when it has it."""

    code = "coordinator/job-waiting"


class JobNotWaitingError(CoordinatorError):
    """The job's enclave waits for no state."""

    code = "coordinator/job-not-waiting"


class RunNotReleasedError(CoordinatorError):
    """The run has no result (yet)."""

    code = "coordinator/run-not-released"


class OutOfOrderError(CoordinatorError):
    """A chunk number that leaves a gap."""

    code = "coordinator/out-of-order"


class StreamIdleError(CoordinatorError):
    """A stream was open and nothing came."""

    code = "coordinator/stream-idle"


class EnclaveUnreachableError(CoordinatorError):
    """The enclave does not answer (in time)."""

    code = "coordinator/enclave-unreachable"


class EnclaveAnswerError(CoordinatorError):
    """The enclave's answer is not what the frames' specification says."""

    code = "coordinator/enclave-answer"


class EnclaveRefusedError(CoordinatorError):
    """The enclave said no, with a code of its closed list."""

    code = "coordinator/enclave-refused"

    def __init__(self, refusal: Refusal, *, next_chunk: int | None = None) -> None:
        super().__init__(f"the enclave refused: {refusal.value}")
        self.refusal = refusal
        self.next_chunk = next_chunk


class LaunchError(CoordinatorError):
    """An enclave did not start."""

    code = "coordinator/launch"


class CannotServeError(CoordinatorError):
    """The coordinator cannot start with these settings."""

    code = "coordinator/cannot-serve"


class StateError(CoordinatorError):
    """What stands in the state folder cannot be used."""

    code = "coordinator/state"


class AllocatorFileError(CoordinatorError):
    """AWS's allocator would not take its file, or not as it looks."""

    code = "coordinator/allocator-file"


class NitroCliError(CoordinatorError):
    """`nitro-cli` failed, took too long, or answered what it should not."""

    code = "coordinator/nitro-cli"

    def __init__(self, message: str, *, hint: str, error_code: str = "") -> None:
        """`error_code`: nitro-cli's own, `E00` and so on; empty if there is none."""
        super().__init__(message, hint=hint)
        self.error_code = error_code


class CredentialsError(CoordinatorError):
    """There are no credentials for a party's role, or none that can be used. Never says what they are."""

    code = "coordinator/credentials"


class AllowlistFileError(CoordinatorError):
    """The list of key services that may be reached is not as it has to be."""

    code = "coordinator/allowlist-file"


class ErrandsNotRunError(CoordinatorError):
    """An enclave wants a key, and this coordinator was not told to bring such requests anywhere."""

    code = "coordinator/errands-not-run"


class EndpointNotAllowedError(CoordinatorError):
    """An enclave wants a key from a place that is not on the operator's list."""

    code = "coordinator/kms-endpoint"


class EndpointUnreachableError(CoordinatorError):
    """A key service could not be connected to, or fell silent."""

    code = "coordinator/kms-unreachable"


class EndlessErrandError(CoordinatorError):
    """An enclave and a key service had more to say to each other than one request for a key takes."""

    code = "coordinator/errand-too-long"


class PriceFileError(CoordinatorError):
    """The file of instance types and prices is not as it has to be."""

    code = "coordinator/price-file"
