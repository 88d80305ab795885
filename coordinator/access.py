"""Who is calling, and what only some may do: the name in the client certificate that mutual TLS verified.

The coordinator is trusted by nobody, so access control here protects availability and metadata only; who may
compute what is decided in the enclave, by signatures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import grpc

from coordinator.errors import NotAllowedError
from coordinator.jobs import Job
from protos.formats.errors import FormatError
from protos.formats.identifiers import require_slug

ANONYMOUS = "anonymous"


@dataclass(frozen=True)
class Caller:
    """Whoever makes a call."""

    name: str
    is_authenticated: bool
    """False on a plaintext (loopback) server: there all callers are one, and nothing is kept from it."""


def caller_of(context: grpc.ServicerContext) -> Caller:
    """The caller, by the common name of its certificate. Raises `NotAllowedError` for a name that is none."""
    # The stubs call the values bytes; they are lists of bytes.
    security = cast("Mapping[str, list[bytes]]", context.auth_context())
    if b"ssl" not in security.get("transport_security_type", ()):
        return Caller(ANONYMOUS, is_authenticated=False)
    name = b", ".join(security.get("x509_common_name", ())).decode(errors="replace")
    try:
        require_slug(name, what="client certificate's common name")
    except FormatError as error:
        raise NotAllowedError(error.message) from error
    return Caller(name, is_authenticated=True)


def require_receiver(caller: Caller, receiver: str) -> None:
    """Results go to their receiver alone; they are sealed to its key anyway."""
    if caller.is_authenticated and caller.name != receiver:
        raise NotAllowedError(
            f"a result for {receiver[:64]!r} was asked for by {caller.name!r}",
        )


def require_may_close(caller: Caller, job: Job, operators: frozenset[str]) -> None:
    """A job is closed by whoever started it, or by an operator."""
    if caller.is_authenticated and caller.name not in operators | {job.started_by}:
        raise NotAllowedError(
            f"job {job.job_id} was started by {job.started_by!r}, not by {caller.name!r}",
        )


def require_may_remove(caller: Caller, deposited_by: str, operators: frozenset[str]) -> None:
    """A deposit is removed by whoever deposited it, or by an operator."""
    if caller.is_authenticated and caller.name not in operators | {deposited_by}:
        raise NotAllowedError(
            f"a deposit of {deposited_by[:64]!r} was to be removed by {caller.name!r}",
        )
