from __future__ import annotations

from typing import Any, cast

import grpc
import pytest

from coordinator.access import ANONYMOUS, Caller, caller_of, require_may_close, require_receiver
from coordinator.errors import NotAllowedError
from coordinator.jobs import Job, JobState

JOB = Job("j", b"d" * 48, "airline", JobState.RUNNING, "", "local", "")


class Connection:
    """As much of a servicer context as says who called."""

    def __init__(self, **security: list[bytes]) -> None:
        self.security = security

    def auth_context(self) -> dict[str, list[bytes]]:
        return self.security


def caller(**security: list[bytes]) -> Caller:
    return caller_of(cast(grpc.ServicerContext, cast(Any, Connection(**security))))


def test_the_caller_is_the_name_in_its_certificate() -> None:
    assert caller(transport_security_type=[b"ssl"], x509_common_name=[b"airline"]) == Caller("airline", True)


def test_without_tls_all_callers_are_one() -> None:
    assert caller(transport_security_type=[b"insecure"]) == Caller(ANONYMOUS, False)
    assert caller() == Caller(ANONYMOUS, False)


@pytest.mark.parametrize("names", [[], [b"Airline Ltd."], [b"airline", b"analyst"], [b"\xff\xfe"], [b""]])
def test_a_certificate_that_names_nobody_is_refused(names: list[bytes]) -> None:
    with pytest.raises(NotAllowedError, match="common name"):
        caller(transport_security_type=[b"ssl"], x509_common_name=names)


def test_a_certificate_called_anonymous_gains_nothing() -> None:
    anonymous = caller(transport_security_type=[b"ssl"], x509_common_name=[ANONYMOUS.encode()])
    with pytest.raises(NotAllowedError):
        require_receiver(anonymous, "analyst")
    with pytest.raises(NotAllowedError):
        require_may_close(anonymous, JOB, frozenset())


def test_a_result_goes_to_its_receiver_alone() -> None:
    require_receiver(Caller("analyst", is_authenticated=True), "analyst")
    require_receiver(Caller(ANONYMOUS, is_authenticated=False), "analyst")
    with pytest.raises(NotAllowedError, match="asked for by 'airline'"):
        require_receiver(Caller("airline", is_authenticated=True), "analyst")


def test_a_job_is_closed_by_who_started_it_or_by_an_operator() -> None:
    for name in ("airline", "operator"):
        require_may_close(Caller(name, is_authenticated=True), JOB, frozenset({"operator"}))
    with pytest.raises(NotAllowedError, match="started by 'airline'"):
        require_may_close(Caller("weather", is_authenticated=True), JOB, frozenset({"operator"}))
