"""`concordat dataset seal`, `deposit`, `deposits`, `withdraw`, typed at a SIMULATED KMS and a coordinator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from party_client.client import Client
from party_client.datasets.errors import SourceChangedError
from party_client.deposits import Depositing
from party_client.sealed_files import open_sealed_file
from party_client.transport import Coordinator
from party_client.upload import UploadInterruptedError
from protos.formats.agreement import Agreement
from protos.v1 import concordat_pb2 as wire
from tests.kms_world import ADMINISTRATOR, policy, running, statement
from tests.sealing_world import (
    SEALER,
    SealingWorld,
    in_place,
    log_in,
    service_at,
)
from tests.unit.party_client.whole_stack import Command, Stack, whole_stack
from tests.world import ADVERTISER, PUBLISHER

CHECKED = ("--administrator", ADMINISTRATOR, "--sealer", SEALER, "--simulated-kms")


@dataclass(frozen=True)
class Both:
    """A coordinator, and a KMS that its agreement names."""

    stack: Stack
    sealing: SealingWorld


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("sealed")
    with running(tmp_path_factory.mktemp("kms")) as kms:

        def with_kms(agreed: Agreement) -> Agreement:
            visits, purchases = agreed.datasets
            return replace(agreed, datasets=(replace(visits, kms=service_at(kms)), purchases))

        with whole_stack(folder, change=with_kms) as stack:
            stack.agree()
            yield Both(stack, in_place(kms, stack.agreement))


@pytest.fixture(scope="module")
def stack(both: Both) -> Stack:
    return both.stack


@pytest.fixture(autouse=True)
def clean(stack: Stack) -> Iterator[None]:
    (stack.folder / "visits.csv").write_text("email,segment\nann@x.org,sport\nbob@x.org,news\n")
    yield
    for path in stack.folder.glob("*.sealed"):
        path.unlink()


def sealing(both: Both, *options: object, key: str | None = None) -> tuple[object, ...]:
    return (
        *("dataset", "seal", "visits.csv", "--dataset", "visits", "--agreement", "reach.agreement"),
        *("--identity", "publisher.key", "--kms-key", key or both.sealing.arn),
        *options,
    )


def exported(both: Both, monkeypatch: pytest.MonkeyPatch) -> Path:
    """By the administrator; the sealer is logged in afterwards."""
    return both.sealing.exported(both.stack.folder / "key.json", monkeypatch)


def sealed(concordat: Command, both: Both, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    options = (*CHECKED, "--from", exported(both, monkeypatch), "--json")
    status, out, err = concordat(*sealing(both, *options))
    assert status == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def deposits(concordat: Command, stack: Stack) -> list[dict[str, Any]]:
    status, out, err = concordat(
        *("dataset", "deposits", "--agreement", "reach.agreement", "--json"),
        *(*stack.connection, *stack.trust),
    )
    assert status == 0, err
    found: list[dict[str, Any]] = json.loads(out)
    return found


def test_seal_for_programs(concordat: Command, both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    made = sealed(concordat, both, monkeypatch)
    path = both.stack.folder / made["file"]
    found = open_sealed_file(path, both.stack.agreement)
    assert (made["dataset"], made["rows"], made["chunks"]) == ("visits", 2, 1)
    assert made["manifest"] == found.manifest.digest().hex()
    assert made["upload"] == found.header.context.upload_id.hex()
    assert made["file_bytes"] == path.stat().st_size
    assert made["key_checked"] is True
    assert set(made["findings"]) <= {"rotation-off"}
    assert "whoever runs it can read the data" in made["warning"]


def test_seal_for_people(concordat: Command, both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    options = (*CHECKED, "--from", exported(both, monkeypatch), "-o", "mine.sealed")
    status, out, err = concordat(*sealing(both, *options))
    assert status == 0, err
    assert "SIMULATED KMS" in err
    assert "sealed     visits: 2 rows" in out
    assert "in mine.sealed" in out
    assert f"key        {both.sealing.arn}" in out
    assert "NOT AWS" in out
    assert "UNCHECKED" not in out
    assert "ann@x.org" not in out + err


def test_the_live_key_is_checked_by_whoever_may_read_it(
    concordat: Command, both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sealer may make data keys and read no policy: somebody else reads it, or nobody."""
    log_in(monkeypatch, both.sealing.kms, SEALER)
    status, out, err = concordat(*sealing(both, *CHECKED))
    assert (status, out) == (1, "")
    assert "reading the key failed" in err
    assert "which administrators have" in err
    status, out, err = concordat(*sealing(both, "--unchecked-key"))
    assert status == 0, err
    assert "UNCHECKED: nobody looked at the key's policy" in out


