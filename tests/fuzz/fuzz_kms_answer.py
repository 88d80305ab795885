"""Fuzz target: KMS's HTTP response is refused, or read as Python's own client reads it, however it is cut."""

from __future__ import annotations

import io
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any, cast

from enclave_compute.errors import RefusedError
from enclave_compute.kms.answer import AnswerReader, HttpAnswer
from enclave_compute.kms.recipient import Recipient
from enclave_compute.kms.request import read_answer_untrusted
from protos.formats.calls import Refusal
from tests.errands_world import KEY_ARN, authority, decrypting, http, service
from tests.fuzz.fuzz_kms_enveloped import MESSAGES
from tests.fuzz.runner import run

RECIPIENT = Recipient.make()
REQUEST = decrypting(service(authority()))
SEEDS = [
    http(200, {"KeyId": KEY_ARN, "CiphertextForRecipient": MESSAGES[1].hex(), "Plaintext": None}),
    http(
        400, {"__type": "AccessDeniedException", "message": "no"}, "x-amzn-ErrorType: AccessDeniedException"
    ),
    http(500, b"", "Cache-Control: no-cache"),
    http(200, b"x" * 300)[:-1],
]


@dataclass
class _Stream:
    """What `HTTPResponse` takes for a socket."""

    data: bytes

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self.data)


def one_input(data: bytes) -> None:
    """Reads `data` as a whole, in two pieces, and as an answer of KMS."""
    whole = outcome(data)
    half = len(data) // 2
    assert outcome(data[:half], data[half:]) == whole
    if not isinstance(whole, HttpAnswer):
        return
    theirs = HTTPResponse(cast(Any, _Stream(data)), method="POST")
    theirs.begin()
    if whole.status not in (204, 304):
        assert (theirs.status, theirs.read()) == (whole.status, whole.body)
    try:
        read_answer_untrusted(whole, REQUEST, RECIPIENT)
    except RefusedError as error:
        assert error.refusal in (Refusal.KMS_FAILED, Refusal.KMS_DENIED)


def outcome(*pieces: bytes) -> HttpAnswer | str | None:
    """The answer in `pieces`, the word for why it is none, or nothing if more has to come."""
    reader = AnswerReader()
    answer = None
    try:
        for piece in pieces:
            answer = reader.take_untrusted(piece, ended=False)
    except RefusedError as error:
        assert error.refusal is Refusal.KMS_FAILED
        return "refused"
    return answer


if __name__ == "__main__":
    run(one_input, seeds=SEEDS)
