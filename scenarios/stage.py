"""Where a scenario is played: a folder with a home for everybody, a table in the middle, and a coordinator.

Nothing is shared but what lies on the table: public keys, the agreement, approvals, and the root of trust
of the enclaves. Whatever happens on the stage, leaving it ends every process that was started there, the
enclaves included, which are made to outlive a coordinator that falls over.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final

from scenarios.errors import ScenarioError
from scenarios.interrupts import deferred
from scenarios.place import SIMULATED, UNSAFE_EMULATOR, Place
from scenarios.role import Command, Role

COORDINATOR: Final = "coordinator"
OPERATOR: Final = "operator"
START_TIMEOUT_S: Final = 60
END_TIMEOUT_S: Final = 20.0
_SERVING: Final = "coordinator: serving at "
_POLL_S: Final = 0.05


class Stage:
    """The folder and everybody in it. A context manager; leaving it ends what was started.

    `people` are the ids of parties and analysts. The coordinator runs on this computer, at any free port.
    `place` is where its enclaves live. By `trust` everybody's commands are told what vouches for these: the
    root that lies on the table as `root`, or nothing at all.
    """

    def __init__(self, folder: Path, people: Mapping[str, str], *, place: Place = SIMULATED) -> None:
        self.place = place
        self.folder = folder.absolute()
        self.table = self.folder / "table"
        self.root = self.table / "root.pem"
        self.trust = UNSAFE_EMULATOR if place.root is None else ("--root", str(self.root))
        self._certified = (*people, COORDINATOR, OPERATOR)
        self.roles = {name: Role(name, self.folder / name) for name in self._certified}
        self.table.mkdir(parents=True, exist_ok=True)
        # Enclaves listen at Unix sockets, whose paths must be short; `folder` may be anywhere.
        self._sockets = Path(tempfile.mkdtemp(prefix="concordat-"))
        self[COORDINATOR].settings["TMPDIR"] = str(self._sockets)

    def __getitem__(self, role_id: str) -> Role:
        return self.roles[role_id]

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def add(self, role_id: str) -> Role:
        """Somebody beside the people, who has no certificate for the coordinator."""
        self.roles[role_id] = Role(role_id, self.folder / role_id)
        return self.roles[role_id]

    def hand_out_certificates(self) -> None:
        """A development authority signs a certificate for everybody; each gets their own key and no other."""
        made = self.folder / "authority"
        self[OPERATOR].run("tls", "dev", made, *self._certified)
        for role in map(self.__getitem__, self._certified):
            folder = role.home / "tls"
            folder.mkdir(mode=0o700)
            shutil.copy(made / "ca.pem", folder)
            for suffix in (".pem", ".key.pem"):
                shutil.move(made / f"{role.id}{suffix}", folder)
            role.settings["CONCORDAT_TLS"] = str(folder)

    def start_coordinator(self, *options: str | Path) -> str:
        """Starts the coordinator and gives its address once it serves. Raises `ScenarioError`."""
        role = self[COORDINATOR]
        log = role.home / "log"
        serving = role.begin(
            *("coordinator", "serve", "--listen", "127.0.0.1:0", *self.place.serve),
            *("--state", role.home / "state", "--tls", role.home / "tls", "--operator", OPERATOR),
            *options,
            log=log,
        )
        address = _address(serving, log)
        for someone in self.roles.values():
            someone.settings["CONCORDAT_COORDINATOR"] = address
        return address

    def stop_coordinator(self) -> None:
        """Ends the coordinator as its operator would; nobody can reach it any more."""
        self[COORDINATOR].end()
        for someone in self.roles.values():
            someone.settings.pop("CONCORDAT_COORDINATOR", None)

    def machines(self) -> list[int]:
        """Process ids of the machines that still run here."""
        return list(self._running_machines())

    def end(self) -> None:
        """Ends every process: commands, the coordinator, and any enclave that it has left behind."""
        with deferred():
            for role in reversed(self.roles.values()):
                role.end()
            for pid in self.machines():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
            deadline_s = time.monotonic() + END_TIMEOUT_S
            while self.machines() and time.monotonic() < deadline_s:
                time.sleep(_POLL_S)
            shutil.rmtree(self._sockets, ignore_errors=True)

    def _running_machines(self) -> Iterator[int]:
        for noted in self._sockets.glob("*/machine.pid"):
            with contextlib.suppress(OSError, ValueError):
                pid = int(noted.read_text())
                # The note of a machine that was killed stays behind, and its number may be another's now.
                if os.fsencode(noted.parent) in Path(f"/proc/{pid}/cmdline").read_bytes():
                    yield pid


def _address(serving: Command, log: Path) -> str:
    """HOST:PORT, from the line with which the coordinator says that it serves."""
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while True:
        has_ended = serving.process.poll() is not None
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        for line in lines:
            if line.startswith(_SERVING):
                return line.removeprefix(_SERVING).partition(" ")[0]
        if has_ended or time.monotonic() > deadline_s:
            raise ScenarioError("the coordinator did not start", hint="; ".join(lines[-2:]) or None)
        time.sleep(_POLL_S)
