"""An honest run, then every treachery in turn, then an honest run again through what all of that left behind.

Everything is real but the machine: enclaves are processes, parties use their client, calls go through gRPC.
Each treachery meets the same second job; the first is where the coordinator got its recordings.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coordinator.server import Server, Transport
from enclave_compute.image.release import release_toml
from protos.formats.errors import ConcordatError
from scenarios.hostile.holdings import Holdings
from scenarios.hostile.machines import Machines
from scenarios.hostile.mischief import Mischief, Refuser, Step
from scenarios.hostile.mischiefs import ALL
from scenarios.hostile.people import People
from scenarios.hostile.service import HostileService
from scenarios.machine.cli import release_of
from scenarios.machine.pki import root_path

HONEST: Final = Mischief()
_RELEASE: Final = "simulated-local"
_BEFORE_DATA: Final = frozenset({Step.READ, Step.START, Step.SEND})


@dataclass(frozen=True)
class Attempt:
    """What became of one mischief."""

    mischief: Mischief
    error: ConcordatError | None
    """What a person saw; None when nobody refused anything."""
    enclave_said: str = ""
    """The code with which an enclave refused meanwhile, if one did."""

    @property
    def refuser(self) -> Refuser | None:
        """Who refused, if anybody did. It was the enclave if it said so and the person was told."""
        if self.error is None:
            return None
        told = self.enclave_said and self.enclave_said in self.error.message
        return Refuser.ENCLAVE if told else Refuser.CLIENT

    @property
    def code(self) -> str:
        """The code of the refusal: the enclave's if it was its, else that of the client's error."""
        if self.error is None:
            return ""
        return self.enclave_said if self.refuser is Refuser.ENCLAVE else self.error.code

    @property
    def as_expected(self) -> bool:
        """An honest coordinator is refused nothing; a treachery is refused by whom and as it should be."""
        if self.mischief.is_honest:
            return self.error is None
        return (self.refuser, self.code) == (self.mischief.refuser, self.mischief.code)


@dataclass(frozen=True)
class Play:
    """One coordinator and everybody whom it cheats. `prepared` makes it."""

    holdings: Holdings
    service: HostileService
    people: People
    address: str
    """Where the coordinator listens."""

    def attempts(self, mischiefs: Sequence[Mischief] = ALL) -> Iterator[Attempt]:
        """Everything in order, each as soon as it has happened."""
        yield self._attempt(HONEST, self._first_job)
        job_id = self.people.start()
        yield from (self._cheat(item, job_id) for item in mischiefs if item.step in _BEFORE_DATA)
        self._send_all(job_id)
        self.people.compute(job_id)
        yield from (self._cheat(item, job_id) for item in mischiefs if item.step not in _BEFORE_DATA)
        yield self._attempt(HONEST, lambda: self.people.compute(job_id))

    def _first_job(self) -> None:
        self.people.agree()
        job_id = self.people.start()
        self._send_all(job_id)
        self.people.compute(job_id)

    def _send_all(self, job_id: str) -> None:
        for party in self.people.agreement.parties:
            self.people.send(job_id, party.id)

    def _cheat(self, mischief: Mischief, job_id: str) -> Attempt:
        return self._attempt(mischief, lambda: self.people.take(mischief.step, job_id))

    def _attempt(self, mischief: Mischief, step: Callable[[], object]) -> Attempt:
        self.service.mischief = mischief
        self.holdings.refusal = ""
        error = None
        try:
            step()
        except ConcordatError as caught:
            error = caught
        finally:
            self.service.mischief = HONEST
        return Attempt(mischief, error, self.holdings.refusal)


@contextlib.contextmanager
def prepared(folder: Path) -> Iterator[Play]:
    """Machines, coordinator and people, with their files in `folder`; all of it ends with the block."""
    with contextlib.ExitStack() as held:
        machines = held.enter_context(Machines(folder))
        # The root of the simulator is made here, before several machines would.
        release = release_toml(release_of(machines.state, machines.source, _RELEASE))
        holdings = Holdings(machines)
        service = HostileService(holdings)
        server = Server(service, Transport.plaintext(("127.0.0.1:0",)))
        (address,) = server.listen()
        server.start()
        held.callback(server.stop)
        people = People(
            folder / "people", address=address, release_toml=release, root=root_path(machines.state)
        )
        yield Play(holdings, service, held.enter_context(people), address)
