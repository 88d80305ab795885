"""Treacheries with requests: who asks what."""

from __future__ import annotations

from dataclasses import replace

from protos.formats import cose
from protos.formats.run_request import RUN_REQUEST_LABEL, RunRequest
from scenarios.hostile.holdings import Holdings, Job
from scenarios.hostile.mischief import Mischief, Refuser, Step


def _read(at: Holdings, signed_request: bytes) -> RunRequest:
    """Nothing in a request is secret: the coordinator may read it."""
    payload = cose.verify_untrusted(
        signed_request,
        typ=RUN_REQUEST_LABEL,
        public_key=at.agreement.participant("analyst").signing_key,
        max_bytes=len(signed_request),
    )
    return RunRequest.decode_untrusted(payload)


class RequestForged(Mischief):
    """A question that the operator would like to have answered."""

    name = "request-forged"
    deed = "asks in the analyst's name, with parameters of its own choice"
    attacks = (11,)
    step = Step.ASK
    refuser = Refuser.ENCLAVE
    code = "bad-signature"

    def request(self, at: Holdings, job: Job, signed_request: bytes) -> bytes:  # noqa: ARG002
        """The analyst's request with another parameter, signed by an impostor."""
        wished = replace(_read(at, signed_request), parameters={"least": 100})
        return cose.sign(wished.encode(), typ=RUN_REQUEST_LABEL, key=at.impostors["analyst"].signing_key)


class ParameterChanged(Mischief):
    """The analyst's own request and signature, with another number in it."""

    name = "parameter-changed"
    deed = "changes a parameter in the analyst's signed request"
    attacks = (11,)
    step = Step.ASK
    refuser = Refuser.ENCLAVE
    code = "bad-signature"

    def request(self, at: Holdings, job: Job, signed_request: bytes) -> bytes:  # noqa: ARG002
        """The same message but for its payload, which stays canonical."""
        request = _read(at, signed_request)
        changed = replace(request, parameters={"least": 99})
        return signed_request.replace(request.encode(), changed.encode())


class RequestOfAnEarlierJob(Mischief):
    """A genuine request, answered once already."""

    name = "request-of-an-earlier-job"
    deed = "replays a request that the analyst signed for an earlier job"
    attacks = (13,)
    step = Step.ASK
    refuser = Refuser.ENCLAVE
    code = "wrong-place"

    def request(self, at: Holdings, job: Job, signed_request: bytes) -> bytes:  # noqa: ARG002
        """The first one that was ever seen."""
        return next(iter(at.first_job.requests.values()))
