"""Answers one HTTP request as AWS KMS or STS would, and writes a line about it into the log.

Reads requests from anybody. The order: the target names an operation, the signature holds, the body is
JSON, the operation decides. STS has no target: its operation stands in the form that is the body. Every
refusal has AWS's error name and, unlike AWS's, the reason; the log has the same, with who asked, for which
key or role, what allowed it, and which image and agreement were attested. Neither has plaintext, nor what a
credential consists of.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from party_client.attestation.emulator import Anchors
from protos.formats.errors import ConcordatError
from scenarios.kms import query
from scenarios.kms.errors import KmsError, RequestShapeError, UnknownOperationError
from scenarios.kms.operations.call import Call, Operation
from scenarios.kms.operations.table import OPERATIONS, STS_OPERATIONS, TARGET_PREFIX
from scenarios.kms.sigv4 import SignedRequest, verify_signature
from scenarios.kms.store import KmsStore
from scenarios.kms.untrusted_json import parse_object_untrusted

BODY_MAX_BYTES: Final = 512 * 1024
_MEDIA_TYPE: Final = "application/x-amz-json-1.1"

Log = Callable[[Mapping[str, Any]], None]
"""Takes what there is to say about one request."""


@dataclass(frozen=True)
class HttpAnswer:
    """Status, headers, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class _Refused:
    status: int
    aws_name: str
    message: str


_Outcome = dict[str, Any] | _Refused


class KmsService:
    """One account's KMS in one region, and the STS of its roles.

    Threads may ask at once; they are answered one after another.
    """

    def __init__(
        self, store: KmsStore, *, roots: Anchors | None, clock: Callable[[], datetime], log: Log
    ) -> None:
        self._store = store
        self._roots = roots
        self._clock = clock
        self._log = log
        self._one_at_a_time = threading.Lock()

    def answer_untrusted(self, request: SignedRequest, *, path: str, source_ip: str) -> HttpAnswer:
        """The answer to a POST; nothing escapes, whatever the request."""
        record: dict[str, Any] = {"request_id": secrets.token_hex(16), "source_ip": source_ip}
        record["time"] = self._clock().isoformat()
        to_sts = query.is_query(request.headers)
        with self._one_at_a_time:
            outcome = self._outcome(self._sts if to_sts else self._kms, request, path, record)
            if isinstance(outcome, _Refused):
                record |= {"outcome": outcome.aws_name, "message": outcome.message}
            else:
                record["outcome"] = "ok"
            self._log(record)
        return (_sts_answer if to_sts else _kms_answer)(outcome, record)

    def _outcome(
        self,
        ask: Callable[[SignedRequest, str, dict[str, Any]], dict[str, Any]],
        request: SignedRequest,
        path: str,
        record: dict[str, Any],
    ) -> _Outcome:
        try:
            return ask(request, path, record)
        except KmsError as error:
            return _Refused(error.status, error.aws_name, _told(error))
        except ConcordatError as error:  # a file of the state folder
            return _Refused(500, KmsError.aws_name, _told(error))
        except Exception as error:
            record["failure"] = type(error).__name__
            return _Refused(500, KmsError.aws_name, "this server failed")

    def _kms(self, request: SignedRequest, path: str, record: dict[str, Any]) -> dict[str, Any]:
        target = request.headers.get("x-amz-target", "")
        name = target.removeprefix(TARGET_PREFIX)
        if path != "/" or not target.startswith(TARGET_PREFIX) or name not in OPERATIONS:
            raise UnknownOperationError(
                f"X-Amz-Target: got {target[:100]!r} at {path[:100]!r}, which is not modelled here",
                hint="scenarios/kms/README.md lists the operations",
            )
        record["operation"] = name
        call = self._call(request, "kms", record)
        members = parse_object_untrusted(
            request.body, what="request", max_bytes=BODY_MAX_BYTES, refusal=RequestShapeError
        )
        return self._run(OPERATIONS[name], replace(call, operation=name, members=members), record)

    def _sts(self, request: SignedRequest, path: str, record: dict[str, Any]) -> dict[str, Any]:
        call = self._call(request, "sts", record)
        name, members = query.parse_request_untrusted(request.body)
        if path != "/" or name not in STS_OPERATIONS:
            raise UnknownOperationError(
                f"Action: got {name[:100]!r} at {path[:100]!r}, which is not modelled here",
                hint="scenarios/kms/README.md lists the operations",
            )
        record["operation"] = name
        return self._run(STS_OPERATIONS[name], replace(call, operation=name, members=members), record)

    def _call(self, request: SignedRequest, service: str, record: dict[str, Any]) -> Call:
        """Whose request it is, before a word of its body was read."""
        now = self._clock()
        credential = verify_signature(
            request, lookup=self._store.credential, region=self._store.region, service=service, now=now
        )
        record["caller"] = str(credential.caller)
        return Call(
            operation="",
            members={},
            credential=credential,
            store=self._store,
            roots=self._roots,
            now=now,
            source_ip=record["source_ip"],
        )

    def _run(self, operation: Operation, call: Call, record: dict[str, Any]) -> dict[str, Any]:
        try:
            return operation(call)
        finally:
            record |= call.notes


def _kms_answer(outcome: _Outcome, record: Mapping[str, Any]) -> HttpAnswer:
    headers = {"Content-Type": _MEDIA_TYPE, "x-amzn-RequestId": str(record["request_id"])}
    if isinstance(outcome, _Refused):
        body = {"__type": outcome.aws_name, "message": outcome.message}
        return HttpAnswer(
            outcome.status, {**headers, "x-amzn-ErrorType": outcome.aws_name}, json.dumps(body).encode()
        )
    return HttpAnswer(200, headers, json.dumps(outcome).encode() if outcome else b"")


def _sts_answer(outcome: _Outcome, record: Mapping[str, Any]) -> HttpAnswer:
    request_id = str(record["request_id"])
    headers = {"Content-Type": query.ANSWER_MEDIA_TYPE, "x-amzn-RequestId": request_id}
    if isinstance(outcome, _Refused):
        status, body = query.render_refusal(outcome.aws_name, outcome.message, request_id)
        return HttpAnswer(status, headers, body)
    return HttpAnswer(200, headers, query.render(str(record["operation"]), outcome, request_id))


def _told(error: ConcordatError) -> str:
    return f"{error.message} (hint: {error.hint})" if error.hint else error.message
