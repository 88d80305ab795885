"""The whole way in one process: real gRPC, the real coordinator, real enclave code under a simulated NSM.

Only the machine is left out: enclaves are threads here, not confined processes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from coordinator.daemon import Daemon, DaemonOptions
from coordinator.deadlines import Deadlines
from coordinator.server import Transport
from enclave_compute.server import Server
from party_client.agreements import sign
from party_client.agreements.agreement_file import save_agreement
from party_client.client import Client, utc_now
from protos.formats.agreement import Agreement
from scenarios.machine.documents import DocumentSigner
from scenarios.machine.pki import fingerprint, load_or_create_root
from tests.world import ADVERTISER, ANALYST, PUBLISHER, agreement, purchases, simulated_enclave, visits


class ThreadMachines:
    """A `Launcher`: each enclave is a thread, with the root of trust that is kept in `state`."""

    name = "threads (SIMULATED)"
    deadlines = Deadlines()

    def __init__(self, state: Path, signer_class: type[DocumentSigner]) -> None:
        self.state = state
        self.signer_class = signer_class
        self._ends: dict[str, threading.Event] = {}

    def new_address(self) -> str:
        return str(Path(tempfile.mkdtemp(prefix="concordat-test-")) / "enclave.sock")

    def launch(self, address: str, *, console: Path) -> None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(address)
        listener.listen()
        self._ends[address] = threading.Event()
        threading.Thread(target=self._serve, args=(address, listener), daemon=True).start()

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
        return address in self._ends and not self._ends[address].is_set()

    def end(self, address: str) -> None:
        shutil.rmtree(Path(address).parent, ignore_errors=True)

    def _serve(self, address: str, listener: socket.socket) -> None:
        with listener, simulated_enclave(self.state, signer_class=self.signer_class) as enclave:
            Server(enclave.life, listener, parent_cids=()).serve()
        self._ends[address].set()


Command = Callable[..., tuple[int, str, str]]
"""A typed command: (exit status, standard output, standard error)."""


@dataclass(frozen=True)
class Stack:
    """A served coordinator and the files that its users have."""

    folder: Path
    address: str
    agreement: Agreement

    @property
    def agreement_file(self) -> Path:
        """Compiled and signed by nobody yet."""
        return self.folder / "reach.agreement"

    @property
    def root_file(self) -> Path:
        """The simulator's root, PEM."""
        return self.folder / "machine" / "root.pem"

    def agree(self) -> None:
        """The agreement is handed in, and both parties sign it."""
        with Client.connect(self.address, identity=PUBLISHER) as client:
            client.put_agreement(self.agreement)
            for party in (PUBLISHER, ADVERTISER):
                approval = sign(self.agreement, party, now=utc_now())
                client.coordinator.put_approval(self.agreement.digest(), approval)

    def key(self, who: str) -> Path:
        """The private identity of somebody."""
        return self.folder / f"{who}.key"

    @property
    def connection(self) -> list[str]:
        """The options with which commands reach the coordinator."""
        return ["--coordinator", self.address, "--plaintext"]

    @property
    def trust(self) -> list[str]:
        """The option with which commands believe the simulator."""
        return ["--root", str(self.root_file)]


@contextlib.contextmanager
def whole_stack(
    folder: Path,
    *,
    tls: Path | None = None,
    change: Callable[[Agreement], Agreement] = lambda agreed: agreed,
    signer_class: type[DocumentSigner] = DocumentSigner,
) -> Iterator[Stack]:
    """A coordinator on a free port of this machine, ended with its enclaves; in plaintext without `tls`.

    Documents of its enclaves are made by a `signer_class`.
    """
    root = load_or_create_root(folder / "machine").certificate
    roomy = {"max_rows": 10_000_000, "max_bytes": 10**10}
    agreed = agreement(
        fingerprint(root),
        datasets=(replace(visits(), **roomy), replace(purchases(), **roomy)),  # type: ignore[arg-type]
    )
    agreed = change(agreed)
    for person in (PUBLISHER, ADVERTISER, ANALYST):
        person.save(folder / f"{person.id}.key")
    save_agreement(folder / "reach.agreement", agreed)
    listen = ("127.0.0.1:0",)
    transport = Transport.plaintext(listen) if tls is None else Transport.mutual_tls(listen, tls)
    options = DaemonOptions(folder / "coordinator", transport)
    daemon = Daemon(options, ThreadMachines(folder / "machine", signer_class))
    (address,) = daemon.start()
    try:
        yield Stack(folder, address, agreed)
    finally:
        daemon.stop(keep_enclaves=False)


def environment() -> dict[str, str]:
    """For a command in a process of its own."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "NO_COLOR": "1"}
