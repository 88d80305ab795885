"""Enclaves as SIMULATED Nitro machines on this computer, started by command line.

The machine is another program, in a session of its own: it outlives this process, and is found again after a
restart (`processes`).
"""

from __future__ import annotations

import secrets
import socket
import sys
from pathlib import Path
from typing import Final

from coordinator.deadlines import Deadlines
from coordinator.launchers.dialling import dial
from coordinator.launchers.processes import Machines, fresh_folder, remove_folder

_SOCKET_NAME: Final = "enclave.sock"
_END_WAIT_S: Final = 5.0


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
    deadlines = Deadlines()

    def __init__(self, command: tuple[str, ...]) -> None:
        self._command = command
        self._machines = Machines(end_wait_s=_END_WAIT_S)

    def new_address(self) -> str:
        """A socket path, short enough for a Unix socket, in a folder of its own that `launch` makes."""
        return str(fresh_folder(secrets.token_hex(8)) / _SOCKET_NAME)

    def launch(self, address: str, *, console: Path) -> None:
        """Start a machine; its messages are appended to `console`."""
        self._machines.start(
            [*self._command, "--socket", address], mark=address, folder=_folder(address), console=console
        )

    def connect(self, address: str, *, timeout_s: float) -> socket.socket:
        """A Unix stream socket connected to `address`."""
        return dial(socket.AF_UNIX, address, timeout_s=timeout_s)

    def is_alive(self, address: str) -> bool:
        """Whether the machine's process runs."""
        return self._machines.is_running(address, _folder(address))

    def end(self, address: str) -> None:
        """End the machine; then the socket's folder is removed."""
        self._machines.end(address, _folder(address))
        remove_folder(_folder(address))


def _folder(address: str) -> Path:
    return Path(address).parent
