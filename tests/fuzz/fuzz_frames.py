"""Fuzz target: a stream of frames never makes the reader take more than it announced, nor over its limits."""

from __future__ import annotations

import io

from protos.formats.errors import FormatError
from protos.formats.frames import Frame, read_frame_untrusted
from protos.formats.limits import FRAME_BODY_MAX_BYTES
from tests.conformance.formats.refused import messages_of
from tests.fuzz.runner import run

SEEDS = [*messages_of("frame"), *(Frame({"op": op, "id": 1}).prefix() for op in ("status", "close"))]


class PeerGoneError(Exception):
    """The stream ended."""


def one_input(data: bytes) -> None:
    """Reads frames from `data` until it ends or one is refused."""
    stream = io.BytesIO(data)

    def read_exactly(count: int) -> bytes:
        assert 0 <= count <= FRAME_BODY_MAX_BYTES
        got = stream.read(count)
        if len(got) < count:
            raise PeerGoneError
        return got

    while True:
        start = stream.tell()
        try:
            frame = read_frame_untrusted(read_exactly)
        except (FormatError, PeerGoneError):
            return
        assert frame.prefix() + frame.body == data[start : stream.tell()]


if __name__ == "__main__":
    run(one_input, seeds=SEEDS)
