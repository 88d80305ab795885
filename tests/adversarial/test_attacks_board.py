"""Attacks on the coordinator's board by somebody who has a client certificate and is no party (row 49).

The coordinator, its mutual TLS and its board are those that ship, and so is the enclave's code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from party_client.attestation import TrustedRoots
from party_client.cli.main import main
from party_client.client import Client
from party_client.identity import Identity
from party_client.jobs import JobNotRunningError
from party_client.receipts import verify_receipt
from party_client.tls import make_development_certificates
from party_client.transport import StoredAgreement
from protos.formats import limits
from protos.formats.agreement import Agreement
from protos.formats.approvals import genuine_approvals_untrusted
from tests import world
from tests.unit.party_client.whole_stack import Stack, whole_stack
from tests.world import ADVERTISER, ANALYST, PUBLISHER, PURCHASES, STRANGER, VISITS

PEOPLE = (PUBLISHER, ADVERTISER, ANALYST, STRANGER)


@dataclass(frozen=True)
class Board:
    """A served coordinator, and an agreement on its board that nobody has signed."""

    stack: Stack
    agreement: Agreement
    client_of: Callable[[Identity], Client]

    def pin(self, who: Identity, approval: bytes) -> None:
        """Straight past everything that a client looks at."""
        with self.client_of(who) as client:
            client.coordinator.put_approval(self.agreement.digest(), approval)

    def approve(self, who: Identity) -> bytes:
        with self.client_of(who) as client:
            return client.approve(self.agreement)

    def shown(self) -> StoredAgreement:
        with self.client_of(ANALYST) as client:
            return client.coordinator.get_agreement(self.agreement.digest())


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    make_development_certificates(folder, [who.id for who in PEOPLE], now=datetime.now(UTC))
    return folder


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, tls: Path) -> Iterator[Stack]:
    with whole_stack(tmp_path_factory.mktemp("stack"), tls=tls) as served:
        yield served


@pytest.fixture
def board(request: pytest.FixtureRequest, stack: Stack, tls: Path, tmp_path: Path) -> Board:
    roots = TrustedRoots.from_pem(stack.root_file.read_bytes(), name="simulated")

    def client_of(who: Identity) -> Client:
        return Client.connect(stack.address, identity=who, tls=tls, roots=roots, state=tmp_path / who.id)

    agreement = replace(stack.agreement, title=request.node.name)
    with client_of(PUBLISHER) as client:
        client.put_agreement(agreement)
    return Board(stack, agreement, client_of)


def junk_for(agreement: Agreement) -> list[bytes]:
    """What is no approval of `agreement`, from plain noise to what is nearly one."""
    (genuine,) = world.approve(agreement, [PUBLISHER])
    return [
        b"junk",
        bytes(limits.APPROVAL_MAX_BYTES),
        *world.approve(agreement, [STRANGER]),
        *world.approve(replace(agreement, purpose="Another"), [PUBLISHER]),
        genuine[:-1] + bytes([genuine[-1] ^ 1]),
    ]


def test_attack_49_junk_on_the_board(board: Board) -> None:
    agreement = board.agreement
    *before, after = junk_for(agreement)
    for junk in before:
        board.pin(STRANGER, junk)
    with board.client_of(ANALYST) as client, pytest.raises(JobNotRunningError, match="not-in-force"):
        client.start_job(agreement)

    approvals = [board.approve(who) for who in (PUBLISHER, ADVERTISER)]
    board.pin(STRANGER, after)
    board.pin(ANALYST, b"junk of somebody who takes part")
    assert board.shown().approvals == [after, *approvals, b"junk of somebody who takes part"]

    with board.client_of(PUBLISHER) as client:
        job = client.start_job(agreement)
        client.upload(job, agreement, "visits", VISITS.to_pandas())
    with board.client_of(ADVERTISER) as client:
        client.upload(job, agreement, "purchases", PURCHASES.to_pandas())
    with board.client_of(ANALYST) as client:
        result = client.result(job, agreement, client.run(job, agreement, "totals", {"least": 0}))
    assert result.table.num_rows == 1
    verified = verify_receipt(result.receipt_bytes, roots=client.roots, agreement=agreement)
    assert verified.receipt.approvals == tuple(approvals)
    with board.client_of(PUBLISHER) as client:
        client.coordinator.close_job(job)


def test_attack_49_a_board_that_a_stranger_fills(board: Board) -> None:
    with board.client_of(STRANGER) as client:
        for number in range(limits.APPROVALS_MAX + 1):
            client.coordinator.put_approval(board.agreement.digest(), b"junk %d" % number)
    approvals = (board.approve(PUBLISHER), board.approve(ADVERTISER))
    shown = board.shown().approvals
    assert len(shown) == 3
    assert genuine_approvals_untrusted(board.agreement, shown) == approvals


def test_attack_49_a_copy_that_is_taken_down_again(board: Board) -> None:
    """A stranger who got hold of an approval first pins it, lets its party rely on it, and replaces it."""
    (copied,) = world.approve(board.agreement, [PUBLISHER])
    board.pin(STRANGER, copied)
    assert board.approve(PUBLISHER) == copied
    board.pin(STRANGER, b"junk")
    assert board.shown().approvals == [b"junk", copied]


def test_whoever_pins_for_others_is_told_that_there_is_one_place(
    board: Board, tls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "their.agreement"
    file.write_bytes(board.agreement.encode())
    statuses = []
    for who, approval in zip(("first", "second"), world.approve(board.agreement), strict=True):
        (tmp_path / who).write_bytes(approval)
        words = ("agreement", "approve", file, "--approval", tmp_path / who, "--as", "analyst")
        connection = ("--coordinator", board.stack.address, "--tls", tls)
        statuses.append(main([str(word) for word in (*words, *connection)]))
    assert statuses == [0, 1]
    assert "replaced that of publisher" in capsys.readouterr().err
