"""A dataset on its way to a real enclave: in one go, interrupted, continued, and when somebody cheats."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from party_client.client import Client, UploadOptions
from party_client.datasets import RowsError, SourceChangedError, TooMuchDataError
from party_client.identity import Identity
from party_client.sealing import DatasetSealer, begin_sealing
from party_client.transport import CallRefusedError, TransportError
from party_client.upload import AcceptanceError, EnclaveReplacedError, UploadInterruptedError
from party_client.upload_journal import JournalError
from protos.formats import cose
from protos.formats.agreement import Agreement
from protos.formats.errors import SealError
from protos.formats.rules import Rules
from protos.formats.sealed import ACCEPTANCE_LABEL
from protos.v1 import concordat_pb2 as wire
from tests.unit.party_client.direct_coordinator import JOB, DirectCoordinator
from tests.world import ADVERTISER, PUBLISHER, Enclave, agreement, purchases, simulated_enclave, visits

ROWS = 25_000
"""Six chunks, with such long addresses."""


class Party:
    """The advertiser with its data, its client and the coordinator that it talks to."""

    def __init__(self, folder: Path, enclave: Enclave, agreed: Agreement) -> None:
        self.folder = folder
        self.agreed = agreed
        self.coordinator = DirectCoordinator(enclave)
        self.file = folder / "purchases.csv"
        self.notes: list[str] = []
        self.progress_bytes = 0
        self.write(ROWS)

    def write(self, rows: int, *, first_amount: int = 0) -> None:
        amounts = [first_amount, *range(1, rows)]
        emails = [f"person{row}@{'example' * 30}.org" for row in range(rows)]
        pd.DataFrame({"email": emails, "amount": amounts}).to_csv(self.file, index=False)

    def client(self, identity: Identity = ADVERTISER) -> Client:
        return Client(
            self.coordinator, identity, roots=self.coordinator.enclave.roots, state=self.folder / "home"
        )

    def send(self, **options: object) -> int:
        """Uploads; the number of chunks that were accepted."""
        chosen = UploadOptions(progress=self.advance, notify=self.notes.append, **options)  # type: ignore[arg-type]
        acceptance = self.client().upload(JOB, self.agreed, "purchases", self.file, chosen)
        assert acceptance.manifest.rows == ROWS
        return acceptance.manifest.chunks

    def advance(self, further_bytes: int) -> None:
        self.progress_bytes += further_bytes

    def sent(self) -> list[int]:
        """Numbers of the chunks that were sent since this was last asked."""
        numbers = [chunk.number for chunk in self.coordinator.sent]
        self.coordinator.sent.clear()
        return numbers

    @property
    def journals(self) -> list[Path]:
        return list((self.folder / "home" / "uploads").glob("*"))


def big_agreement(enclave: Enclave, **limits: int) -> Agreement:
    """The agreement of the world with room for many purchases."""
    sizes = {"max_rows": 1_000_000, "max_bytes": 10**9} | limits
    (root,) = enclave.roots
    return agreement(root.sha256, datasets=(visits(), replace(purchases(), **sizes)))  # type: ignore[arg-type]


@pytest.fixture
def enclave(tmp_path: Path) -> Iterator[Enclave]:
    with simulated_enclave(tmp_path / "machine") as started:
        started.bind(big_agreement(started))
        yield started


@pytest.fixture
def party(tmp_path: Path, enclave: Enclave) -> Party:
    return Party(tmp_path, enclave, big_agreement(enclave))


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("party_client.upload.RECONNECT_PAUSES_S", (0.0, 0.0, 0.0))


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_a_dataset_is_accepted_and_leaves_no_journal(party: Party, compression: str) -> None:
    chunks = party.send(compression=compression)
    assert party.sent() == list(range(chunks))
    assert party.journals == []
    assert party.progress_bytes == party.file.stat().st_size


def test_a_frame_is_accepted(party: Party) -> None:
    acceptance = party.client().upload(JOB, party.agreed, "purchases", pd.read_csv(party.file))
    assert acceptance.manifest.rows == ROWS


def test_an_interrupted_upload_continues_where_it_stopped(party: Party) -> None:
    def interrupt(number: int) -> None:
        if number == 4:
            raise KeyboardInterrupt

    party.coordinator.faults.before_chunk = interrupt
    with pytest.raises(UploadInterruptedError, match="4 chunks of purchases have arrived") as caught:
        party.send()
    assert isinstance(caught.value.__cause__, KeyboardInterrupt)
    assert "same command again" in (caught.value.hint or "")
    assert party.sent() == [0, 1, 2, 3]
    (journal,) = party.journals
    assert stat.S_IMODE(journal.stat().st_mode) == 0o600

    party.coordinator.faults.before_chunk = lambda _: None
    chunks = party.send()
    assert party.sent() == list(range(4, chunks))
    assert party.notes == ["continuing the upload that was interrupted"]
    assert party.journals == []


def test_a_broken_connection_is_taken_up_again_after_a_fresh_attestation(party: Party) -> None:
    party.coordinator.faults.break_after = [3, 2]
    chunks = party.send()
    assert party.sent() == list(range(chunks))
    assert party.coordinator.attested == 3


def test_chunks_that_were_not_acknowledged_are_sent_again(party: Party) -> None:
    party.coordinator.faults.break_after = [5]
    party.coordinator.faults.acknowledge_every = 4
    chunks = party.send()
    # The enclave has five, the party knows of four: the fifth is known as soon as it asks.
    assert party.sent() == list(range(chunks))


def test_a_connection_that_stays_broken_ends_in_a_resumable_state(party: Party) -> None:
    party.coordinator.faults.break_after = [0] * 20
    with pytest.raises(UploadInterruptedError, match="connection broke"):
        party.send()
    party.coordinator.faults.break_after = []
    assert party.send() == len(party.sent())


def test_a_file_that_changed_since_the_interruption_never_leaves(party: Party) -> None:
    party.coordinator.faults.break_after = [3, *[0] * 20]
    with pytest.raises(UploadInterruptedError):
        party.send()
    party.sent()
    party.coordinator.faults.break_after = []
    party.write(ROWS, first_amount=77)
    with pytest.raises(SourceChangedError, match="nothing of the change was sent"):
        party.send()
    assert party.sent() == []
    assert party.journals == []
    assert party.send() == len(party.sent())  # a new upload, from the start


def test_a_change_that_the_file_system_does_not_show_is_found_by_the_tags(party: Party) -> None:
    """Same size, same time of change, same inode: the content alone tells."""
    party.coordinator.faults.break_after = [3, *[0] * 20]
    with pytest.raises(UploadInterruptedError):
        party.send()
    party.sent()
    party.coordinator.faults.break_after = []
    before = party.file.stat()
    with party.file.open("r+b") as file:
        content = file.read()
        file.seek(content.index(b"person1@"))
        file.write(b"nobody1@")
    os.utime(party.file, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(SourceChangedError, match="at chunk 0"):
        party.send()
    assert party.sent() == []


def test_restart_forgets_an_interrupted_upload(party: Party) -> None:
    party.coordinator.faults.break_after = [3, *[0] * 20]
    with pytest.raises(UploadInterruptedError):
        party.send()
    party.sent()
    party.coordinator.faults.break_after = []
    chunks = party.send(restart=True)
    assert party.sent() == list(range(chunks))


def test_an_enclave_that_was_replaced_gets_a_new_upload(party: Party, tmp_path: Path) -> None:
    party.coordinator.faults.break_after = [3, *[0] * 20]
    with pytest.raises(UploadInterruptedError):
        party.send()
    party.sent()
    party.coordinator.faults.break_after = []
    with simulated_enclave(tmp_path / "machine") as another:
        another.bind(party.agreed)
        party.coordinator.enclave = another
        chunks = party.send()
    assert party.sent() == list(range(chunks))
    assert party.notes == ["the enclave was replaced since the upload was interrupted: sealing anew"]


def test_an_enclave_that_is_replaced_on_the_way_gets_nothing(party: Party, tmp_path: Path) -> None:
    with simulated_enclave(tmp_path / "machine") as another:
        another.bind(party.agreed)
        party.coordinator.faults.break_after = [3]

        def replace_enclave(number: int) -> None:
            if number == 2:
                party.coordinator.faults.before_chunk = lambda _: None
                party.later = another  # type: ignore[attr-defined]

        party.coordinator.faults.before_chunk = replace_enclave
        attest = party.coordinator.attest

        def attest_another(job_id: str, nonce: bytes) -> tuple[bytes, bytes]:
            if hasattr(party, "later"):
                party.coordinator.enclave = another
            return attest(job_id, nonce)

        party.coordinator.attest = attest_another  # type: ignore[method-assign]
        with pytest.raises(EnclaveReplacedError):
            party.send()
    assert party.sent() == [0, 1, 2]


def test_two_processes_do_not_send_the_same_upload_at_once(party: Party) -> None:
    def send_again(number: int) -> None:
        party.coordinator.faults.before_chunk = lambda _: None
        party.client().upload(JOB, party.agreed, "purchases", party.file)

    party.coordinator.faults.before_chunk = send_again
    with pytest.raises(JournalError, match="another process"):
        party.send()


def test_a_damaged_journal_is_not_believed(party: Party) -> None:
    party.coordinator.faults.break_after = [3, *[0] * 20]
    with pytest.raises(UploadInterruptedError):
        party.send()
    (journal,) = party.journals
    damaged = bytearray(journal.read_bytes())
    damaged[600] ^= 1  # in the signed header
    journal.write_bytes(damaged)
    with pytest.raises(JournalError) as caught:
        party.send()
    assert "--restart" in (caught.value.hint or "")


def test_a_journal_that_was_cut_short_while_it_was_made_is_no_journal(party: Party) -> None:
    party.coordinator.faults.break_after = [0] * 20
    with pytest.raises(UploadInterruptedError):
        party.send()
    (journal,) = party.journals
    journal.write_bytes(journal.read_bytes()[:100])
    party.coordinator.faults.break_after = []
    assert party.send() == len(party.sent())


def test_a_tag_that_was_cut_short_by_a_crash_is_written_again(party: Party) -> None:
    party.coordinator.faults.break_after = [3, *[0] * 20]
    with pytest.raises(UploadInterruptedError):
        party.send()
    (journal,) = party.journals
    journal.write_bytes(journal.read_bytes()[:-5])
    party.coordinator.faults.break_after = []
    assert party.send() > 3


def test_a_bad_row_stops_the_upload_and_there_is_nothing_to_continue(party: Party) -> None:
    with party.file.open("a") as file:
        file.write("somebody@example.org,many\n")
    with pytest.raises(RowsError, match=f"row {ROWS + 1}, amount"):
        party.send()
    assert party.journals == []


def test_a_dataset_over_the_agreed_size_stops(tmp_path: Path, enclave: Enclave) -> None:
    party = Party(tmp_path, enclave, big_agreement(enclave))
    with simulated_enclave(tmp_path / "machine") as small:
        agreed = big_agreement(small, max_bytes=2**21)
        small.bind(agreed)
        party.coordinator.enclave, party.agreed = small, agreed
        with pytest.raises(TooMuchDataError):
            party.send()


@pytest.mark.parametrize(
    "tamper",
    [
        lambda chunk: wire.Chunk(number=chunk.number, last=chunk.last, sealed=bytes(len(chunk.sealed))),
        lambda chunk: wire.Chunk(number=chunk.number, last=True, sealed=chunk.sealed),
    ],
    ids=["altered", "cut off"],
)
def test_a_coordinator_that_alters_chunks_is_refused(
    party: Party, tamper: Callable[[wire.Chunk], wire.Chunk]
) -> None:
    party.coordinator.faults.tamper = tamper
    with pytest.raises(CallRefusedError) as caught:
        party.send()
    assert caught.value.refusal == "does-not-open"


def test_a_dataset_that_is_too_small_leaves_no_journal(tmp_path: Path) -> None:
    """The same rows would be refused again: there is nothing to continue."""
    with simulated_enclave(tmp_path / "strict machine") as strict:
        agreed = big_agreement(strict)
        small = replace(agreed.dataset("purchases"), rules=Rules(min_rows=ROWS + 1))
        agreed = replace(agreed, datasets=(agreed.dataset("visits"), small))
        strict.bind(agreed)
        party = Party(tmp_path, strict, agreed)
        with pytest.raises(CallRefusedError) as caught:
            party.send()
        assert caught.value.refusal == "too-small"
        assert party.journals == []


def test_a_coordinator_that_claims_chunks_it_does_not_have_gains_nothing(party: Party) -> None:
    party.coordinator.faults.claim_next = 2
    with pytest.raises(CallRefusedError) as caught:
        party.send()
    assert caught.value.refusal == "out-of-order"


def test_a_coordinator_that_claims_to_have_everything_gains_nothing(party: Party) -> None:
    party.coordinator.faults.claim_next = 10_000
    with pytest.raises((CallRefusedError, TransportError)):
        party.send()
    assert party.sent() == []


def test_an_acceptance_by_somebody_else_is_not_believed(party: Party) -> None:
    forged = cose.sign(b"accepted, really", typ=ACCEPTANCE_LABEL, key=PUBLISHER.signing_key)
    for message in (forged, b"\x84accepted, really"):
        party.coordinator.faults.acceptance = message
        with pytest.raises(AcceptanceError, match="not signed by the enclave") as caught:
            party.send()
        assert "does not count yet" in (caught.value.hint or "")
        assert party.journals != []


def test_an_acceptance_of_another_dataset_is_not_believed(party: Party, enclave: Enclave) -> None:
    visits_file = party.folder / "visits.csv"
    visits_file.write_text("email,segment\nann@x.org,sport\n")
    other = party.client(PUBLISHER).upload(JOB, party.agreed, "visits", visits_file)
    party.coordinator.faults.acceptance = other.message
    with pytest.raises(AcceptanceError, match="another dataset"):
        party.send()


def test_a_dataset_is_sealed_by_its_owner_only(party: Party) -> None:
    with pytest.raises(SealError, match="belongs to advertiser"):
        party.client(PUBLISHER).upload(JOB, party.agreed, "purchases", party.file)


def test_an_upload_is_continued_to_the_enclave_it_was_sealed_to_only(
    party: Party, enclave: Enclave, tmp_path: Path
) -> None:
    dataset = party.agreed.dataset("purchases")
    upload = begin_sealing(
        enclave.verify(party.agreed), dataset=dataset, identity=ADVERTISER, compression="none"
    )
    with simulated_enclave(tmp_path / "machine") as another:
        another.bind(party.agreed)
        with pytest.raises(SealError, match="another enclave"):
            DatasetSealer(another.verify(party.agreed), upload, ADVERTISER)


def test_no_two_uploads_share_a_key_or_an_id(party: Party, enclave: Enclave) -> None:
    dataset = party.agreed.dataset("purchases")
    verified = enclave.verify(party.agreed)
    made = [
        begin_sealing(verified, dataset=dataset, identity=ADVERTISER, compression="none") for _ in range(20)
    ]
    assert len({upload.data_key for upload in made}) == len({upload.upload_id for upload in made}) == 20
    assert made[0].data_key.hex() not in repr(made[0])
