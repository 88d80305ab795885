"""Parties leave their datasets with a coordinator and go; an enclave started later gets keys and computes.

Everything is what ships, but for AWS: the coordinator with its forwarder, confined enclaves in SIMULATED
machines, a SIMULATED KMS that judges their documents, the client's calls.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from coordinator.daemon import Daemon, DaemonOptions
from coordinator.kms.allowlist import Allowlist
from coordinator.kms.credentials import Credentials
from coordinator.kms.services import KeyServices
from coordinator.launchers.local import LocalLauncher, simulated_machine
from coordinator.server import Transport
from party_client.attestation import TrustedRoots
from party_client.client import Client
from party_client.transport import Coordinator
from protos.formats.agreement import Agreement
from protos.formats.participants import Release
from protos.v1 import concordat_pb2 as wire
from scenarios.machine.cli import default_source
from scenarios.machine.measure import measure
from scenarios.machine.pki import root_path
from tests import envelope_world, kms_world, world
from tests.errands_world import service_of
from tests.kms_world import ENCLAVE_ROLE, KmsWorld
from tests.unit.coordinator.calls import eventually
from tests.world import ANALYST, PURCHASES, VISITS, SealedUpload

OWNERS = {"visits": "publisher", "purchases": "advertiser"}


@dataclass(frozen=True)
class Roles:
    """Credentials of the enclave's role, as the SIMULATED KMS issues them."""

    kms: KmsWorld

    def get(self, role: str, region: str, agreement_digest: bytes, party: str) -> Credentials:
        assert role == ENCLAVE_ROLE
        issued = self.kms.credential(role)
        return Credentials(issued.access_key_id, issued.secret_access_key, issued.session_token)


@dataclass
class Waiting:
    """A coordinator at which both datasets wait, whose owners are gone."""

    kms: KmsWorld
    coordinator: Coordinator
    roots: TrustedRoots
    agreed: Agreement

    def fares(self) -> dict[str, str]:
        return {d.dataset: d.said for d in self.coordinator.list_deposits(self.agreed.digest())}

    def is_complete(self, job_id: str) -> bool:
        return {slot.complete for slot in self.coordinator.get_job(job_id).slots} == {True}


def deposit(coordinator: Coordinator, agreed: Agreement, upload: SealedUpload) -> None:
    digest, last = agreed.digest(), len(upload.chunks) - 1
    dataset = upload.header.context.dataset
    assert coordinator.begin_deposit(digest, dataset, upload.upload_id, upload.signed_header) == 0
    chunks = [
        wire.Chunk(
            agreement_digest=digest if number == 0 else b"",
            upload_id=upload.upload_id if number == 0 else b"",
            number=number,
            last=number == last,
            sealed=sealed,
        )
        for number, sealed in enumerate(upload.chunks)
    ]
    assert list(coordinator.upload_chunks(iter(chunks)))[-1] == len(chunks)
    coordinator.finish_deposit(digest, upload.upload_id, upload.signed_manifest)


@pytest.fixture(params=[True, False], ids=["this image", "another image"])
def waiting(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Waiting]:
    """The keys are for this image, or for another one."""
    with ExitStack() as stack:
        kms = stack.enter_context(kms_world.running(tmp_path))
        simulator = tmp_path / "simulator"
        measured = measure(default_source())
        pcrs = (measured.pcr0, measured.pcr1, measured.pcr2)
        stand_in = stack.enter_context(world.simulated_enclave(simulator, pcrs=pcrs))
        (root,) = stand_in.roots
        agreed = envelope_world.agreement(kms, root.sha256, releases=(Release("local", *pcrs, root.sha256),))
        agreed = replace(
            agreed, datasets=tuple(replace(dataset, kms=service_of(kms)) for dataset in agreed.datasets)
        )
        stand_in.bind(agreed)
        key = kms.key(envelope_world.key_policy(agreed, measured.pcr0 if request.param else world.PCRS[0]))
        envelope = envelope_world.Envelope(stand_in, kms, agreed, key)
        endpoints = frozenset({("localhost", int(kms.endpoint.rpartition(":")[2]))})
        daemon = Daemon(
            DaemonOptions(
                tmp_path / "state",
                Transport.plaintext(("127.0.0.1:0",)),
                key_services=KeyServices(Allowlist(endpoints), Roles(kms)),
            ),
            LocalLauncher(simulated_machine(state=simulator, memory_mib=2048)),
        )
        (address,) = daemon.start()
        stack.callback(daemon.stop, keep_enclaves=False)
        coordinator = stack.enter_context(Coordinator.in_plaintext(address))
        digest = coordinator.put_agreement(agreed.encode())
        for approval in world.approve(agreed):
            coordinator.put_approval(digest, approval)
        for dataset, table in (("visits", VISITS), ("purchases", PURCHASES)):
            data_key = envelope.data_key(party=OWNERS[dataset], dataset=dataset)
            upload = world.seal(
                agreed, stand_in.keys(), dataset, [table], data_key=data_key, enclave_id=None, kms_key=key
            )
            deposit(coordinator, agreed, upload)
        roots = TrustedRoots.from_pem(root_path(simulator).read_bytes(), name="simulated")
        yield Waiting(kms, coordinator, roots, agreed)


@pytest.mark.parametrize("waiting", [True], indirect=True, ids=["this image"])
def test_an_enclave_started_later_gets_the_keys_and_computes(waiting: Waiting) -> None:
    client = Client(waiting.coordinator, ANALYST, roots=waiting.roots)
    for _ in range(2):  # one enclave after another, with nobody sending anything again
        job_id = client.start_job(waiting.agreed)
        eventually(partial(waiting.is_complete, job_id))
        assert waiting.fares() == {"visits": "accepted", "purchases": "accepted"}
        run_id = client.run(job_id, waiting.agreed, "totals", {"least": 0})
        rows = client.result(job_id, waiting.agreed, run_id).table.to_pylist()
        assert rows == [{"segment": "sport", "purchases": 3, "total": 60}]
        waiting.coordinator.close_job(job_id)


@pytest.mark.parametrize("waiting", [False], indirect=True, ids=["another image"])
def test_an_enclave_that_the_key_is_not_for_gets_nothing(waiting: Waiting) -> None:
    client = Client(waiting.coordinator, ANALYST, roots=waiting.roots)
    job_id = client.start_job(waiting.agreed)
    eventually(lambda: set(waiting.fares().values()) == {"kms-denied"})
    job = waiting.coordinator.get_job(job_id)
    assert not any(slot.complete for slot in job.slots)
    assert {errand.said for errand in job.errands} == {"kms-denied"}
