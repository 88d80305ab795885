"""AWS Nitro Enclaves on this EC2 instance, started and ended with `nitro-cli`, reached over the vsock.

What nitro-cli says is the parent instance's word, as good as ours: parties ask the enclave. An enclave
belongs to a process that nitro-cli leaves behind, not to the coordinator, so it is found again after a
restart.
"""

from __future__ import annotations

import os
import platform
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from coordinator import log
from coordinator.deadlines import Deadlines
from coordinator.errors import CoordinatorError, LaunchError, NitroCliError
from coordinator.launchers.dialling import dial
from coordinator.launchers.image_file import require_architecture, require_image
from coordinator.launchers.nitro_address import NitroAddress
from coordinator.launchers.nitro_answers import EnclaveDescription
from coordinator.launchers.nitro_cli import NitroCli
from coordinator.launchers.nitro_host import EnclaveSize, NitroHost
from coordinator.launchers.processes import Machines, processes_with_argument, remove_folder
from protos.formats.frames import ENCLAVE_PORT

_START_S: Final = 600.0
"""Starts wait for each other, and nitro-cli for an enclave that boots."""
_TURN_NAME: Final = "nitro-start.lock"
_END_WAIT_S: Final = 10.0
_DESCRIBED_FOR_S: Final = 1.0
_POLL_S: Final = 0.05


def dial_vsock(cid: int, *, timeout_s: float) -> socket.socket:
    """A stream to the enclave's port. Raises `OSError`."""
    return dial(socket.AF_VSOCK, (cid, ENCLAVE_PORT), timeout_s=timeout_s)


@dataclass(frozen=True)
class NitroOptions:
    """The enclaves that are started, and with what."""

    image: Path
    memory_mib: int
    vcpus: int
    nitro_cli: str = "nitro-cli"
    unsafe_debug_mode: bool = False
    """Consoles can be read, PCR0, 1 and 2 are zeros, and parties refuse the enclaves."""
    host: NitroHost = field(default_factory=NitroHost)
    dial: Callable[..., socket.socket] = dial_vsock


class NitroLauncher:
    """Runs an enclave image as an AWS Nitro Enclave."""

    deadlines = replace(Deadlines(), start_s=_START_S)

    def __init__(self, options: NitroOptions) -> None:
        """Raises `CannotServeError` or another `CoordinatorError` if this instance cannot hold an enclave."""
        self._options = options
        image = require_image(options.image)
        require_architecture(image, platform.machine())
        self._size = EnclaveSize(options.memory_mib, options.vcpus, image.size_bytes)
        options.host.require_ready(self._size, options.nitro_cli)
        self._nitro_cli = NitroCli(options.nitro_cli)
        self._machines = Machines(end_wait_s=_END_WAIT_S)
        self._described: list[EnclaveDescription] = []
        self._described_at = float("-inf")
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """What people see."""
        return "nitro (UNSAFE DEBUG MODE)" if self._options.unsafe_debug_mode else "nitro"

    def new_address(self) -> str:
        """A CID and a name of its own. Nothing is started."""
        return str(NitroAddress.new())

    def launch(self, address: str, *, console: Path) -> None:
        """Start an enclave in the background. Raises `LaunchError` if there is no room for it."""
        options, folder = self._options, _folder(NitroAddress.parse(address))
        try:
            options.host.require_room(self._size, self._nitro_cli.describe())
        except LaunchError:
            raise
        except CoordinatorError as error:
            raise LaunchError(error.message, hint=error.hint) from error
        command = [
            *(sys.executable, "-m", "coordinator.launchers.nitro_machine", "--address", address),
            *("--nitro-cli", options.nitro_cli, "--image", str(options.image)),
            *("--memory-mib", str(options.memory_mib), "--vcpus", str(options.vcpus)),
            *("--turn", str(console.with_name(_TURN_NAME)), "--console", str(console)),
            *(["--unsafe-debug-mode"] if options.unsafe_debug_mode else []),
        ]
        self._machines.start(command, mark=address, folder=folder, console=console)

    def connect(self, address: str, *, timeout_s: float) -> socket.socket:
        """A vsock stream to the enclave."""
        return self._options.dial(NitroAddress.parse(address).cid, timeout_s=timeout_s)

    def is_alive(self, address: str) -> bool:
        """Whether it is being started, or nitro-cli lists it.

        A nitro-cli that fails says nothing of the enclave: then it counts as alive, and whether it answers on
        the vsock decides.
        """
        where, asked_at = NitroAddress.parse(address), time.monotonic()
        if self._machines.is_running(address, _folder(where)):
            return True
        try:
            # An older list may be from before this enclave was there: who is not in it need not be gone.
            return self._lists(where, since=asked_at - _DESCRIBED_FOR_S) or self._lists(where, since=asked_at)
        except NitroCliError as error:
            log.problem("nitro-cli-failed", command="describe-enclaves", code=error.code)
            return True

    def end(self, address: str) -> None:
        """Stop the start, terminate the enclave, and end the process that keeps it if nitro-cli cannot."""
        where = NitroAddress.parse(address)
        self._machines.end(address, _folder(where))
        try:
            self._nitro_cli.terminate(where.name)
        except NitroCliError as error:
            log.problem("nitro-cli-failed", command="terminate-enclave", code=error.code)
        _end_keepers(where.name)
        with self._lock:
            self._described_at = float("-inf")
        remove_folder(_folder(where))

    def _lists(self, where: NitroAddress, *, since: float) -> bool:
        """Whether the enclave is in a list that is no older; threads that ask at once share one."""
        with self._lock:
            if self._described_at < since:
                asked_at = time.monotonic()
                self._described = self._nitro_cli.describe()
                self._described_at = asked_at
            return any((each.name, each.cid) == (where.name, where.cid) for each in self._described)


def _end_keepers(name: str) -> None:
    """End what bears the enclave's name still: a nitro-cli that starts it, or the process that keeps it.

    The latter is a copy of the former and has its command line. The hypervisor ends the enclave with it.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        until = time.monotonic() + _END_WAIT_S
        for pid in processes_with_argument(name):
            try:
                os.kill(pid, number)
            except (ProcessLookupError, PermissionError):
                continue
        while processes_with_argument(name) and time.monotonic() < until:
            time.sleep(_POLL_S)


def _folder(address: NitroAddress) -> Path:
    return Path(tempfile.gettempdir()) / address.name
