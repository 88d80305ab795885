"""Measures the image in the emulator against the SIMULATED enclave, in one run: `make bench-qemu`.

Boot until the enclave takes a connection, and until its first attestation document; how fast bytes go in
over the vsock; how long a question takes. The baseline is the same code as a process of this computer behind
a Unix socket, so the ratio is what emulation costs: it says nothing about AWS, where nothing is emulated.
"""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from coordinator.enclave_link import EnclaveLink
from coordinator.enclaves import bind
from coordinator.launchers.local import LocalLauncher, simulated_machine
from protos.formats.calls import Op
from tests import world
from tests.bench.measuring import MIB, spread
from tests.emulator.machines import booted, image

_DEADLINE_S: Final = 300.0
_BODY_BYTES: Final = MIB
_BODIES: Final = 64
_WINDOW: Final = 2
_QUESTIONS: Final = 100
_MEMORY_MIB: Final = 2048
_POLL_S: Final = 0.02


class Places:
    """Figures by what they are of, a list of rounds each, in two places."""

    def __init__(self) -> None:
        self.emulated: dict[str, list[float]] = {}
        self.simulated: dict[str, list[float]] = {}


def main() -> None:
    """Print everything."""
    rounds = int(os.environ.get("BENCH_ROUNDS", "3"))
    console, places = Console(width=110), Places()
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            with booted(image(), Path(folder)) as machine:
                _measure(machine.link(), machine.launched_s, places.emulated)
            with _local(Path(folder)) as (link, launched_s):
                _measure(link, launched_s, places.simulated)
    table = Table(title=f"{rounds} interleaved rounds: median [smallest - largest]", box=None)
    for heading in ("", "emulator", "SIMULATED", "ratio"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, emulated in places.emulated.items():
        pairs = list(zip(emulated, places.simulated[name], strict=True))
        ratios = [one / other for one, other in pairs]
        table.add_row(name, *(spread(values) for values in (*zip(*pairs, strict=True), ratios)))
    console.print(table)


def _measure(link: EnclaveLink, launched_s: float, into: dict[str, list[float]]) -> None:
    def note(name: str, value: float) -> None:
        into.setdefault(name, []).append(value)

    note("launch to first connection, s", time.monotonic() - launched_s)
    agreement = world.agreement(bytes(32))
    bind(link, deadline_s=_DEADLINE_S, agreement=agreement.encode(), approvals=world.approve(agreement))
    link.call(Op.ATTEST, deadline_s=_DEADLINE_S, nonce=secrets.token_bytes(32))
    note("launch to first attestation, s", time.monotonic() - launched_s)
    began_s, body = time.monotonic(), secrets.token_bytes(_BODY_BYTES)
    for _ in range(_BODIES):
        link.send(Op.STATUS, deadline_s=_DEADLINE_S, body=body)
        if link.in_flight == _WINDOW:
            link.receive(deadline_s=_DEADLINE_S)
    while link.in_flight:
        link.receive(deadline_s=_DEADLINE_S)
    note("bytes into the enclave, MiB/s", _BODIES * _BODY_BYTES / MIB / (time.monotonic() - began_s))
    began_s = time.monotonic()
    for _ in range(_QUESTIONS):
        link.call(Op.STATUS, deadline_s=_DEADLINE_S)
    note("question and answer, ms", (time.monotonic() - began_s) / _QUESTIONS * 1000)
    link.close()


@contextmanager
def _local(folder: Path) -> Iterator[tuple[EnclaveLink, float]]:
    """A SIMULATED enclave, and when it was launched."""
    launcher = LocalLauncher(simulated_machine(state=folder / "simulator", memory_mib=_MEMORY_MIB))
    address, launched_s = launcher.new_address(), time.monotonic()
    launcher.launch(address, console=folder / "console")
    try:
        yield EnclaveLink(_connected(launcher, address, launched_s + _DEADLINE_S)), launched_s
    finally:
        launcher.end(address)


def _connected(launcher: LocalLauncher, address: str, until_s: float) -> socket.socket:
    while True:
        try:
            return launcher.connect(address, timeout_s=_DEADLINE_S)
        except OSError:
            if time.monotonic() > until_s:
                raise
            time.sleep(_POLL_S)


if __name__ == "__main__":
    main()
