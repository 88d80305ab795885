"""Places where an enclave can live. A launcher starts one, finds it again, reaches it and ends it.

What a launcher knows about an enclave is its address, a text that the store keeps across restarts. Nothing a
launcher says is believed by a party: attestation tells them what runs, and where.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Protocol

from coordinator.deadlines import Deadlines


class Launcher(Protocol):
    """What the supervisor needs of a place. All methods may be called from any thread."""

    @property
    def name(self) -> str:
        """Shown to people with every job: "local (SIMULATED)", "qemu (UNSIGNED EMULATOR)", "nitro"."""
        ...

    @property
    def deadlines(self) -> Deadlines:
        """How long its enclaves may take."""
        ...

    def new_address(self) -> str:
        """Where another enclave could listen. Nothing is started."""
        ...

    def launch(self, address: str, *, console: Path) -> None:
        """Start an enclave that will listen at `address`; return at once. Raises `LaunchError`."""
        ...

    def connect(self, address: str, *, timeout_s: float) -> socket.socket:
        """A connected stream socket to the enclave at `address`, or `OSError`."""
        ...

    def is_alive(self, address: str) -> bool:
        """Whether something that was launched at `address`, now or before a restart, still runs."""
        ...

    def end(self, address: str) -> None:
        """End what runs at `address`, if anything does, and remove its traces."""
        ...
