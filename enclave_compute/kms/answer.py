"""The HTTP/1.1 response that KMS's answer comes in: status and body, out of bytes as they arrive.

Reads bytes from whoever the agreed endpoint is. One response to one request, with a Content-Length and
nothing behind it; what KMS never sends (interim responses, other transfer codings, folded or repeated
lengths) is refused, and a redirection is a status like any other: nobody follows it. (RFC 9112.)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from enclave_compute.errors import RefusedError
from protos.formats import limits
from protos.formats.calls import Refusal

_HEAD_MAX_BYTES: Final = 8 * limits.KIB
_END: Final = b"\r\n\r\n"
_STATUS: Final = re.compile(rb"HTTP/1\.1 ([2-5][0-9]{2})(?: [\t -~\x80-\xff]*)?")
# One run behind the colon: several that fit the same blanks would be tried against each other, for minutes.
_HEADER: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t -~\x80-\xff]*)")
_LENGTH: Final = re.compile(rb"[0-9]{1,6}")


@dataclass(frozen=True)
class HttpAnswer:
    """A complete response."""

    status: int
    body: bytes


class AnswerReader:
    """Takes a response piece by piece."""

    def __init__(self) -> None:
        self._received = bytearray()

    def take_untrusted(self, data: bytes, *, ended: bool) -> HttpAnswer | None:
        """`data` is what came next, `ended` whether nothing follows; the response once it is complete.

        Raises `RefusedError`.
        """
        self._received += data
        head, end, body = bytes(self._received).partition(_END)
        if len(head) > _HEAD_MAX_BYTES:
            raise _failed("too long a head")
        if end:
            status, length_bytes = _head_untrusted(head)
            if len(body) > length_bytes:
                raise _failed("more than its length says")
            if len(body) == length_bytes:
                return HttpAnswer(status, body)
        if ended:
            raise _failed("cut off")
        return None


def _head_untrusted(head: bytes) -> tuple[int, int]:
    """(status, length of the body)."""
    first, *lines = head.split(b"\r\n")
    status = _STATUS.fullmatch(first)
    if status is None:
        raise _failed("no final status of HTTP/1.1")
    lengths = []
    for line in lines:
        header = _HEADER.fullmatch(line)
        if header is None:
            raise _failed("a line that is no header")
        name = header[1].lower()
        if name == b"transfer-encoding":
            raise _failed("a transfer coding")
        if name == b"content-length":
            lengths.append(header[2].strip(b"\t "))
    if len(lengths) != 1 or not _LENGTH.fullmatch(lengths[0]):
        raise _failed("not one length")
    if int(lengths[0]) > limits.KMS_ANSWER_MAX_BYTES:
        raise _failed(f"more than {limits.KMS_ANSWER_MAX_BYTES} bytes")
    return int(status[1]), int(lengths[0])


def _failed(what: str) -> RefusedError:
    return RefusedError(Refusal.KMS_FAILED, f"HTTP answer: {what}")
