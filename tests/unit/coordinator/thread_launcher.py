"""Fake enclaves in threads of the test: quick to start, easy to kill, and open to inspection."""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
from pathlib import Path

from coordinator.deadlines import Deadlines
from tests.unit.coordinator.fake_enclave import Behaviour, FakeEnclave, listen


class ThreadLauncher:
    """A `Launcher` whose enclaves are `FakeEnclave`s that all share one behaviour."""

    name = "threads of a test"
    deadlines = Deadlines()

    def __init__(self, enclave_class: type[FakeEnclave] = FakeEnclave) -> None:
        self.enclave_class = enclave_class
        self.behaviour = Behaviour()
        self.enclaves: dict[str, FakeEnclave] = {}
        self.launches = 0

    def new_address(self) -> str:
        return str(Path(tempfile.mkdtemp(prefix="concordat-test-")) / "enclave.sock")

    def launch(self, address: str, *, console: Path) -> None:
        self.launches += 1
        self.enclaves[address] = enclave = self.enclave_class(listen(Path(address)), self.behaviour)
        threading.Thread(target=enclave.serve, daemon=True).start()

    def connect(self, address: str, *, timeout_s: float) -> socket.socket:
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            peer.settimeout(timeout_s)
            peer.connect(address)
        except BaseException:
            peer.close()
            raise
        return peer

    def is_alive(self, address: str) -> bool:
        return address in self.enclaves and not self.enclaves[address].closed.is_set()

    def end(self, address: str) -> None:
        if address in self.enclaves:
            self.enclaves[address].die()
        shutil.rmtree(Path(address).parent, ignore_errors=True)

    def only(self) -> FakeEnclave:
        """The one enclave that lives."""
        (living,) = [enclave for enclave in self.enclaves.values() if not enclave.closed.is_set()]
        return living
