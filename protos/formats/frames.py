"""Frames between the coordinator and the enclave: a length-checked header and a body on a stream socket.

A frame is: header length (u16, big-endian), body length (u32, big-endian), header (a canonical CBOR map),
body (opaque bytes). Lengths are checked before anything is allocated. Pure: the caller hands in a function
that reads; sockets belong to the roles. Requests carry "op" and "id"; answers carry the same "id" and either
"ok": true or "error": a code of the closed list in `protos/README.md`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from protos.formats import limits
from protos.formats.canonical import Value, decode_untrusted, encode
from protos.formats.errors import FormatError, LimitExceededError

ENCLAVE_PORT: Final = 5000
"""Where an enclave that is an image listens on its vsock."""
HEARTBEAT_PORT: Final = 9000
HEARTBEAT: Final = b"\xb7"
"""What it says there to its parent once, when its kernel runs, and is told in return (nitro-cli)."""
_PREFIX: Final = struct.Struct(">HI")


@dataclass(frozen=True)
class Frame:
    """One message: a small map that both sides understand and a body that only one of them may."""

    header: dict[str, Value]
    body: bytes = b""

    def prefix(self) -> bytes:
        """Everything before the body: lengths and header. Send it, then `body`: no copy of a large body."""
        header = encode(self.header)
        if len(header) > limits.FRAME_HEADER_MAX_BYTES or len(self.body) > limits.FRAME_BODY_MAX_BYTES:
            raise LimitExceededError(
                f"frame: header of {len(header)} and body of {len(self.body)} bytes, expected at most "
                f"{limits.FRAME_HEADER_MAX_BYTES} and {limits.FRAME_BODY_MAX_BYTES}"
            )
        return _PREFIX.pack(len(header), len(self.body)) + header


def read_frame_untrusted(read_exactly: Callable[[int], bytes]) -> Frame:
    """The next frame from a peer. `read_exactly(n)` gives n bytes or raises.

    Raises `LimitExceededError` or `FormatError` before reading a body that is too long.
    """
    header_bytes, body_bytes = _PREFIX.unpack(read_exactly(_PREFIX.size))
    if header_bytes > limits.FRAME_HEADER_MAX_BYTES or body_bytes > limits.FRAME_BODY_MAX_BYTES:
        raise LimitExceededError(
            f"frame: announces a header of {header_bytes} and a body of {body_bytes} bytes, expected at most "
            f"{limits.FRAME_HEADER_MAX_BYTES} and {limits.FRAME_BODY_MAX_BYTES}"
        )
    header = decode_untrusted(
        read_exactly(header_bytes), max_bytes=limits.FRAME_HEADER_MAX_BYTES, what="frame"
    )
    if not isinstance(header, dict):
        raise FormatError(f"frame: the header is {type(header).__name__}, expected a map")
    return Frame(header, read_exactly(body_bytes) if body_bytes else b"")
