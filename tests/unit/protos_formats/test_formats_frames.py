"""Frames: lengths are believed only within limits, and nothing is read that they do not announce."""

from __future__ import annotations

import struct

import pytest

from protos.formats.canonical import encode
from protos.formats.errors import FormatError, LimitExceededError
from protos.formats.frames import Frame, read_frame_untrusted
from protos.formats.limits import FRAME_BODY_MAX_BYTES, FRAME_HEADER_MAX_BYTES


class Peer:
    """Sends `data` and remembers how much of it was asked for each time."""

    def __init__(self, data: bytes) -> None:
        self._rest = data
        self.asked: list[int] = []

    def read_exactly(self, count: int) -> bytes:
        self.asked.append(count)
        if len(self._rest) < count:
            raise ConnectionError("gone")
        got, self._rest = self._rest[:count], self._rest[count:]
        return got


def test_two_frames_in_a_row() -> None:
    first, second = Frame({"op": "status", "id": 1}), Frame({"op": "run", "id": 2}, b"body")
    peer = Peer(first.prefix() + first.body + second.prefix() + second.body)
    assert read_frame_untrusted(peer.read_exactly) == first
    assert read_frame_untrusted(peer.read_exactly) == second
    assert peer.asked == [6, len(encode(first.header)), 6, len(encode(second.header)), 4]


@pytest.mark.parametrize(
    ("header_bytes", "body_bytes"),
    [(FRAME_HEADER_MAX_BYTES + 1, 0), (1, FRAME_BODY_MAX_BYTES + 1), (0xFFFF, 0xFFFFFFFF)],
)
def test_a_length_over_the_limit_is_not_read(header_bytes: int, body_bytes: int) -> None:
    peer = Peer(struct.pack(">HI", header_bytes, body_bytes) + bytes(100_000))
    with pytest.raises(
        LimitExceededError, match=f"header of {header_bytes} and a body of {body_bytes} bytes"
    ):
        read_frame_untrusted(peer.read_exactly)
    assert peer.asked == [6]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"", "frame: ends in the middle"),
        (b"\x80", "frame: the header is list, expected a map"),
        (b"\xa1\x00\x00", "frame: a map key that is not a text"),
        (b"\xa0\x00", "frame: got 1 bytes after the value"),
    ],
)
def test_a_header_that_is_no_map(header: bytes, message: str) -> None:
    peer = Peer(struct.pack(">HI", len(header), 5) + header + b"body!")
    with pytest.raises(FormatError, match=message):
        read_frame_untrusted(peer.read_exactly)
    assert peer.asked == [6, len(header)], "the body is not read"


def test_what_the_reader_raises_comes_out() -> None:
    for length in range(6 + 10):
        peer = Peer((struct.pack(">HI", 10, 0) + encode({"op": "stat"})[:10])[:length])
        with pytest.raises((ConnectionError, FormatError)):
            read_frame_untrusted(peer.read_exactly)


def test_a_frame_over_the_limit_is_not_written() -> None:
    with pytest.raises(LimitExceededError, match="expected at most 8192 and 37748736"):
        Frame({"text": "a" * FRAME_HEADER_MAX_BYTES}).prefix()
    with pytest.raises(LimitExceededError, match="expected at most 8192 and 37748736"):
        Frame({}, bytes(FRAME_BODY_MAX_BYTES + 1)).prefix()


def test_the_largest_header() -> None:
    frame = Frame({"t": "a" * (FRAME_HEADER_MAX_BYTES - 6)})
    assert len(encode(frame.header)) == FRAME_HEADER_MAX_BYTES
    assert read_frame_untrusted(Peer(frame.prefix()).read_exactly) == frame
