"""Carries one NSM request to the security module and brings the answer back.

Two carriers behind one method: the kernel's `/dev/nsm` (an ioctl with two buffers) and an inherited stream
socket (each message behind its length as four bytes, big-endian). Both bound what they send and receive; what
the bytes mean is for `messages`. Linux `include/uapi/linux/nsm.h` and `drivers/misc/nsm.c`.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import socket
import threading
from collections.abc import Callable
from typing import Final, Protocol

from enclave_compute.nsm.errors import NsmInputTooLargeError, NsmResponseError, NsmUnavailableError

NSM_IOCTL_RAW: Final = 0xC0200A00
"""_IOWR(0x0A, 0x0, struct nsm_raw), the struct being 32 bytes long."""
REQUEST_MAX_BYTES: Final = 0x1000
RESPONSE_MAX_BYTES: Final = 0x3000
_LENGTH_BYTES: Final = 4

Ioctl = Callable[[int, int, "NsmRaw"], int]


class NsmDevice(Protocol):
    """Something that answers one CBOR request with one CBOR response."""

    def exchange(self, request: bytes) -> bytes:
        """The response to `request` (1..4,096 bytes); at most 12,288 bytes. Raises `NsmError`."""


class Iovec(ctypes.Structure):
    """`struct nsm_iovec`: where a buffer is and how long it is, 64 bits each."""

    _fields_ = (("address", ctypes.c_uint64), ("length", ctypes.c_uint64))


class NsmRaw(ctypes.Structure):
    """`struct nsm_raw`: the request buffer, then the response buffer; the driver shortens the latter."""

    _fields_ = (("request", Iovec), ("response", Iovec))


class NsmIoctlDevice:
    """The security module as the enclave's kernel shows it."""

    def __init__(self, path: str = "/dev/nsm", *, ioctl: Ioctl = fcntl.ioctl) -> None:
        """Opens `path`. Raises `NsmUnavailableError`."""
        self._path = path
        self._ioctl = ioctl
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise NsmUnavailableError(
                f"{path}: {error.strerror}", hint="the kernel needs CONFIG_NSM (Linux 6.8) or the nsm module"
            ) from error

    def exchange(self, request: bytes) -> bytes:
        """One ioctl; the driver lets one request at a time through, whichever thread it comes from."""
        _require_sendable(request)
        sent = ctypes.create_string_buffer(request, len(request))
        received = ctypes.create_string_buffer(RESPONSE_MAX_BYTES)
        raw = NsmRaw(
            Iovec(ctypes.addressof(sent), len(request)), Iovec(ctypes.addressof(received), RESPONSE_MAX_BYTES)
        )
        try:
            self._ioctl(self._fd, NSM_IOCTL_RAW, raw)
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                raise NsmInputTooLargeError(f"{self._path}: request of {len(request)} bytes") from error
            raise NsmUnavailableError(f"{self._path}: {error.strerror}") from error
        length = int(raw.response.length)
        _require_receivable(length)
        return received.raw[:length]

    def close(self) -> None:
        """Gives the device file back."""
        os.close(self._fd)


class NsmStreamDevice:
    """The security module at the other end of a connected stream socket."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def exchange(self, request: bytes) -> bytes:
        """One message there, one back; threads take turns."""
        _require_sendable(request)
        with self._lock:
            try:
                self._stream.sendall(len(request).to_bytes(_LENGTH_BYTES, "big") + request)
                length = int.from_bytes(self._receive(_LENGTH_BYTES), "big")
                _require_receivable(length)
                return self._receive(length)
            except OSError as error:
                raise NsmUnavailableError(f"the security module's socket: {error.strerror}") from error

    def close(self) -> None:
        """Closes the socket."""
        self._stream.close()

    def _receive(self, length: int) -> bytes:
        received = bytearray()
        while len(received) < length:
            part = self._stream.recv(length - len(received))
            if not part:
                raise NsmUnavailableError("the security module closed its socket")
            received += part
        return bytes(received)


def open_device(spec: str) -> NsmIoctlDevice | NsmStreamDevice:
    """The device that `spec` names: "fd:N" is an inherited stream socket, anything else a device file."""
    if not spec.startswith("fd:"):
        return NsmIoctlDevice(spec)
    try:
        return NsmStreamDevice(socket.socket(fileno=int(spec.removeprefix("fd:"))))
    except (OSError, ValueError) as error:
        raise NsmUnavailableError(
            f"{spec!r} is not an open socket", hint="give fd:N, N being an inherited stream socket"
        ) from error


def _require_sendable(request: bytes) -> None:
    if not 1 <= len(request) <= REQUEST_MAX_BYTES:
        raise NsmInputTooLargeError(
            f"got a request of {len(request)} bytes, expected 1 to {REQUEST_MAX_BYTES}"
        )


def _require_receivable(length: int) -> None:
    if not 1 <= length <= RESPONSE_MAX_BYTES:
        raise NsmResponseError(f"got a response of {length} bytes, expected 1 to {RESPONSE_MAX_BYTES}")
