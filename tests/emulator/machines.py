"""Boots an enclave image in the emulator, by the coordinator's own launcher, and reaches its ports."""

from __future__ import annotations

import functools
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coordinator.enclave_link import EnclaveLink
from coordinator.launchers.qemu import QemuLauncher, QemuOptions, connect_through
from tests.emulator import probe

BOOT_WITHIN_S = 180.0
CALL_WITHIN_S = 60.0
_POLL_S = 0.1


@dataclass
class Booted:
    """A machine whose enclave answers."""

    launcher: QemuLauncher
    address: str
    console: Path
    launched_s: float
    """By the monotonic clock."""

    @functools.cached_property
    def first_report(self) -> dict[str, Any]:
        """The report before anything was tried twice."""
        return self.report()

    def connect(self, port: int = 5000) -> socket.socket:
        """A stream to a port of the enclave, or `OSError`."""
        return connect_through(self.address, port=port, timeout_s=CALL_WITHIN_S)

    def link(self) -> EnclaveLink:
        """As the coordinator talks to it."""
        return EnclaveLink(self.connect())

    def report(self) -> dict[str, Any]:
        """What the probe of a test image sees from inside."""
        with self.connect(probe.PORT) as stream:
            line = stream.makefile("rb").readline()
        found: dict[str, Any] = json.loads(line)
        assert "error" not in found, found
        return found


def emulator() -> Path:
    """The folder of the emulator, as `make test-qemu` says."""
    return Path(os.environ["CONCORDAT_EMULATOR"])


def image() -> Path:
    """The image under test, as `make test-qemu` says."""
    return Path(os.environ["CONCORDAT_EIF"])


@contextmanager
def booted(eif: Path, folder: Path, *, memory_mib: int = 1024, vcpus: int = 2) -> Iterator[Booted]:
    """A machine that runs `eif` until the context is left."""
    launcher = QemuLauncher(QemuOptions(emulator(), eif, memory_mib, vcpus))
    address, console = launcher.new_address(), folder / "console"
    began_s = time.monotonic()
    launcher.launch(address, console=console)
    try:
        _wait(launcher, address, console, began_s + BOOT_WITHIN_S)
        yield Booted(launcher, address, console, began_s)
    finally:
        launcher.end(address)


def _wait(launcher: QemuLauncher, address: str, console: Path, until_s: float) -> None:
    while True:
        try:
            launcher.connect(address, timeout_s=CALL_WITHIN_S).close()
        except OSError:
            said = console.read_text(errors="replace") if console.exists() else ""
            assert launcher.is_alive(address), f"the machine ended: {said[-4000:]}"
            assert time.monotonic() < until_s, f"it does not boot: {said[-4000:]}"
            time.sleep(_POLL_S)
        else:
            return
