"""One HTTP response, cut wherever the parent likes, and nothing that could be read in two ways."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enclave_compute.errors import RefusedError
from enclave_compute.kms.answer import AnswerReader, HttpAnswer
from protos.formats import limits

GOOD = (
    b"HTTP/1.1 200 OK\r\n"
    b"x-amzn-RequestId: 0af2\r\n"
    b"Cache-Control:no-cache, no-store  \r\n"
    b"Content-Type: application/x-amz-json-1.1\r\n"
    b"content-length: 4\r\n"
    b"\r\n"
    b"body"
)


def read(*pieces: bytes, ended: bool = False) -> HttpAnswer | None:
    reader = AnswerReader()
    answer = None
    for piece in pieces:
        assert answer is None
        answer = reader.take_untrusted(piece, ended=False)
    return reader.take_untrusted(b"", ended=True) if ended and answer is None else answer


def refused(*pieces: bytes, ended: bool = False) -> str:
    with pytest.raises(RefusedError, match=r"^kms-failed: HTTP answer: ") as found:
        read(*pieces, ended=ended)
    return str(found.value).removeprefix("kms-failed: HTTP answer: ")


def test_a_response_in_one_piece() -> None:
    assert read(GOOD) == HttpAnswer(200, b"body")


@given(st.lists(st.integers(0, len(GOOD)), max_size=8))
def test_a_response_in_any_pieces(cuts: list[int]) -> None:
    places = [0, *sorted(cuts)]
    pieces = [GOOD[start:end] for start, end in zip(places, [*places[1:], len(GOOD)], strict=True)]
    while pieces and not pieces[-1]:
        pieces.pop()
    assert read(*pieces) == HttpAnswer(200, b"body")


@pytest.mark.parametrize("end", range(len(GOOD)))
def test_a_response_that_is_cut_off_is_none(end: int) -> None:
    assert read(GOOD[:end]) is None
    assert refused(GOOD[:end], ended=True) == "cut off"


@pytest.mark.parametrize("status", [200, 301, 307, 400, 403, 500, 599])
def test_the_status_is_the_status(status: int) -> None:
    assert read(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()) == HttpAnswer(status, b"")


def changed(old: bytes, new: bytes) -> bytes:
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (GOOD + b"x", "more than its length says"),
        (GOOD + GOOD, "more than its length says"),
        (changed(b"HTTP/1.1 200 OK", b"HTTP/1.1 100 Continue"), "no final status of HTTP/1.1"),
        (changed(b"HTTP/1.1 200 OK", b"HTTP/1.1 101 Switching Protocols"), "no final status of HTTP/1.1"),
        (changed(b"HTTP/1.1", b"HTTP/1.0"), "no final status of HTTP/1.1"),
        (changed(b"HTTP/1.1", b"HTTP/2"), "no final status of HTTP/1.1"),
        (changed(b"200 OK", b"0200 OK"), "no final status of HTTP/1.1"),
        (changed(b"200 OK", b"+20 OK"), "no final status of HTTP/1.1"),
        (changed(b"200 OK", b"200\nOK"), "no final status of HTTP/1.1"),
        (b"\r\n" + GOOD, "no final status of HTTP/1.1"),
        (changed(b"content-length: 4\r\n", b""), "not one length"),
        (changed(b"content-length: 4", b"content-length: 4\r\nContent-Length: 4"), "not one length"),
        (changed(b"content-length: 4", b"content-length: 4, 4"), "not one length"),
        (changed(b"content-length: 4", b"content-length: +4"), "not one length"),
        (changed(b"content-length: 4", b"content-length: 0x4"), "not one length"),
        (changed(b"content-length: 4", b"content-length: 4.0"), "not one length"),
        (changed(b"content-length: 4", b"content-length: -4"), "not one length"),
        (changed(b"content-length: 4", "content-length: ٤".encode()), "not one length"),
        (changed(b"content-length: 4", b"content-length: 0000004"), "not one length"),
        (changed(b"content-length: 4", b"content-length:"), "not one length"),
        (changed(b"content-length: 4", b"content-length : 4"), "a line that is no header"),
        (changed(b"content-length: 4", b"content-length: 4\r\n folded"), "a line that is no header"),
        (changed(b"content-length: 4", b"content-length: 4\r\nx"), "a line that is no header"),
        (changed(b"content-length: 4", b"content-length: 4\nx: y"), "a line that is no header"),
        (changed(b"content-length: 4", b"content-length: 4\rx: y"), "a line that is no header"),
        (changed(b"content-length: 4", b"content-length: 4\x00"), "a line that is no header"),
        (changed(b"content-length: 4", b"content-length: 65537"), "more than 65536 bytes"),
        (changed(b"content-length: 4", b"Transfer-Encoding: chunked"), "a transfer coding"),
        (changed(b"no-cache", b"n\r\ntransfer-encoding:identity"), "a transfer coding"),
        (b"HTTP/1.1 200 OK\r\nx: " + bytes(8 * limits.KIB), "too long a head"),
        (b"\r\n".join([b"HTTP/1.1 200 OK", *[b"x: y"] * 2000, b"", b""]), "too long a head"),
    ],
)
def test_what_kms_never_sends_is_refused(message: bytes, why: str) -> None:
    assert refused(message) == why


def test_the_largest_head() -> None:
    head = b"HTTP/1.1 200\r\nContent-Length: 0\r\nx: "
    for more, fits in ((8 * limits.KIB - len(head), True), (8 * limits.KIB - len(head) + 1, False)):
        message = head + b"x" * more + b"\r\n\r\n"
        if fits:
            assert read(message) == HttpAnswer(200, b"")
        else:
            assert refused(message) == "too long a head"


def test_a_line_of_blanks_is_read_once() -> None:
    began_s = time.process_time()
    assert refused(b"HTTP/1.1 200 OK\r\nx:" + b" " * 1500 + b"\x00\r\n\r\n") == "a line that is no header"
    assert time.process_time() - began_s < 1, "every way to share blanks out was tried"
    assert read(b"HTTP/1.1 200 OK\r\ncontent-length:\t 0 \t\r\n\r\n") == HttpAnswer(200, b"")


def test_the_largest_body() -> None:
    size = limits.KMS_ANSWER_MAX_BYTES
    answer = read(f"HTTP/1.1 200\r\nContent-Length: {size}\r\n\r\n".encode(), bytes(size - 1), b"x")
    assert answer is not None
    assert len(answer.body) == size
