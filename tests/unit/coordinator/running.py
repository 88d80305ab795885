"""A coordinator in the process of the test, served on a real socket, with fake enclaves in threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from coordinator.daemon import Daemon, DaemonOptions
from coordinator.kms.services import KeyServices
from coordinator.quotas import Quotas
from coordinator.server import Transport
from protos.v1.concordat_pb2_grpc import CoordinatorStub
from tests.unit.coordinator.fake_enclave import FakeEnclave
from tests.unit.coordinator.thread_launcher import ThreadLauncher

SMALL_QUOTAS = Quotas(
    agreements=3, deposits=3, jobs=2, streams=1, upload_bytes=500_000, spool_bytes=800_000, runs_at_once=2
)


@dataclass
class Running:
    stub: Any
    channel: grpc.Channel
    launcher: ThreadLauncher
    state: Path
    daemon: Daemon

    def spools(self) -> list[str]:
        return sorted(path.name for path in (self.state / "spool").glob("*/*"))

    def kept(self) -> list[str]:
        """Files of deposits."""
        return sorted(path.name for path in (self.state / "deposits").glob("*/*"))


@contextmanager
def running_coordinator(
    state: Path,
    *,
    key_services: KeyServices | None = None,
    enclave_class: type[FakeEnclave] = FakeEnclave,
) -> Iterator[Running]:
    launcher = ThreadLauncher(enclave_class)
    transport = Transport.plaintext(("127.0.0.1:0",))
    daemon = Daemon(DaemonOptions(state, transport, SMALL_QUOTAS, key_services=key_services), launcher)
    (address,) = daemon.start()
    with grpc.insecure_channel(address) as channel:
        yield Running(CoordinatorStub(channel), channel, launcher, state, daemon)  # type: ignore[no-untyped-call]
    daemon.stop(keep_enclaves=False)
