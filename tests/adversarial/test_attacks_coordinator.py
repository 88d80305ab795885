"""Attacks by the coordinator that parties talk to, on real enclaves in SIMULATED machines, over gRPC.

Every treachery of `scenarios.hostile` is tried in tests/integration/test_hostile_coordinator.py; here are the
rows of the threat model that are about more than one of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coordinator.server import Server, Transport
from party_client.attestation import TrustedRoots
from party_client.attestation import errors as refused
from party_client.client import Client
from party_client.identity import Identity
from party_client.tls import make_development_certificates
from party_client.transport import CallRefusedError, Coordinator, TransportError, UnavailableError
from scenarios.hostile.holdings import Holdings, Job
from scenarios.hostile.mischief import Mischief
from scenarios.hostile.mischiefs.enclaves import DebugMode, KeysSwapped, OldDocument, OwnRoot
from scenarios.hostile.play import HONEST, Play, prepared
from scenarios.hostile.recordings import Evidence
from scenarios.machine.pki import root_path

PUBLISHER = Identity.generate("publisher", "A publisher who looks at enclaves")


@dataclass(frozen=True)
class Met:
    """A hostile coordinator with two jobs, and somebody who wants to verify the second one's enclave."""

    play: Play
    client: Client
    first_job_id: str
    job_id: str

    def verify(self, mischief: Mischief = HONEST) -> bytes:
        """The id of the enclave that the client believes to be the job's, with the coordinator cheating."""
        self.play.service.mischief = mischief
        try:
            return self.client.verify(self.job_id, self.play.people.agreement).keys.enclave_id
        finally:
            self.play.service.mischief = HONEST


@pytest.fixture(scope="module")
def met(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Met]:
    with prepared(Path(tmp_path_factory.mktemp("hostile"))) as play:
        play.people.agree()
        first, second = play.people.start(), play.people.start()
        roots = TrustedRoots.from_pem(root_path(play.holdings.simulator).read_bytes(), name="simulated")
        with Coordinator.in_plaintext(play.address) as coordinator:
            client = Client(coordinator, PUBLISHER, roots=roots)
            client.verify(first, play.people.agreement)
            yield Met(play, client, first, second)


class FirstDocument(Mischief):
    """Attested once, when the enclave booted; handed out to everybody since."""

    def evidence(self, at: Holdings, job: Job, nonce: bytes) -> Evidence:
        return job.evidence[0]


def test_attack_02_stale_attestation_of_an_earlier_enclave(met: Met) -> None:
    earlier = met.client.verify(met.first_job_id, met.play.people.agreement).keys.enclave_id
    assert met.verify() != earlier
    with pytest.raises(refused.NonceMismatchError):
        met.verify(OldDocument())
    with pytest.raises(refused.NonceMismatchError):  # nor what this very enclave said a moment ago
        met.verify(FirstDocument())


def test_attack_03_debug_mode_enclave(met: Met) -> None:
    with pytest.raises(refused.DebugModeError):
        met.verify(DebugMode())


def test_attack_17_simulated_root_is_not_a_production_root(met: Met) -> None:
    production = Client(met.client.coordinator, PUBLISHER, roots=TrustedRoots.aws())
    with pytest.raises(refused.UntrustedRootError):
        production.verify(met.job_id, met.play.people.agreement)
    with pytest.raises(refused.UntrustedRootError):  # nor is another simulator's root this one's
        met.verify(OwnRoot())


def test_attack_36_coordinator_impersonated(met: Met, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder in (ours, theirs):
        make_development_certificates(folder, ["publisher"], now=datetime.now(UTC))
    impersonator = Server(met.play.service, Transport.mutual_tls(("127.0.0.1:0",), theirs))
    (address,) = impersonator.listen()
    impersonator.start()
    boarded = dict(met.play.holdings.board)
    try:
        with Coordinator.over_tls(address, ours, "publisher") as hijacked:
            with pytest.raises(UnavailableError) as caught:
                hijacked.put_agreement(b"who agrees with whom")
            assert "certificates do not fit" in str(caught.value.hint)
    finally:
        impersonator.stop()
    assert met.play.holdings.board == boarded, "TLS keeps even the metadata"
    with pytest.raises(TransportError, match="not on this machine"):
        Coordinator.in_plaintext("coordinator.example:50051")
    # And where TLS ends at the attacker, as at every parent: no data for a key that is not the enclave's.
    with pytest.raises(refused.BindingMismatchError):
        met.verify(KeysSwapped())


def test_what_a_coordinator_says_is_shown_as_its_word(met: Met) -> None:
    with pytest.raises(CallRefusedError) as caught:
        met.client.coordinator.get_agreement(bytes(48))
    assert caught.value.message.startswith("the coordinator says: ")
    assert caught.value.refusal == "coordinator/unknown"
