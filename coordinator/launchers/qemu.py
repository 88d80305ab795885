"""Enclave images in QEMU's nitro-enclave machine: the real image without AWS, and without any secrecy.

Its attestation documents are not signed by anybody, so the name that people see says UNSIGNED EMULATOR, and
parties refuse them unless told otherwise. The machine is a program of ours (`emulated_machine`) in a session
of its own, found again after a restart like the simulated one's (`processes`).

The enclave's ports are behind one Unix socket: `CONNECT PORT`, answered by `OK NUMBER`, then the stream. What
answers there is the emulator on behalf of the enclave, so the answer is bounded and has a deadline.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coordinator.deadlines import Deadlines
from coordinator.errors import CannotServeError
from coordinator.launchers.dialling import dial
from coordinator.launchers.emulated_machine import BOOTED_NAME
from coordinator.launchers.image_file import require_architecture, require_image
from coordinator.launchers.processes import Machines, fresh_folder, remove_folder
from protos.formats.frames import ENCLAVE_PORT

SLOWER_TIMES: Final = 5.0
"""Emulated processors take 10 to 20 times as long for Python; most waits have some of that to spare."""
_PROGRAMS: Final = ("bin/qemu-system-x86_64", "bin/vhost-device-vsock")
_ARCHITECTURE: Final = "x86_64"
_SOCKET_NAME: Final = "enclave.sock"
_END_WAIT_S: Final = 10.0
_ANSWER: Final = re.compile(rb"OK [0-9]{1,10}\n")
_ANSWER_MAX_BYTES: Final = 14


@dataclass(frozen=True)
class QemuOptions:
    """The machine that every enclave gets."""

    emulator: Path
    """Folder with `bin/` and `firmware/`."""
    image: Path
    memory_mib: int
    vcpus: int


class QemuLauncher:
    """Boots an enclave image in QEMU, software emulation."""

    name = "qemu (UNSIGNED EMULATOR)"
    deadlines = Deadlines().slower(SLOWER_TIMES)

    def __init__(self, options: QemuOptions) -> None:
        """Raises `CannotServeError` if the emulator or the image is not there."""
        for program in _PROGRAMS:
            if not os.access(options.emulator / program, os.X_OK):
                raise CannotServeError(
                    f"{options.emulator / program}: no such program, expected the emulator's",
                    hint="build it with `make emulator`, and give its folder: --emulator DIR",
                )
        require_architecture(require_image(options.image), _ARCHITECTURE)
        self._options = options
        self._machines = Machines(end_wait_s=_END_WAIT_S)

    def new_address(self) -> str:
        """The path of the socket in front of the enclave's ports, in a folder that `launch` makes."""
        return str(fresh_folder(secrets.token_hex(8)) / _SOCKET_NAME)

    def launch(self, address: str, *, console: Path) -> None:
        """Start a machine; a bounded part of what the enclave prints is kept in `console`."""
        options = self._options
        command = [
            *(sys.executable, "-m", "coordinator.launchers.emulated_machine", "--socket", address),
            *("--emulator", str(options.emulator), "--image", str(options.image)),
            *("--memory-mib", str(options.memory_mib), "--vcpus", str(options.vcpus)),
            *("--console", str(console)),
        ]
        self._machines.start(command, mark=address, folder=_folder(address), console=console)

    def connect(self, address: str, *, timeout_s: float) -> socket.socket:
        """A stream to the enclave's port, once it has booted."""
        if not (_folder(address) / BOOTED_NAME).exists():
            raise ConnectionRefusedError(None, "the enclave has not booted")
        return connect_through(address, port=ENCLAVE_PORT, timeout_s=timeout_s)

    def is_alive(self, address: str) -> bool:
        """Whether the machine's process runs."""
        return self._machines.is_running(address, _folder(address))

    def end(self, address: str) -> None:
        """Switch the machine off; then its folder is removed."""
        self._machines.end(address, _folder(address))
        remove_folder(_folder(address))


def connect_through(path: str, *, port: int, timeout_s: float) -> socket.socket:
    """A stream to `port` behind the socket at `path`. Raises `OSError`, also for an answer that is none."""
    until = time.monotonic() + timeout_s
    peer = dial(socket.AF_UNIX, path, timeout_s=timeout_s)
    try:
        peer.sendall(b"CONNECT %d\n" % port)
        require_connected_untrusted(peer, until=until)
        peer.settimeout(timeout_s)
    except BaseException:
        peer.close()
        raise
    return peer


def require_connected_untrusted(peer: socket.socket, *, until: float) -> None:
    """Read the one line that says so, and no byte behind it. Raises `OSError`."""
    answer = b""
    while not answer.endswith(b"\n"):
        left_s = until - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the enclave's port does not answer")
        peer.settimeout(left_s)
        byte = peer.recv(1)
        if not byte:
            raise ConnectionRefusedError(None, "nothing listens at the enclave's port")
        answer += byte
        if len(answer) > _ANSWER_MAX_BYTES:
            break
    if not _ANSWER.fullmatch(answer):
        raise ConnectionAbortedError(None, "the emulator's answer is not OK and a number")


def _folder(address: str) -> Path:
    return Path(address).parent
