"""One connection to an enclave: requests out, answers in, every wait with an end.

Reads what an enclave sends, which may be anything: an answer is checked for shape and order before it is
used, and every operation has a deadline for the whole of it, so a peer that trickles holds nobody up. One of
three errors leaves: `EnclaveRefusedError` (it said no), `EnclaveAnswerError` (it speaks nonsense),
`EnclaveUnreachableError` (it is silent or gone). After the latter two the connection is of no more use.

Answers come in the order of the requests (`protos/README.md`, "Frames"), so requests may be pipelined.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from coordinator.errors import EnclaveAnswerError, EnclaveRefusedError, EnclaveUnreachableError
from protos.formats.calls import Op, Refusal
from protos.formats.canonical import Value
from protos.formats.errors import FormatError
from protos.formats.frames import Frame, read_frame_untrusted
from protos.formats.limits import KIB

WRITE_BYTES: Final = 64 * KIB
"""Larger writes on a vsock collapse on some instances."""


class EnclaveLink:
    """A connected stream socket to one enclave. For one thread at a time."""

    def __init__(self, peer: socket.socket, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._socket = peer
        self._clock = clock
        self._next_id = 0
        self._awaited: deque[int] = deque()

    @property
    def in_flight(self) -> int:
        """Requests sent whose answers have not been received."""
        return len(self._awaited)

    def call(self, op: Op, *, deadline_s: float, body: bytes = b"", **fields: Value) -> Frame:
        """Send one request and receive its answer."""
        self.send(op, deadline_s=deadline_s, body=body, **fields)
        return self.receive(deadline_s=deadline_s)

    def send(self, op: Op, *, deadline_s: float, body: bytes = b"", **fields: Value) -> None:
        """Send one request; `receive` gives its answer in turn."""
        frame = Frame({"op": op.value, "id": self._next_id, **fields}, body)
        until = self._clock() + deadline_s
        try:
            self._send_all(frame.prefix(), until)
            view = memoryview(body)
            for start in range(0, len(view), WRITE_BYTES):
                self._send_all(view[start : start + WRITE_BYTES], until)
        except OSError as error:
            raise self._unreachable(error, f"while sending {op.value}") from error
        self._awaited.append(self._next_id)
        self._next_id += 1

    def receive(self, *, deadline_s: float) -> Frame:
        """The answer to the oldest request without one."""
        until = self._clock() + deadline_s
        try:
            frame = read_frame_untrusted(lambda n_bytes: self._read_exactly(n_bytes, until))
        except OSError as error:
            raise self._unreachable(error, "while waiting for its answer") from error
        except FormatError as error:
            raise EnclaveAnswerError(f"the enclave's answer is malformed: {error.message}") from error
        expected = self._awaited.popleft()
        if frame.header.get("id") != expected:
            raise EnclaveAnswerError(f"the enclave answered out of turn, expected the answer to {expected}")
        _require_ok(frame.header)
        return frame

    def wait_for_end(self, *, timeout_s: float) -> bool:
        """Whether the enclave closed this idle connection within `timeout_s`."""
        self._socket.settimeout(timeout_s)
        try:
            self._socket.recv(1)
        except TimeoutError:
            return False
        except OSError:
            return True
        # End of stream; or a byte that nobody asked for, from a peer that is of no use then.
        return True

    def interrupt(self) -> None:
        """Make a thread that waits on this connection wake up and find it ended. From any thread."""
        with contextlib.suppress(OSError):  # it was not connected any more
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _send_all(self, data: bytes | memoryview, until: float) -> None:
        self._socket.settimeout(self._left_s(until))
        self._socket.sendall(data)

    def _read_exactly(self, n_bytes: int, until: float) -> bytes:
        buffer = bytearray(n_bytes)
        view = memoryview(buffer)
        while view:
            self._socket.settimeout(self._left_s(until))
            received = self._socket.recv_into(view)
            if not received:
                raise ConnectionResetError("closed by the enclave")
            view = view[received:]
        return bytes(buffer)

    def _left_s(self, until: float) -> float:
        left_s = until - self._clock()
        if left_s <= 0:
            raise TimeoutError("out of time")
        return left_s

    def _unreachable(self, error: OSError, when: str) -> EnclaveUnreachableError:
        return EnclaveUnreachableError(f"the enclave is silent or gone {when} ({error.strerror or error})")


def _require_ok(header: dict[str, Value]) -> None:
    if header.get("ok") is True:
        return
    try:
        refusal = Refusal(str(header.get("error")))
    except ValueError:
        raise EnclaveAnswerError("the enclave answered with a code that is not in the list") from None
    next_chunk = header.get("next")
    raise EnclaveRefusedError(refusal, next_chunk=next_chunk if type(next_chunk) is int else None)
