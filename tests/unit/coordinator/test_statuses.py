from __future__ import annotations

import pytest
from grpc import StatusCode

from coordinator import errors
from coordinator.errors import CoordinatorError, EnclaveRefusedError
from coordinator.statuses import OF_ERROR, OF_REFUSAL, status_of
from protos.formats.calls import Refusal
from protos.formats.errors import FormatError, LimitExceededError

# Faults of the coordinator or its operator: no caller can do anything about them.
FAULTS = {
    errors.LaunchError,
    errors.CannotServeError,
    errors.StateError,
    errors.AllocatorFileError,
    errors.NitroCliError,
    errors.PriceFileError,
    errors.CredentialsError,
    errors.AllowlistFileError,
    errors.ErrandsNotRunError,
    errors.EndpointNotAllowedError,
    errors.EndpointUnreachableError,
    errors.EndlessErrandError,
}


def test_every_refusal_of_an_enclave_has_a_status() -> None:
    assert OF_REFUSAL.keys() == set(Refusal)


def test_every_error_has_a_status_or_is_a_fault() -> None:
    kinds = set(CoordinatorError.__subclasses__())
    assert kinds - set(OF_ERROR) - {EnclaveRefusedError} == FAULTS


@pytest.mark.parametrize("refusal", Refusal)
def test_an_enclaves_code_is_handed_on_as_it_is(refusal: Refusal) -> None:
    status, code = status_of(EnclaveRefusedError(refusal))
    assert (status, code) == (OF_REFUSAL[refusal], refusal.value)


def test_a_malformed_field_is_the_callers_fault_in_all_its_kinds() -> None:
    for error in (FormatError("x"), LimitExceededError("x")):
        assert status_of(error) == (StatusCode.INVALID_ARGUMENT, error.code)


def test_a_fault_is_internal() -> None:
    assert status_of(errors.StateError("x")) == (StatusCode.INTERNAL, "coordinator/state")
