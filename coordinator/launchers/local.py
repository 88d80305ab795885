"""Enclaves as SIMULATED Nitro machines on this computer, started by command line.

The machine is another program in a session of its own: it outlives this process, so a restarted coordinator
finds its enclaves again, by the process id that stands beside the socket, or among all processes if this one
was killed before it could write that down. A process id that belongs to something else by now is recognised
by its command line (procfs), and left alone.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

from coordinator.errors import LaunchError

_SOCKET_PATH_MAX_BYTES: Final = 107
_SOCKET_NAME: Final = "enclave.sock"
_PID_NAME: Final = "machine.pid"
_END_WAIT_S: Final = 5.0
_POLL_S: Final = 0.02


def simulated_machine(*, state: Path, memory_mib: int, source: Path | None = None) -> tuple[str, ...]:
    """The command line of a simulated Nitro machine.

    `state` is the folder of the simulator's root, `source` one that holds other enclave code than the
    installed: the parties will refuse it unless their agreement names what it measures.
    """
    machine = (sys.executable, "-m", "scenarios.machine", "run", "--state", str(state))
    other = () if source is None else ("--source", str(source))
    return (*machine, "--memory-mib", str(memory_mib), *other)


class LocalLauncher:
    """Runs a machine's command line, fixed when the coordinator starts, with `--socket ADDRESS` added."""

    name = "local (SIMULATED)"

    def __init__(self, command: tuple[str, ...]) -> None:
        self._command = command
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()

    def new_address(self) -> str:
        """A socket path, short enough for a Unix socket, in a folder of its own that `launch` makes."""
        path = Path(tempfile.gettempdir()) / f"concordat-{secrets.token_hex(8)}" / _SOCKET_NAME
        if len(os.fsencode(path)) > _SOCKET_PATH_MAX_BYTES:
            raise LaunchError(
                f"{path}: a socket's path has at most {_SOCKET_PATH_MAX_BYTES} bytes",
                hint="set TMPDIR to a folder with a shorter name",
            )
        return str(path)

    def launch(self, address: str, *, console: Path) -> None:
        """Start a machine; its messages are appended to `console`."""
        try:
            Path(address).parent.mkdir(mode=0o700)
            with console.open("ab") as log:
                child = subprocess.Popen(  # noqa: S603 - no shell; every argument is ours
                    [*self._command, "--socket", address],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            Path(address).with_name(_PID_NAME).write_text(str(child.pid))
        except OSError as error:
            raise LaunchError(
                f"the machine does not start: {error.strerror}", hint=f"see {console}"
            ) from error
        with self._lock:
            self._children[address] = child

    def connect(self, address: str, *, timeout_s: float) -> socket.socket:
        """A Unix stream socket connected to `address`."""
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            peer.settimeout(timeout_s)
            peer.connect(address)
        except BaseException:
            peer.close()
            raise
        return peer

    def is_alive(self, address: str) -> bool:
        """Whether the machine's process runs."""
        return self._pid(address) is not None

    def end(self, address: str) -> None:
        """SIGTERM, some seconds, SIGKILL; then the socket's folder is removed."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            pid = self._pid(address)
            if pid is None:
                break
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                break
            self._wait_for_end(address)
        with self._lock:
            self._children.pop(address, None)
        shutil.rmtree(Path(address).parent, ignore_errors=True)

    def _wait_for_end(self, address: str) -> None:
        until = time.monotonic() + _END_WAIT_S
        while self._pid(address) is not None and time.monotonic() < until:
            time.sleep(_POLL_S)

    def _pid(self, address: str) -> int | None:
        """The machine's process id while it runs, by handle if it is our child and by procfs if not."""
        with self._lock:
            child = self._children.get(address)
            if child is not None:
                return child.pid if child.poll() is None else None
        return next((pid for pid in _candidates(address) if _is_for(pid, address)), None)


def _candidates(address: str) -> list[int]:
    """The process id that was noted beside the socket, or all there are."""
    try:
        return [int(Path(address).with_name(_PID_NAME).read_text())]
    except (OSError, ValueError):
        return [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]


def _is_for(pid: int, address: str) -> bool:
    """Whether the process was started for this address."""
    try:
        return os.fsencode(address) in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
