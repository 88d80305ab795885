"""What goes wrong around a computation: signatures, clocks, disks, ports, networks, impatient people.

Every refusal says what to do; after doing it the same command works, and whoever serves goes on serving.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from party_client.agreements.agreement_file import save_agreement
from party_client.agreements.errors import NotAPartyError
from party_client.attestation.errors import CertificateTimeError, StaleDocumentError
from party_client.client import Client, utc_now
from party_client.identity import Identity
from party_client.tls import make_development_certificates
from protos.formats.agreement import Agreement
from protos.formats.approvals import sign_approval
from protos.formats.limits import MIB
from tests.chaos.premises import Premises, until
from tests.integration.refusals import (
    Said,
    Shell,
    agreement,
    good_rows,
    people,
    send_words,
    spawned,
    started,
)

LARGE_ROWS = 300_000
INTERRUPTED = 130
SCENARIO = Path(__file__).parents[2] / "scenarios" / "flights" / "agreement.toml"


@pytest.fixture(scope="module")
def premises(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Premises]:
    identities = people()
    folder = tmp_path_factory.mktemp("premises")
    with Premises(folder, identities, lambda release: agreement(identities, release, slots=2)) as made:
        made.start_coordinator()
        made.put_agreement()
        yield made


@pytest.fixture(scope="module")
def job(premises: Premises) -> Iterator[str]:
    with premises.client("analyst") as client:
        yield client.start_job(premises.agreement)


@pytest.fixture
def shell(premises: Premises, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(premises, monkeypatch, capsys)


# --- Agreements and signatures -----------------------------------------------------------------------------


def test_a_mistyped_key_of_an_agreement_is_named(shell: Shell, premises: Premises, tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    for name in ("airline", "weather_service", "registry", "analyst"):
        Identity.generate(name, name).public.save(tmp_path / "keys" / f"{name}.pub")
    release = shell("analyst", "simulator", "measure", "--state", premises.simulator, "--toml")
    (tmp_path / "release.toml").write_text(release.require_done())
    toml, text = tmp_path / "agreement.toml", SCENARIO.read_text()
    toml.write_text(text.replace("threshold = 10", "treshold = 10", 1))
    shell("analyst", "agreement", "compile", toml).require_refused("'?treshold", "threshold")
    assert not list(tmp_path.glob("*.agreement"))
    toml.write_text(text)
    shell("analyst", "agreement", "compile", toml).require_done()


def test_an_expired_agreement_is_signed_by_nobody_and_starts_nothing(
    shell: Shell, premises: Premises, tmp_path: Path
) -> None:
    expired = replace(premises.agreement, valid_until_s=1_700_000_000)
    file = tmp_path / "expired.agreement"
    save_agreement(file, expired)
    sign = ("agreement", "sign", file, "--root", premises.root, "--yes")
    shell("owner", *sign, "--identity", "owner.key").require_refused("expired at 2023-11-14", ".")
    pin(premises, expired, ["owner", "shop"])
    start = ("job", "start", file, "--as", "analyst")
    shell("analyst", *start).require_refused("not-valid-now", "start a job")


def test_an_agreement_waits_for_everybody_and_takes_the_last_word_of_each(
    shell: Shell, premises: Premises, tmp_path: Path
) -> None:
    agreed = replace(premises.agreement, id="another")
    file, approval = tmp_path / "another.agreement", tmp_path / "my.approval"
    save_agreement(file, agreed)
    pin(premises, agreed, ["owner"])
    start = ("job", "start", file, "--as", "analyst")
    shell("analyst", *start).require_refused("not-in-force", "all parties have approved")

    approve = ("agreement", "approve", file, "--approval", approval)
    approval.write_bytes(signed(premises.people["owner"], agreed, at_s=1_700_000_000))
    shell("owner", *approve).require_done()
    with premises.client("owner") as client:
        pinned = client.coordinator.get_agreement(agreed.digest()).approvals
        assert pinned == [approval.read_bytes()]
    stranger = Identity.generate("shop", "Not the shop")
    approval.write_bytes(signed(stranger, agreed))
    shell("shop", *approve).require_refused("no party of this agreement has", "stranger's signature")
    stranger.save(tmp_path / "stranger.key")
    sign = ("agreement", "sign", file, "--root", premises.root, "--yes", "-o", approval, "--identity")
    shell("shop", *sign, tmp_path / "stranger.key").require_refused("names another identity", "fingerprints")

    shell("shop", *sign, "shop.key").require_done()
    shell("shop", *approve).require_done()
    shell("shop", *approve).require_done()
    with premises.client("shop") as client:
        assert client.approve(agreed) == approval.read_bytes()
    with premises.client("analyst") as client, pytest.raises(NotAPartyError):
        client.approve(agreed)
    job = shell("analyst", *start).require_done().strip()
    shell.close_job(job)


def signed(by: Identity, agreed: Agreement, *, at_s: int = 1_600_000_000) -> bytes:
    """An approval that no command would make."""
    return sign_approval(agreed.digest(), party=by.id, key=by.signing_key, signed_at_s=at_s)


def pin(premises: Premises, agreed: Agreement, signers: list[str]) -> None:
    """Puts an agreement on the board, past all that a client looks at."""
    for signer in signers:
        with premises.client(signer) as client:
            client.put_agreement(agreed)
            client.coordinator.put_approval(agreed.digest(), signed(premises.people[signer], agreed))


# --- Clocks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("off", "error"),
    [
        (timedelta(days=1), CertificateTimeError),
        (timedelta(days=-1), CertificateTimeError),
        (timedelta(hours=1), StaleDocumentError),
    ],
    ids=str,
)
def test_a_wrong_clock_is_the_first_thing_that_is_suspected(
    off: timedelta, error: type[Exception], premises: Premises, job: str
) -> None:
    with premises.client("owner") as client:
        wrong = Client(client.coordinator, client.identity, roots=client.roots, clock=lambda: utc_now() + off)
        with pytest.raises(error) as refused:
            wrong.verify(job, premises.agreement)
        assert "check this computer's clock" in str(getattr(refused.value, "hint", ""))
        client.verify(job, premises.agreement)


# --- Networks and ports ------------------------------------------------------------------------------------


def test_nobody_at_the_address(shell: Shell) -> None:
    nobody = ("job", "list", "--as", "analyst", "--coordinator", "127.0.0.1:1")
    shell("analyst", *nobody).require_refused("cannot be reached", "is it running, and is the address right")
    shell("analyst", "job", "list", "--as", "analyst").require_done()


def test_certificates_of_another_authority(shell: Shell, tmp_path: Path) -> None:
    make_development_certificates(tmp_path / "tls", ["analyst"], now=utc_now())
    other = ("job", "list", "--as", "analyst", "--tls", tmp_path / "tls")
    shell("analyst", *other).require_refused("cannot be reached", "certificates do not fit")


def test_a_port_or_a_state_that_another_coordinator_has(
    premises: Premises, shell: Shell, tmp_path: Path
) -> None:
    serve = ("coordinator", "serve", "--tls", premises.roles["coordinator"].home / "tls", "--listen")
    taken = spawned(premises, "coordinator", *serve, premises.address, "--state", tmp_path / "state")
    taken.without_log().require_refused(f"cannot listen on {premises.address}: the port is taken", "--listen")
    used = spawned(premises, "coordinator", *serve, "127.0.0.1:0", "--state", premises.state)
    used.without_log().require_refused("another coordinator uses this state", "another folder with --state")
    shell("analyst", "job", "list", "--as", "analyst").require_done()


# --- Disks -------------------------------------------------------------------------------------------------


@contextmanager
def full_disk(pid: int) -> Iterator[None]:
    """No file of the process grows beyond 2 MiB: the nearest to a full disk that needs no privilege.

    SQLite's files stay below it, so it is the spool that does not fit.
    """
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (2 * MIB, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_at_the_coordinator_keeps_what_was_acknowledged(
    premises: Premises, shell: Shell, job: str, tmp_path: Path
) -> None:
    path = tmp_path / "people.csv"
    path.write_text(good_rows(LARGE_ROWS))
    with full_disk(premises.coordinator_pid):
        full = shell.send(job, "people_00", path)
    full.require_refused("no space left", "free disk space; then resume the upload")
    assert len(shell.journals(job)) == 1
    said = shell.send(job, "people_00", path, "--json")
    assert '"resumed_at_chunk": 2' in said.require_done()
    assert shell.journals(job) == []


def test_an_upload_that_nobody_will_ever_continue_is_forgotten_with_its_key(
    premises: Premises, shell: Shell, tmp_path: Path
) -> None:
    path = tmp_path / "people.csv"
    path.write_text(good_rows(LARGE_ROWS))
    job = shell.start_job()
    with full_disk(premises.coordinator_pid):
        shell.send(job, "people_00", path).require_refused("no space left", "resume the upload")
    shell.close_job(job)
    assert len(shell.journals(job)) == 1
    shell.send(job, "people_00", path).require_refused("closed, not running", "another job")
    assert shell.journals(job) == []


def test_a_full_disk_at_a_party_is_found_before_anything_leaves(
    premises: Premises, shell: Shell, job: str, tmp_path: Path
) -> None:
    path = tmp_path / "people.csv"
    path.write_text(good_rows())
    nothing_fits = ("sh", "-c", 'ulimit -f 0; exec "$0" "$@"')
    words = send_words(premises, job, "people_01", path)
    full = spawned(premises, "owner", *words, through=nothing_fits)
    full.require_refused("journal: cannot be written", "free some space on this disk")
    assert shell.journals(job) == []
    assert "accepted" in shell.send(job, "people_01", path).require_done()


# --- Impatience --------------------------------------------------------------------------------------------


def test_ctrl_c_while_a_run_goes_on_loses_neither_the_run_nor_its_result(
    premises: Premises, shell: Shell, tmp_path: Path
) -> None:
    job = shell.start_job()
    people_file, orders = tmp_path / "people.csv", tmp_path / "orders.csv"
    people_file.write_text(good_rows(LARGE_ROWS))
    orders.write_text("person,amount\n" + "".join(f"{row},{row % 9}\n" for row in range(1, LARGE_ROWS)))
    for dataset, file in (("people_00", people_file), ("people_01", people_file), ("orders", orders)):
        shell.send(job, dataset, file).require_done()

    said = interrupted_run(premises, job)
    said.require_refused("interrupted; run [0-9a-f]{32} may go on", "result get", status=INTERRUPTED)
    found = re.search("run ([0-9a-f]{32})", said.err)
    assert found is not None
    get = ("result", "get", found[1], "--job", job, "--agreement", premises.agreement_file)
    trust = ("--identity", "analyst.key", "--root", premises.root, "--json")
    until(lambda: shell("analyst", *get, *trust).status == 0, "the run is released")
    assert '"rows": 4' in shell("analyst", *get, *trust).require_done()
    shell.close_job(job)


def interrupted_run(premises: Premises, job: str) -> Said:
    """`job run`, with Ctrl-C when the coordinator has noted the run; the enclave is held up meanwhile."""
    enclave = premises.enclaves()[-1]
    words = ("job", "run", "totals", "--job", job, "--agreement", premises.agreement_file)
    trust = ("--identity", "analyst.key", "--root", premises.root)
    with started(premises, "analyst", *words, *trust) as process:
        try:
            until(lambda: runs_noted(premises, job), "the run is noted")
            os.kill(enclave, signal.SIGSTOP)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            os.kill(enclave, signal.SIGCONT)
    return Said(process.returncode, out, err)


def runs_noted(premises: Premises, job: str) -> int:
    """How many runs of a job the coordinator has written down."""
    connection = sqlite3.connect(f"file:{premises.state / 'coordinator.sqlite'}?mode=ro", uri=True)
    try:
        (count,) = connection.execute("SELECT count(*) FROM run WHERE job_id = ?", (job,)).fetchone()
    finally:
        connection.close()
    return int(count)
