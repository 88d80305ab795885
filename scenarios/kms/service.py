"""Answers one HTTP request as AWS KMS would, and writes a line about it into the log.

Reads requests from anybody. The order: the target names an operation, the signature holds, the body is
JSON, the operation decides. Every refusal has AWS's error name and, unlike AWS's, the reason; the log has
the same, with who asked, for which key, what allowed it, and which image and agreement were attested.
Neither has plaintext.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from party_client.attestation.emulator import Anchors
from protos.formats.errors import ConcordatError
from scenarios.kms.errors import KmsError, RequestShapeError, UnknownOperationError
from scenarios.kms.operations.call import Call
from scenarios.kms.operations.table import OPERATIONS, TARGET_PREFIX
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


class KmsService:
    """One account's KMS in one region. Threads may ask at once; they are answered one after another."""

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
        with self._one_at_a_time:
            try:
                status, body = 200, self._run(request, path, record)
                record["outcome"] = "ok"
            except KmsError as error:
                status, body = error.status, _refusal(error.aws_name, error, record)
            except ConcordatError as error:  # a file of the state folder
                status, body = 500, _refusal(KmsError.aws_name, error, record)
            except Exception as error:
                record |= {"outcome": KmsError.aws_name, "message": type(error).__name__}
                status, body = 500, {"__type": KmsError.aws_name, "message": "this server failed"}
            self._log(record)
        headers = {"Content-Type": _MEDIA_TYPE, "x-amzn-RequestId": record["request_id"]}
        if status != 200:
            headers["x-amzn-ErrorType"] = str(body["__type"])
        return HttpAnswer(status, headers, json.dumps(body).encode() if body else b"")

    def _run(self, request: SignedRequest, path: str, record: dict[str, Any]) -> dict[str, Any]:
        now = self._clock()
        record["time"] = now.isoformat()
        target = request.headers.get("x-amz-target", "")
        name = target.removeprefix(TARGET_PREFIX)
        if path != "/" or not target.startswith(TARGET_PREFIX) or name not in OPERATIONS:
            raise UnknownOperationError(
                f"X-Amz-Target: got {target[:100]!r} at {path[:100]!r}, which is not modelled here",
                hint="scenarios/kms/README.md lists the operations",
            )
        record["operation"] = name
        credential = verify_signature(
            request, lookup=self._store.credential, region=self._store.region, now=now
        )
        record["caller"] = str(credential.caller)
        members = parse_object_untrusted(
            request.body, what="request", max_bytes=BODY_MAX_BYTES, refusal=RequestShapeError
        )
        call = Call(
            operation=name,
            members=members,
            credential=credential,
            store=self._store,
            roots=self._roots,
            now=now,
            source_ip=record["source_ip"],
        )
        try:
            return OPERATIONS[name](call)
        finally:
            record |= call.notes


def _refusal(aws_name: str, error: ConcordatError, record: dict[str, Any]) -> dict[str, Any]:
    message = f"{error.message} (hint: {error.hint})" if error.hint else error.message
    record |= {"outcome": aws_name, "message": message}
    return {"__type": aws_name, "message": message}
