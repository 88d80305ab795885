"""One folder: a home for everybody, an agreement that all have signed, a coordinator that can be killed.

Nothing in it is pretended: the coordinator is the program that ships, with mutual TLS, its enclaves are
simulated machines that it launches, and the agreement pins the code that they run. Leaving it ends every
process that was started for it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final

from party_client.agreements.agreement_file import save_agreement
from party_client.attestation import TrustedRoots
from party_client.client import Client
from party_client.identity import Identity
from party_client.tls import make_development_certificates
from protos.formats.agreement import Agreement
from protos.formats.participants import Release
from scenarios.machine.measure import measure
from scenarios.machine.pki import fingerprint, load_or_create_root, root_path
from scenarios.role import PACKAGES, Command, Role

COORDINATOR: Final = "coordinator"
WAIT_S: Final = 60.0
_POLL_S: Final = 0.002
# Below the numbers that outgoing connections get: nobody takes it while the coordinator is away.
_PORTS: Final = range(20_000, 30_000)


class Premises:
    """A context manager; `start` has a coordinator serve, and puts the agreement in force on its board."""

    def __init__(
        self, folder: Path, people: Sequence[Identity], agree: Callable[[Release], Agreement]
    ) -> None:
        """`agree` makes the agreement for the release that this machine's enclaves run."""
        self.folder: Final = folder.absolute()
        self.people: Final = {identity.id: identity for identity in people}
        self.simulator: Final = self.folder / "simulator"
        authority = load_or_create_root(self.simulator)
        self.root: Final = root_path(self.simulator)
        measured = measure(PACKAGES)
        release = Release("local", **vars(measured), root_sha256=fingerprint(authority.certificate))
        self.agreement: Final = agree(release)
        self.agreement_file: Final = self.folder / "signed.agreement"
        save_agreement(self.agreement_file, self.agreement)
        # Enclaves listen at Unix sockets, whose paths must be short; `folder` may be anywhere.
        self.sockets: Final = Path(tempfile.mkdtemp(prefix="concordat-"))
        self.roles: Final = {name: Role(name, self.folder / name) for name in (*self.people, COORDINATOR)}
        self.address: Final = f"127.0.0.1:{_free_port()}"
        self.state: Final = self.folder / COORDINATOR / "state"
        self.options: tuple[str, ...] = ()
        """What the coordinator is started with beside the usual."""
        self._serving: Command | None = None
        self._starts = 0
        self._furnish()

    def __enter__(self) -> Premises:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    @contextlib.contextmanager
    def client(self, identity_id: str) -> Iterator[Client]:
        """A client of this person's, in this process."""
        roots = TrustedRoots.from_pem(self.root.read_bytes(), name="simulated")
        home = self.roles[identity_id].home
        with Client.connect(
            self.address,
            identity=self.people[identity_id],
            tls=home / "tls",
            roots=roots,
            state=home / "state",
        ) as client:
            yield client

    def put_agreement(self) -> None:
        """The agreement and the approval of every party are on the coordinator's board."""
        for party in self.agreement.parties:
            with self.client(party.id) as client:
                client.put_agreement(self.agreement)
                client.approve(self.agreement)

    # --- The coordinator --------------------------------------------------------------------------------

    def start_coordinator(self) -> None:
        """Always the same command; returns when it serves."""
        self._starts += 1
        role = self.roles[COORDINATOR]
        log = role.home / f"log-{self._starts}"
        self._serving = role.begin(
            *("coordinator", "serve", "--listen", self.address, "--launcher", "local"),
            *("--state", str(self.state), "--simulator", str(self.simulator)),
            *("--tls", str(role.home / "tls")),
            *self.options,
            log=log,
        )
        process = self._serving.process
        until(
            lambda: b"coordinator: serving at " in log.read_bytes() or process.poll() is not None,
            "the coordinator serves",
        )
        if process.poll() is not None:
            raise AssertionError(f"the coordinator did not start: {log.read_text()}")

    @property
    def coordinator_pid(self) -> int:
        """Of the one that was started last."""
        assert self._serving is not None
        return self._serving.process.pid

    def kill_coordinator(self) -> None:
        """SIGKILL, and nothing is tidied up."""
        assert self._serving is not None
        self._serving.process.kill()
        self._serving.process.wait()

    def stop_coordinator(self) -> None:
        """As its operator would."""
        self.roles[COORDINATOR].end()

    # --- Processes --------------------------------------------------------------------------------------

    def machines(self) -> list[int]:
        """Process ids of the simulated machines that run, the oldest first."""
        return [pid for pid in processes() if b"scenarios.machine" in self._own(pid)]

    def enclaves(self) -> list[int]:
        """Process ids of the enclaves that run, the oldest machine's first."""
        return [pid for machine in self.machines() for pid in children(machine)]

    def kill(self, pid: int) -> None:
        """SIGKILL to one of these."""
        os.kill(pid, signal.SIGKILL)

    def strangers(self) -> list[str]:
        """Command lines of all that still runs for this folder, apart from the coordinator."""
        known = {os.getpid(), 0 if self._serving is None else self._serving.process.pid}
        found = (self._own(pid) for pid in processes() if pid not in known)
        return [command.replace(b"\0", b" ").decode(errors="replace") for command in found if command]

    def end(self) -> None:
        """Ends everything; the folder stays."""
        for role in self.roles.values():
            role.end()
        while machines := self.machines():
            for machine in machines:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(machine, signal.SIGKILL)
            time.sleep(_POLL_S)
        shutil.rmtree(self.sockets, ignore_errors=True)

    def _own(self, pid: int) -> bytes:
        """The command line of a process that has to do with this folder; empty for any other."""
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return b""
        return command if any(os.fsencode(path) in command for path in (self.folder, self.sockets)) else b""

    def _furnish(self) -> None:
        authority = self.folder / "authority"
        make_development_certificates(authority, [*self.roles], now=datetime.now(UTC))
        for role in self.roles.values():
            tls = role.home / "tls"
            tls.mkdir(mode=0o700)
            for file in (authority / "ca.pem", *authority.glob(f"{role.id}.*pem")):
                shutil.copy(file, tls)
            role.settings |= {"CONCORDAT_COORDINATOR": self.address, "CONCORDAT_TLS": str(tls)}
            if role.id in self.people:
                self.people[role.id].save(role.home / f"{role.id}.key")
        self.roles[COORDINATOR].settings["TMPDIR"] = str(self.sockets)


def until(condition: Callable[[], object], what: str, *, within_s: float = WAIT_S) -> None:
    """Returns when `condition` holds; fails if it does not in time."""
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s, f"not within {within_s:.0f} s: {what}"
        time.sleep(_POLL_S)


def processes() -> list[int]:
    """All process ids, the lowest first."""
    return sorted(int(entry.name) for entry in Path("/proc").glob("[0-9]*"))


def children(parent: int) -> list[int]:
    """Process ids of the children of a process."""
    found = []
    for pid in processes():
        with contextlib.suppress(OSError):
            # The name in brackets may hold anything, closing brackets too.
            status = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
            if int(status[1]) == parent and status[0] != b"Z":
                found.append(pid)
    return found


def _free_port() -> int:
    first = os.getpid() % len(_PORTS)
    for port in (*_PORTS[first:], *_PORTS[:first]):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return int(port)
    raise AssertionError("no free port")
