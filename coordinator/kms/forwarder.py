"""Carries one errand: TLS records between an enclave and a key service, neither of which is believed.

TLS ends in the enclave, so what passes here cannot be read or changed without being noticed there. What is
guarded here is the coordinator's own network and time: only endpoints of the operator's list are connected
to, and an errand ends at its deadline and at its bounds, whoever of the two wants more. Nothing of it is
logged but subject, endpoint and outcome. Followed: `protos/README.md`, "Frames and calls".
"""

from __future__ import annotations

from typing import Final

from coordinator import log
from coordinator.enclave_link import EnclaveLink
from coordinator.enclaves import Enclaves
from coordinator.errand import Errand
from coordinator.errors import CoordinatorError, EnclaveAnswerError, EndlessErrandError
from coordinator.jobs import Job
from coordinator.kms.allowlist import Allowlist
from coordinator.kms.credentials import Credentials, CredentialSource
from coordinator.kms.endpoint import Endpoint, connected
from coordinator.statuses import status_of
from protos.formats.calls import Op
from protos.formats.canonical import Value, encode
from protos.formats.frames import Frame
from protos.formats.limits import ERRAND_FRAME_MAX_BYTES, ERRAND_MAX_BYTES, ERRAND_STEPS_MAX

_OUTCOME_DONE: Final = "done"


class Forwarder:
    """Runs errands, one at a call. Safe to use from many threads."""

    def __init__(self, allowlist: Allowlist, credentials: CredentialSource, enclaves: Enclaves) -> None:
        self._allowlist = allowlist
        self._credentials = credentials
        self._enclaves = enclaves

    def run(self, job: Job, errand: Errand) -> None:
        """Carry `errand` of the enclave of `job` to its end; returns when the enclave has what it wanted.

        Raises `EndpointNotAllowedError`, `CredentialsError`, `EndpointUnreachableError`,
        `EndlessErrandError`, and what the enclave link raises: `EnclaveRefusedError` with `kms-denied` and
        `kms-failed` above all.
        """
        outcome = _OUTCOME_DONE
        try:
            self._run(job, errand)
        except CoordinatorError as error:
            outcome = status_of(error)[1]
            raise
        finally:
            log.event(
                "errand", job=job.job_id, subject=errand.subject, endpoint=errand.endpoint, outcome=outcome
            )

    def _run(self, job: Job, errand: Errand) -> None:
        host, port = errand.address()
        self._allowlist.require(host, port)
        # The agreement is the job's own, by the store: an enclave could name any.
        credentials = self._credentials.get(errand.role, errand.region, job.agreement_digest, errand.party)
        within_s = self._enclaves.deadlines.errand_s
        with connected(host, port, within_s=within_s) as endpoint, self._enclaves.link(job) as link:
            _Carriage(link, endpoint, errand.subject).run(credentials)


class _Carriage:
    """One errand on its way: how many steps it took, and how much went each way."""

    def __init__(self, link: EnclaveLink, endpoint: Endpoint, subject: str) -> None:
        self._link = link
        self._endpoint = endpoint
        self._subject = subject
        self._outgoing_bytes = 0
        self._incoming_bytes = 0

    def run(self, credentials: Credentials) -> None:
        """Back and forth until the enclave says that it is done."""
        answer = self._ask(_first_body(credentials))
        for step in range(1, ERRAND_STEPS_MAX + 1):
            if _is_done(answer):
                return
            if answer.body:
                self._endpoint.send(self._counted_outgoing(answer.body))
            received = self._counted_incoming(self._endpoint.receive(ERRAND_FRAME_MAX_BYTES))
            answer = self._ask(received, step=step)
        if not _is_done(answer):
            raise EndlessErrandError(f"errand for {self._subject}: not done after {ERRAND_STEPS_MAX} steps")

    def _ask(self, body: bytes, **fields: Value) -> Frame:
        return self._link.call(
            Op.ERRAND, deadline_s=self._endpoint.left_s(), body=body, subject=self._subject, **fields
        )

    def _counted_outgoing(self, sent: bytes) -> bytes:
        self._outgoing_bytes += len(sent)
        if len(sent) > ERRAND_FRAME_MAX_BYTES or self._outgoing_bytes > ERRAND_MAX_BYTES:
            raise EndlessErrandError(f"errand for {self._subject}: the enclave sends more than it may")
        return sent

    def _counted_incoming(self, received: bytes) -> bytes:
        self._incoming_bytes += len(received)
        if self._incoming_bytes > ERRAND_MAX_BYTES:
            raise EndlessErrandError(f"errand for {self._subject}: the endpoint sends more than it may")
        return received


def _first_body(credentials: Credentials) -> bytes:
    return encode(
        {
            "access_key_id": credentials.access_key_id,
            "secret_access_key": credentials.secret_access_key,
            "session_token": credentials.session_token,
        }
    )


def _is_done(answer: Frame) -> bool:
    done = answer.header.get("done")
    if type(done) is not bool:
        raise EnclaveAnswerError("the enclave's answer does not say whether its errand is done")
    return done
