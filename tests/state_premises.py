"""A coordinator, its enclaves and a SIMULATED KMS that can be killed, under an agreement with state.

Nothing is pretended but the hardware and AWS: enclaves are confined processes that can be killed, and their
state's key comes from a KMS that looks at their documents.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from party_client.attestation import TrustedRoots
from party_client.cli.kms_text import plan_facts
from party_client.client import Client
from party_client.kms import plan
from party_client.kms.terms import Place, key_terms
from party_client.witnessing import Decided
from protos.formats.agreement import Agreement, Limits
from protos.formats.kms import KeyService, StateTerms
from protos.formats.participants import Release
from protos.release.history import agreed_releases
from protos.v1 import concordat_pb2 as wire
from scenarios.kms.planned import read_plan_untrusted
from scenarios.machine.pki import load_or_create_root, root_path
from tests import kms_world, world
from tests.chaos.premises import Premises, until
from tests.errands_world import service_of
from tests.kms_world import ADMINISTRATOR, ENCLAVE_ROLE, KmsWorld

WITNESSES = ("advertiser", "publisher")
PARENT = "arn:aws:iam::444455556666:role/parent"
_WITHIN_S = 90.0


def agreement(release: Release, service: KeyService, *, tick_s: int = 0) -> Agreement:
    """That of `world` for this machine's enclaves, with state under the publisher's key."""
    return world.agreement(
        release.root_sha256,
        releases=(release,),
        limits=Limits(memory_mib=512, threads=2, max_runs=5, tick_s=tick_s),
        state=StateTerms("publisher", service, WITNESSES),
    )


@dataclass
class StatePremises:
    """Everybody, and what tests ask of them."""

    premises: Premises
    kms: KmsWorld
    job_id: str = ""

    @property
    def agreed(self) -> Agreement:
        return self.premises.agreement

    @contextlib.contextmanager
    def client(self, who: str) -> Iterator[Client]:
        with self.premises.client(who) as client:
            yield client

    def job(self) -> wire.Job:
        with self.client("analyst") as client:
            return client.coordinator.get_job(self.job_id)

    def start(self) -> None:
        """A job whose enclave waits for witnesses."""
        with self.client("analyst") as client:
            if self.job_id:
                client.coordinator.close_job(self.job_id)
            self.job_id = client.start_job(self.agreed)
        self.until_state(wire.JOB_STATE_WAITING)

    def witness(self, *who: str, decided: Decided | None = None) -> None:
        for name in who or WITNESSES:
            with self.client(name) as client:
                client.witness(self.job_id, self.agreed, decided=decided)

    def witness_by_command(self, who: str, *words: str) -> Any:
        """As somebody types it; what the command says, parsed."""
        role = self.premises.roles[who]
        return role.ask(
            *("job", "witness", self.job_id, "--agreement", str(self.premises.agreement_file)),
            *("--identity", str(role.home / f"{who}.key"), "--state", str(role.home / "state")),
            *("--root", str(self.premises.root), "--json", *words),
        )

    def restart_coordinator(self) -> None:
        """SIGKILL, and the same command again."""
        self.premises.kill_coordinator()
        self.premises.start_coordinator()

    def send(self) -> None:
        with self.client("publisher") as client:
            client.upload(self.job_id, self.agreed, "visits", world.VISITS.to_pandas())
        with self.client("advertiser") as client:
            client.upload(self.job_id, self.agreed, "purchases", world.PURCHASES.to_pandas())

    def ready(self) -> None:
        """A new job whose enclave has everything; under the same agreement a state begins anew."""
        self.start()
        self.witness(decided=Decided(anew=True))
        self.until_state(wire.JOB_STATE_RUNNING)
        self.send()

    def until_state(self, state: int) -> None:
        until(lambda: self.job().state == state, f"the job is {state}", within_s=_WITHIN_S)

    def until_complete(self) -> None:
        until(
            lambda: (slots := self.job().slots) and all(slot.complete for slot in slots),
            "every dataset is there again",
            within_s=_WITHIN_S,
        )

    def kill_enclave(self) -> None:
        """SIGKILL to the enclave that was started last; the job goes on with another one."""
        killed = self.premises.enclaves()[-1]
        os.kill(killed, signal.SIGKILL)
        until(
            lambda: killed not in self.premises.enclaves() and self.waits_for_all(),
            "another enclave waits",
            within_s=_WITHIN_S,
        )

    def waits_for_all(self) -> bool:
        job = self.job()
        return job.state == wire.JOB_STATE_WAITING and tuple(job.missing_witnesses) == WITNESSES

    def fetched(self, run_id: bytes) -> tuple[bytes, bytes]:
        """(receipt, sealed result) of the analyst, as they are kept."""
        with self.client("analyst") as client:
            return client.coordinator.fetch_result(self.job_id, run_id, "analyst", max_bytes=2**20)

    def runs_left(self) -> int:
        with self.client("publisher") as client:
            (query,) = client.budget(self.job_id, self.agreed).queries
        return next(window.left for window in query.windows if window.window == "query")

    def database(self) -> sqlite3.Connection:
        """The coordinator's, which does not run."""
        return sqlite3.connect(self.premises.state / "coordinator.sqlite")


@contextlib.contextmanager
def state_premises(folder: Path, *, tick_s: int = 0) -> Iterator[StatePremises]:
    """The agreement is in force, the key is in place, the coordinator serves."""
    home = folder / "premises"
    load_or_create_root(home / "simulator")
    anchors = TrustedRoots.from_pem(root_path(home / "simulator").read_bytes(), name="simulated")
    people = (world.PUBLISHER, world.ADVERTISER, world.ANALYST)
    with kms_world.running(folder / "kms", anchors=anchors) as kms:
        service = service_of(kms)
        with Premises(home, people, lambda release: agreement(release, service, tick_s=tick_s)) as premises:
            _put_key(kms, premises.agreement)
            premises.options = _key_options(folder, kms, service)
            premises.start_coordinator()
            premises.put_agreement()
            yield StatePremises(premises, kms)


def _put_key(kms: KmsWorld, agreed: Agreement) -> None:
    """The publisher's key for the state of this agreement, as it is planned."""
    place = Place(kms.store.account, kms.store.region, "enclave", (PARENT,), (ADMINISTRATOR,))
    terms = key_terms(
        agreed_releases(agreed), party="publisher", place=place, now=datetime.now(UTC), simulated=True
    )
    planned = read_plan_untrusted(json.dumps(plan_facts(plan(terms))).encode())
    planned.put_in(kms.store, now=kms.now())


def _key_options(folder: Path, kms: KmsWorld, service: KeyService) -> tuple[str, ...]:
    endpoints, credentials = folder / "endpoints.yaml", folder / "credentials.toml"
    endpoints.write_text(f"allowlist:\n- {{address: {service.host}, port: {service.port}}}\n")
    given: dict[str, Any] = vars(kms.credential(ENCLAVE_ROLE))
    names = ("access_key_id", "secret_access_key", "session_token")
    lines = [f"{name} = {json.dumps(given[name])}" for name in names if given[name] is not None]
    credentials.touch(0o600)
    credentials.write_text("\n".join([f'["{service.role_arn}"]', *lines, ""]))
    return "--kms-endpoints", str(endpoints), "--kms-credentials", str(credentials)
