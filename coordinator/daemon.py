"""The coordinator put together: state, relay, supervisor and service, from recovery to a graceful end."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from coordinator import log
from coordinator.bringing import Bringing
from coordinator.deposits import Deposits
from coordinator.enclaves import Enclaves
from coordinator.errors import CannotServeError
from coordinator.intake import Intake
from coordinator.jobs import Job
from coordinator.keeping import Keeping
from coordinator.kms.forwarder import Forwarder
from coordinator.kms.services import KeyServices
from coordinator.launchers import Launcher
from coordinator.quotas import Quotas
from coordinator.relay import Relay
from coordinator.runs import Runs
from coordinator.server import Server, Transport
from coordinator.service import CoordinatorService, Parts
from coordinator.store import Store
from coordinator.supervisor import Hears, Supervisor

_DATABASE: Final = "coordinator.sqlite"
_CONSOLES: Final = "consoles"
_LOCK: Final = "lock"


@dataclass(frozen=True)
class DaemonOptions:
    """What a coordinator is told when it starts."""

    state: Path
    """Everything that it remembers; created if missing, used by one coordinator at a time."""
    transport: Transport
    quotas: Quotas = field(default_factory=Quotas)
    operators: frozenset[str] = frozenset()
    """Callers who may close any job and remove any deposit."""
    key_services: KeyServices | None = None
    """None: requests of enclaves for keys are not carried anywhere."""


class Daemon:
    """One coordinator. `start` recovers and serves; `stop` ends it."""

    def __init__(self, options: DaemonOptions, launcher: Launcher) -> None:
        self._held = _hold(options.state)
        self._store = Store(options.state / _DATABASE, options.quotas)
        enclaves = Enclaves(launcher)
        intake = Intake(options.quotas)
        self._keeping = Keeping(self._store, enclaves)
        self._relay = Relay(options.state, self._store, enclaves, intake, self._keeping)
        self._deposits = Deposits(options.state, self._store, intake, on_complete=self._on_deposit)
        self._bringing = Bringing(
            self._store,
            enclaves,
            self._relay,
            self._deposits,
            forwarder=_forwarder(options.key_services, enclaves),
            keeping=self._keeping,
        )
        self._runs = Runs(self._store, enclaves, self._keeping)
        self._supervisor = Supervisor(
            self._store,
            launcher,
            enclaves,
            self._keeping,
            consoles=options.state / _CONSOLES,
            hears=Hears(
                waiting=self._bringing.keep,
                running=self._on_running,
                restarting=self._bringing.start_over,
                over=self._on_over,
            ),
        )
        service = CoordinatorService(
            Parts(
                store=self._store,
                relay=self._relay,
                deposits=self._deposits,
                bringing=self._bringing,
                runs=self._runs,
                enclaves=enclaves,
                keeping=self._keeping,
                supervisor=self._supervisor,
                launcher_name=launcher.name,
                operators=options.operators,
            )
        )
        self._server = Server(service, options.transport)

    def start(self) -> list[str]:
        """Take up where the last process ended, then serve; the addresses that are listened on."""
        addresses = self._server.listen()
        self._relay.recover([job for job in self._store.jobs.all() if job.is_living])
        self._deposits.recover()
        self._supervisor.recover()
        self._server.start()
        log.event("serving", addresses=", ".join(addresses))
        return addresses

    def stop(self, *, keep_enclaves: bool) -> None:
        """Take no more calls, end the enclaves or leave them for the next coordinator, close the files."""
        self._server.stop()
        self._runs.stop()
        self._bringing.stop()
        self._supervisor.stop(keep_enclaves=keep_enclaves)
        self._store.close()
        os.close(self._held)
        log.event("stopped", enclaves="kept" if keep_enclaves else "ended")

    def _on_running(self, job: Job) -> None:
        self._relay.resume(job)
        self._runs.resume(job)
        self._bringing.keep(job)

    def _on_over(self, job: Job) -> None:
        self._bringing.end(job)
        self._relay.drop(job)

    def _on_deposit(self, agreement_digest: bytes) -> None:
        self._bringing.wake(agreement_digest)


def _forwarder(key_services: KeyServices | None, enclaves: Enclaves) -> Forwarder | None:
    if key_services is None:
        return None
    return Forwarder(key_services.allowlist, key_services.credentials, enclaves)


def _hold(state: Path) -> int:
    """Be the only coordinator of this state folder until the process ends, however it ends."""
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(state / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CannotServeError(
            f"{state}: {error.strerror}", hint="give another folder with --state"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise CannotServeError(
            f"{state}: another coordinator uses this state",
            hint="end that one first, or give another folder with --state",
        ) from None
    return descriptor