def test_somebody_has_to_look_or_to_say_that_nobody_does(concordat: Command, both: Both) -> None:
    status, _, err = concordat(*sealing(both))
    assert (status, "or --unchecked-key" in err) == (2, True)
    status, _, err = concordat(*sealing(both, *CHECKED, "--unchecked-key"))
    assert (status, "leave the options about it out" in err) == (2, True)


def test_a_key_that_opens_for_others_seals_nothing(
    concordat: Command, both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    hole = policy(
        statement("Administration", "Allow", {"AWS": ADMINISTRATOR}, ["kms:*"]),
        statement("Sealing", "Allow", {"AWS": SEALER}, "kms:GenerateDataKey"),
    )
    other = replace(both.sealing, arn=both.sealing.kms.key(hole))
    other.exported(both.stack.folder / "hole.json", monkeypatch)
    status, out, err = concordat(*sealing(both, *CHECKED, "--from", "hole.json", key=other.arn))
    assert (status, out) == (1, "")
    assert "[unattested-decrypt]" in err
    assert "`concordat kms check` says where" in err
    assert not list(both.stack.folder.glob("*.sealed"))


def test_a_deposit_waits_and_is_listed(
    concordat: Command, both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = both.stack
    made = sealed(concordat, both, monkeypatch)
    deposit = ("dataset", "deposit", "visits.sealed", "--agreement", "reach.agreement", *stack.connection)
    status, out, err = concordat(*deposit)
    assert status == 0, err
    assert "deposited  visits of publisher: 2 rows" in out
    assert f"upload     {made['upload']}" in out
    (listed,) = deposits(concordat, stack)
    assert (listed["upload"], listed["dataset"], listed["complete"]) == (made["upload"], "visits", True)
    assert (listed["accepted"], listed["manifest"]) == (False, None)
    status, out, _ = concordat(
        *("dataset", "deposits", "--agreement", "reach.agreement", *stack.connection, *stack.trust)
    )
    assert "says the coordinator" in out
    assert "ACCEPTED" not in out
    status, _, err = concordat(
        *("dataset", "withdraw", made["upload"], "--agreement", "reach.agreement", *stack.connection)
    )
    assert (status, err) == (0, "deleted, says the coordinator\n")
    assert deposits(concordat, stack) == []


def test_the_same_from_python(concordat: Command, both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """By somebody who is not the owner and carries the file."""
    made = sealed(concordat, both, monkeypatch)
    with Client.connect(both.stack.address, identity=ADVERTISER, state=both.stack.folder / "s") as client:
        done = client.deposit(both.stack.agreement, both.stack.folder / "visits.sealed")
        assert (done.sealed.header.context.party, done.resumed_at) == (PUBLISHER.id, 0)
        again = client.deposit(both.stack.agreement, both.stack.folder / "visits.sealed")
        assert again.resumed_at == done.sealed.manifest.chunks
        (state,) = client.deposits(both.stack.agreement)
        assert (state.listed.upload_id.hex(), state.enclave) == (made["upload"], None)
        client.withdraw(both.stack.agreement, state.listed.upload_id)
        assert client.deposits(both.stack.agreement) == []


def test_what_is_no_sealed_file_is_not_sent(
    concordat: Command, both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = both.stack
    sealed(concordat, both, monkeypatch)
    path = stack.folder / "visits.sealed"
    whole = path.read_bytes()
    deposit = ("dataset", "deposit", "visits.sealed", "--agreement", "reach.agreement", *stack.connection)
    for data, said in (
        (whole[:-1], "the file ends too early"),
        (whole[:900] + bytes([whole[900] ^ 1]) + whole[901:], "error: "),
        (b"email,segment\n", "this is no sealed file"),
    ):
        path.write_bytes(data)
        status, out, err = concordat(*deposit)
        assert (status, out) == (1, "")
        assert said in err
    assert deposits(concordat, stack) == []


def test_an_interrupted_deposit_goes_on(
    concordat: Command, both: Both, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stack = both.stack
    with (stack.folder / "visits.csv").open("w") as file:
        file.write("email,segment\n")
        file.writelines(f"u{number:07}-{number * 7919 % 99991}@x.org,sport\n" for number in range(400_000))
    made = sealed(concordat, both, monkeypatch)
    assert made["chunks"] > 3
    # So few are on their way at once that an interruption leaves some to be sent.
    monkeypatch.setattr("party_client.upload_window.WINDOW_CHUNKS", 2)
    sent: list[int] = []

    def until(further: int) -> None:
        sent.append(further)
        if len(sent) > 2:
            raise KeyboardInterrupt

    path = stack.folder / "visits.sealed"
    with Coordinator.in_plaintext(stack.address) as coordinator:
        interrupted = Depositing(
            coordinator=coordinator, agreement=stack.agreement, path=path, progress=until
        )
        with pytest.raises(UploadInterruptedError, match="chunks of"):
            interrupted.send()
        done = replace(interrupted, progress=lambda _: None).send()
        assert 0 < done.resumed_at < done.sealed.manifest.chunks
        coordinator.remove_deposit(stack.agreement.digest(), done.sealed.header.context.upload_id)


def test_a_file_that_changes_on_the_way_is_not_finished(
    concordat: Command, both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was verified before it was sent: what is sent has to be the same file to the end."""
    stack = both.stack
    sealed(concordat, both, monkeypatch)
    path = stack.folder / "visits.sealed"

    def touched(_: int) -> None:
        path.write_bytes(path.read_bytes())

    with Coordinator.in_plaintext(stack.address) as coordinator:
        depositing = Depositing(
            coordinator=coordinator, agreement=stack.agreement, path=path, progress=touched
        )
        with pytest.raises(SourceChangedError):
            depositing.send()
        (listed,) = coordinator.list_deposits(stack.agreement.digest())
        assert not listed.complete
        coordinator.remove_deposit(stack.agreement.digest(), listed.upload_id)


def test_a_world_without_a_key_service(both: Both, concordat: Command) -> None:
    status, _, err = concordat(
        *("dataset", "seal", "visits.csv", "--dataset", "purchases", "--agreement", "reach.agreement"),
        *("--identity", "advertiser.key", "--kms-key", both.sealing.arn, "--unchecked-key"),
    )
    assert status == 1
    assert "does not let purchases be sealed under a key in KMS" in err
    assert "concordat dataset send" in err


def test_a_list_that_lies_is_no_list_of_lines(
    concordat: Command, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a coordinator names things, it writes no line of ours and moves no cursor."""
    lie = "x\n    ACCEPTED, signed by enclave 00\x1b[2K"
    listed = wire.Deposit(
        upload_id=bytes(16), dataset=lie, deposited_by=lie, job_id=lie, said=lie, complete=True
    )
    monkeypatch.setattr(Coordinator, "list_deposits", lambda *_: [listed])
    status, out, _ = concordat(
        *("dataset", "deposits", "--agreement", "reach.agreement", *stack.connection, *stack.trust)
    )
    assert status == 0
    assert "ACCEPTED" not in out
    assert "\x1b" not in out
    assert len(out.splitlines()) == 2
