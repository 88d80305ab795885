"""The heartbeat with which an enclave says that it has booted: one byte to port 9000 of its parent, and back.

Whoever is inside the enclave may connect there as often as it wants and send anything: one connection is
looked at at a time, for some seconds, and one byte of it is read. A connection after a true heartbeat means
that the machine starts again (a kernel that restarts need not tell its machine); an enclave has one life, so
that is its end. AWS's nitro-cli answers heartbeats of its enclaves (`eif_loader`); this is for emulated ones.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from protos.formats.frames import HEARTBEAT

_WAIT_S: Final = 5.0


class HeartbeatListener:
    """Listens at a Unix socket, driven by a selector whose data are functions to call."""

    def __init__(
        self,
        path: Path,
        selector: selectors.BaseSelector,
        *,
        on_booted: Callable[[], None],
        on_again: Callable[[], None],
    ) -> None:
        """Raises `OSError` if it cannot listen."""
        self._path = path
        self._selector = selector
        self._on_booted = on_booted
        self._on_again = on_again
        self._has_booted = False
        self._guest: socket.socket | None = None
        self._guest_until = 0.0
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._listener.setblocking(False)
        self._listen()

    def expire(self) -> None:
        """Drop a connection that has sent nothing for too long; call it now and then."""
        if self._guest is not None and time.monotonic() > self._guest_until:
            self._drop(self._guest)
            self._listen()

    def close(self) -> None:
        """Listen no more, and leave no socket behind."""
        if self._guest is not None:
            self._drop(self._guest)
        with contextlib.suppress(KeyError, ValueError):  # it was not listened to just now
            self._selector.unregister(self._listener)
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _listen(self) -> None:
        self._selector.register(self._listener, selectors.EVENT_READ, self._take)

    def _take(self) -> None:
        """Whoever connects meanwhile waits, and there is room for one."""
        with contextlib.suppress(OSError):
            guest, _ = self._listener.accept()
            if self._has_booted:
                guest.close()
                self._on_again()
                return
            guest.setblocking(False)
            self._guest, self._guest_until = guest, time.monotonic() + _WAIT_S
            self._selector.unregister(self._listener)
            self._selector.register(guest, selectors.EVENT_READ, lambda: self._read(guest))

    def _read(self, guest: socket.socket) -> None:
        is_true = False
        with contextlib.suppress(OSError):
            is_true = guest.recv(1) == HEARTBEAT
            if is_true:
                guest.send(HEARTBEAT)
        self._drop(guest)
        self._listen()
        if is_true:
            self._has_booted = True
            self._on_booted()

    def _drop(self, guest: socket.socket) -> None:
        self._selector.unregister(guest)
        guest.close()
        self._guest = None
