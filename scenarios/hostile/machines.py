"""Real enclaves in SIMULATED machines, driven over their sockets by somebody who may send them anything.

A machine is booted by command line, as the honest coordinator does. Besides the genuine image there is one
with a changed line of code, and the genuine one in debug mode. Raises `ScenarioError`, and whatever the
enclave link raises when an enclave says no.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from coordinator.enclave_link import EnclaveLink
from coordinator.enclaves import bind, status_of
from coordinator.launchers.local import LocalLauncher
from protos.formats.calls import Op
from protos.formats.canonical import decode_untrusted
from protos.formats.frames import Frame
from protos.formats.limits import FRAME_BODY_MAX_BYTES
from scenarios.errors import ScenarioError
from scenarios.hostile.recordings import Delivery, Evidence, Pinned, SealedUpload
from scenarios.machine.cli import default_source

MEMORY_MIB: Final = 4096
BOOT_TIMEOUT_S: Final = 60
DEADLINE_S: Final = 60
_POLL_S: Final = 0.05
_PACKAGES: Final = ("enclave_compute", "protos")
_CHANGED_FILE: Final = "enclave_compute/disclosure.py"
_CHANGED_FROM, _CHANGED_TO = ">= {threshold.required_units}", ">= 0"
"""One line of the enclave, which then holds no row back."""


class Enclave:
    """One enclave and the parent's end of its socket. The machine may still be booting."""

    def __init__(self, launcher: LocalLauncher, address: str, console: Path) -> None:
        self._launcher = launcher
        self._address = address
        self._console = console
        self._is_up = False

    def bind(self, pinned: Pinned) -> None:
        """Binds it for life."""
        with self._link() as link:
            bind(link, agreement=pinned.agreement, approvals=list(pinned.approvals), deadline_s=DEADLINE_S)

    def attest(self, nonce: bytes) -> Evidence:
        """A document for `nonce`, and the keys that it vouches for."""
        body = self.call(Op.ATTEST, nonce=nonce).body
        return Evidence(**decode_untrusted(body, max_bytes=FRAME_BODY_MAX_BYTES, what="evidence"))

    def take(self, upload: SealedUpload) -> bytes:
        """Hands over a whole upload, part by part as it stands there; the signed acceptance."""
        name = upload.upload_id
        self.call(Op.BEGIN, upload.signed_header, dataset=upload.dataset, upload=name)
        for part in upload.parts:
            self.call(Op.CHUNK, part.sealed, upload=name, number=part.number, last=part.last)
        return self.call(Op.FINISH, upload.signed_manifest, upload=name).body

    def run(self, run_id: bytes, signed_request: bytes) -> None:
        """Carries out a run."""
        self.call(Op.RUN, signed_request, run=run_id)

    def delivery(self, run_id: bytes, receiver: str) -> Delivery:
        """What a run released for one receiver."""
        receipt = self.call(Op.RECEIPT, run=run_id).body
        return Delivery(receipt, self.call(Op.RESULT, run=run_id, receiver=receiver).body)

    def end(self) -> None:
        """Ends the machine."""
        self._launcher.end(self._address)

    def call(self, op: Op, body: bytes = b"", **fields: int | str | bytes) -> Frame:
        """One call, which may be any."""
        with self._link() as link:
            return link.call(op, deadline_s=DEADLINE_S, body=body, **fields)

    @contextlib.contextmanager
    def _link(self) -> Iterator[EnclaveLink]:
        if not self._is_up:
            self._wait_until_up()
        link = EnclaveLink(self._launcher.connect(self._address, timeout_s=DEADLINE_S))
        try:
            yield link
        finally:
            link.close()

    def _wait_until_up(self) -> None:
        deadline_s = time.monotonic() + BOOT_TIMEOUT_S
        while not self._is_up:
            if not self._launcher.is_alive(self._address) or time.monotonic() > deadline_s:
                said = self._console.read_text(errors="replace").strip().splitlines()[-1:]
                raise ScenarioError("an enclave did not start", hint=f"its machine said: {said}")
            with contextlib.suppress(OSError):
                link = EnclaveLink(self._launcher.connect(self._address, timeout_s=DEADLINE_S))
                status_of(link, deadline_s=DEADLINE_S)
                link.close()
                self._is_up = True
            time.sleep(_POLL_S)


class Machines:
    """All machines of one play; a context manager that ends them."""

    def __init__(self, folder: Path, *, state: Path | None = None) -> None:
        """Works on a copy of the enclave's code in `folder`, so that everybody measures the same files.

        `state` is a simulator's whose root vouches for the machines; one of their own if None.
        """
        self.state: Final = state or folder / "simulator"
        self.source: Final = folder / "source"
        self._altered: Final = folder / "altered"
        self._consoles: Final = folder / "consoles"
        self._enclaves: list[Enclave] = []
        for package in _PACKAGES:
            _copy(default_source() / package, self.source / package)
        self._consoles.mkdir(exist_ok=True)

    def __enter__(self) -> Machines:
        return self

    def __exit__(self, *_: object) -> None:
        while self._enclaves:
            self._enclaves.pop().end()

    def genuine(self) -> Enclave:
        """The image that was agreed on."""
        return self._boot(self.source)

    def debug(self) -> Enclave:
        """The same image in debug mode, where the operator reads the console."""
        return self._boot(self.source, "--debug")

    def altered(self) -> Enclave:
        """The image with one changed line."""
        return self._boot(self.altered_source())

    def altered_source(self) -> Path:
        """The code of that image."""
        if not self._altered.exists():
            shutil.copytree(self.source, self._altered)
            path = self._altered / _CHANGED_FILE
            text = path.read_text(encoding="utf-8")
            if _CHANGED_FROM not in text:
                raise ScenarioError(f"{_CHANGED_FILE} has no {_CHANGED_FROM!r} to change")
            path.write_text(text.replace(_CHANGED_FROM, _CHANGED_TO, 1), encoding="utf-8")
        return self._altered

    def _boot(self, source: Path, *options: str) -> Enclave:
        command = (sys.executable, "-m", "scenarios.machine", "run")
        where = ("--state", str(self.state), "--source", str(source), "--memory-mib", str(MEMORY_MIB))
        launcher = LocalLauncher((*command, *where, *options))
        console = self._consoles / f"{len(self._enclaves)}.log"
        address = launcher.new_address()
        launcher.launch(address, console=console)
        self._enclaves.append(Enclave(launcher, address, console))
        return self._enclaves[-1]


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
