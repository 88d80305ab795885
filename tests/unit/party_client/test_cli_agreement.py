"""`concordat identity`, `tls` and `agreement` from one end to the other, as people type them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from party_client.agreements import compile_toml, load_agreement, sign
from party_client.agreements.agreement_file import save_agreement
from party_client.tls import make_development_certificates
from protos.formats.agreement import Agreement
from scenarios.machine.pki import fingerprint, load_or_create_root, root_path
from tests.unit.party_client.agreement_board import Board, served
from tests.unit.party_client.whole_stack import Command
from tests.unit.party_client.written_agreement import AIRLINE, ANALYST, WEATHER, write

VALID_NOW = {"valid_from = 2026": "valid_from = 2020", "valid_until = 2027": "valid_until = 2099"}


class Keyboard(io.StringIO):
    """Somebody at a terminal who types this."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def command_folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def agreement(tmp_path: Path) -> Agreement:
    """Compiled as flights.agreement beside flights.toml, with the parties' keys in keys/."""
    compiled = compile_toml(write(tmp_path, VALID_NOW))
    save_agreement(tmp_path / "flights.agreement", compiled)
    for person in (AIRLINE, WEATHER, ANALYST):
        person.save(tmp_path / f"keys/{person.id}.key")
    return compiled


@pytest.fixture
def board() -> Iterator[tuple[Board, list[str]]]:
    board = Board()
    with served(board) as address:
        yield board, ["--coordinator", address, "--plaintext"]


def answer(result: tuple[int, str, str]) -> Any:
    status, out, err = result
    assert status == 0, err
    return json.loads(out)


def test_identity_new_and_show(concordat: Command, tmp_path: Path) -> None:
    made = answer(concordat("identity", "new", "airline", "--name", "Wright", "--out", "keys", "--json"))
    assert (tmp_path / "keys/airline.key").stat().st_mode & 0o777 == 0o600
    for file in ("keys/airline.pub", "keys/airline.key"):
        shown = answer(concordat("identity", "show", file, "--json"))
        assert shown["fingerprint"] == made["fingerprint"]
    status, out, _ = concordat("identity", "show", "keys/airline.pub")
    assert status == 0
    assert made["fingerprint"] in out
    status, _, err = concordat("identity", "new", "airline", "--out", "keys")
    assert (status, "nothing was written" in err) == (1, True)


def test_identity_new_writes_both_files_or_none(concordat: Command, tmp_path: Path) -> None:
    (tmp_path / "airline.pub").write_text("mine")
    status, _, _ = concordat("identity", "new", "airline")
    assert status == 1
    assert not (tmp_path / "airline.key").exists()
    status, _, err = concordat("identity", "new", "Not-an-id")
    assert (status, "expected a name like" in err) == (1, True)


def test_identity_with_a_passphrase(concordat: Command, tmp_path: Path) -> None:
    (tmp_path / "passphrase").write_text("open sesame\n")
    (tmp_path / "passphrase").chmod(0o600)
    assert concordat("identity", "new", "airline", "--passphrase-file", "passphrase")[0] == 0
    assert concordat("identity", "show", "airline.key", "--passphrase-file", "passphrase")[0] == 0
    status, _, err = concordat("identity", "show", "airline.key")
    assert (status, "locked with a passphrase" in err) == (1, True)


def test_tls_dev(concordat: Command, tmp_path: Path) -> None:
    written = answer(
        concordat("tls", "dev", "tls", "coordinator", "airline", "--host", "relay.example", "--json")
    )
    assert {Path(path).name for path in written["written"]} == {
        path.name for path in (tmp_path / "tls").iterdir()
    }
    status, out, _ = concordat("tls", "dev", "tls", "weather_service")
    assert (status, "weather_service.key.pem  (keep it private)" in out) == (0, True)
    assert concordat("tls", "dev", "tls", "airline")[0] == 1


def test_compile_writes_what_others_get_too(concordat: Command, agreement: Agreement, tmp_path: Path) -> None:
    made = answer(concordat("agreement", "compile", "flights.toml", "-o", "out.agreement", "--json"))
    assert made["digest"] == agreement.digest().hex()
    assert load_agreement(tmp_path / "out.agreement") == agreement
    status, out, _ = concordat("agreement", "compile", "flights.toml")
    assert (status, agreement.digest().hex() in out) == (0, True)


def test_compile_refuses_what_the_enclave_would(concordat: Command, tmp_path: Path) -> None:
    write(tmp_path, {"AVG(f.delay)": "MAX(f.delay)"})
    status, _, err = concordat("agreement", "compile", "flights.toml")
    assert status == 1
    assert "not output as a maximum (line 1:49)" in err
    assert not (tmp_path / "flights.agreement").exists()


def test_check_tells_a_person_everything(concordat: Command, agreement: Agreement) -> None:
    status, out, _ = concordat("agreement", "check", "flights.agreement")
    assert status == 0
    for said in (
        agreement.digest().hex(),
        "valid: valid from 2020-01-01",
        "this computer's clock says",
        "UNKNOWN ROOT",
        "airline, weather_service (all of them)",
        "asked by    analyst; at most 5 times",
        "received by analyst",
        "mean_delay (float64): the average of flights.delay",
        "at least 24 distinct flights.tailnum of airline (airline asks for 10)",
        "used by no query, and better left out: crew",
        "What could still be worked out",
        "How far one of them reaches at most",
        "weather is unique by hour: at most one of its rows matches",
        "size of the result (coordinator): The sealed result has 4,096",
        "at most 5 runs, 64 ways to choose, 5 different results",
        "count_distinct: no query",
    ):
        assert said in out
    facts = answer(concordat("agreement", "check", "flights.agreement", "--json"))
    assert facts["report"]["queries"][0]["stakes"][1]["fan_out"]["row_reaches_rows"] == 1_000_000
    assert facts["report"]["datasets"][0]["dataset"] == "flights"
    assert facts["queries"][0]["uses"][0]["owner"] == "airline"
    assert facts["validity"]["state"] == "valid"


def test_check_of_an_expired_or_future_agreement_names_the_clock(concordat: Command, tmp_path: Path) -> None:
    past = {"valid_from = 2026": "valid_from = 2020", "valid_until = 2027": "valid_until = 2021"}
    save_agreement(tmp_path / "past.agreement", compile_toml(write(tmp_path, past)))
    status, out, err = concordat("agreement", "check", "past.agreement")
    assert status == 1
    assert "expired: expired at 2021-01-01 00:00:00 UTC; this computer's clock says" in out
    assert "error: agreement flight_delays: expired at" in err
    future = {"valid_from = 2026": "valid_from = 2098", "valid_until = 2027": "valid_until = 2099"}
    save_agreement(tmp_path / "future.agreement", compile_toml(write(tmp_path, future)))
    status, out, _ = concordat("agreement", "check", "future.agreement")
    assert (status, "not-yet-valid: not valid before 2098-01-01" in out) == (0, True)


def test_check_shows_a_refused_query_and_fails(concordat: Command, tmp_path: Path) -> None:
    refused = compile_toml(write(tmp_path, VALID_NOW | {"AVG(f.delay)": "MAX(f.delay)"}))
    save_agreement(tmp_path / "refused.agreement", refused)
    status, out, err = concordat("agreement", "check", "refused.agreement")
    assert status == 1
    assert "REFUSED: query delay_by_wind" in out
    assert "the enclave would refuse this agreement" in err


def test_check_writes_the_report_as_a_page(concordat: Command, agreement: Agreement, tmp_path: Path) -> None:
    status, out, _ = concordat("agreement", "check", "flights.agreement", "--html", "report.html")
    assert status == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert agreement.digest().hex() in page
    assert "Query delay_by_wind" in out  # the text is there as well
    assert concordat("agreement", "check", "flights.agreement", "--html", "report.html")[0] == 0  # made anew


def test_show_is_complete(concordat: Command, agreement: Agreement) -> None:
    facts = answer(concordat("agreement", "show", "flights.agreement", "--json"))
    assert facts["digest"] == agreement.digest().hex()
    assert facts["parties"][0]["fingerprint"] == AIRLINE.public.fingerprint()
    assert facts["valid_from"] == "2020-01-01 00:00:00 UTC"
    assert facts["queries"][0]["sql"] == agreement.queries[0].sql
    status, out, _ = concordat("agreement", "show", "flights.agreement")
    assert status == 0
    for said in (
        AIRLINE.public.fingerprint(),
        "12" * 48,
        "WHERE f.year >= $min_year",
        "int64 or null",
        "crew",
    ):
        assert said in out


def test_diff_in_words(concordat: Command, agreement: Agreement, tmp_path: Path) -> None:
    other = compile_toml(write(tmp_path, VALID_NOW | {"threshold = 10": "threshold = 5"}, name="b.toml"))
    save_agreement(tmp_path / "b.agreement", other)
    status, out, _ = concordat("agreement", "diff", "flights.agreement", "b.agreement")
    assert (status, out) == (0, "dataset flights, threshold: 10 → 5  (looser)\n")
    facts = answer(concordat("agreement", "diff", "flights.agreement", "b.agreement", "--json"))
    assert facts["changes"][0]["path"] == "datasets.flights.threshold"
    _, out, _ = concordat("agreement", "diff", "flights.agreement", "flights.agreement")
    assert out == "The two agreements are the same.\n"


def test_sign_and_approvals(concordat: Command, agreement: Agreement, tmp_path: Path) -> None:
    sign_as = ("agreement", "sign", "flights.agreement", "--yes", "--identity")
    status, out, _ = concordat(*sign_as, "keys/airline.key")
    assert (status, "signed as airline" in out) == (0, True)
    first = tmp_path / "flights.airline.approval"
    status, out, _ = concordat("agreement", "approvals", "flights.agreement", first)
    assert status == 1
    assert "weather_service  MISSING" in out
    assert "Not in force" in out
    made = answer(concordat(*sign_as, "keys/weather_service.key", "-o", "w.approval", "--json"))
    assert made["party"] == "weather_service"
    facts = answer(concordat("agreement", "approvals", "flights.agreement", first, "w.approval", "--json"))
    assert facts["in_force"]
    assert facts["missing"] == []


def test_sign_without_asking_still_says_who_vouches_for_the_enclave(
    concordat: Command, agreement: Agreement, tmp_path: Path
) -> None:
    certificate = load_or_create_root(tmp_path).certificate
    release = replace(agreement.releases[0], root_sha256=fingerprint(certificate))
    save_agreement(tmp_path / "flights.agreement", replace(agreement, releases=(release,)))
    sign_as = ("agreement", "sign", "flights.agreement", "--yes", "--identity", "keys/airline.key")
    status, _, err = concordat(*sign_as)
    assert (status, "UNKNOWN ROOT: release test: " in err) == (0, True)
    root = ("--root", root_path(tmp_path))
    status, _, err = concordat(*sign_as, *root)
    assert (status, "SIMULATED: release test: " in err, "UNKNOWN ROOT" in err) == (0, True, False)
    (warning,) = answer(concordat(*sign_as, *root, "--json"))["warnings"]
    assert warning.startswith("SIMULATED: ")


def test_sign_asks_and_takes_silence_for_no(concordat: Command, agreement: Agreement, tmp_path: Path) -> None:
    status, _, err = concordat("agreement", "sign", "flights.agreement", "--identity", "keys/airline.key")
    assert status == 1
    assert "nobody is here to be asked" in err
    assert "What could still be worked out" in err  # the account is shown before anything is asked
    assert list(tmp_path.glob("*.approval")) == []


@pytest.mark.parametrize(("typed", "status"), [("y\n", 0), ("n\n", 1), ("\n", 1)])
def test_sign_at_a_terminal(
    concordat: Command, agreement: Agreement, monkeypatch: pytest.MonkeyPatch, typed: str, status: int
) -> None:
    monkeypatch.setattr("sys.stdin", Keyboard(typed))
    got, _, err = concordat("agreement", "sign", "flights.agreement", "--identity", "keys/airline.key")
    assert got == status
    assert "Sign flight_delays as airline?" in err
    assert bool(list(Path().glob("*.approval"))) == (status == 0)


def test_sign_refuses_who_is_no_party_and_what_has_expired(
    concordat: Command, agreement: Agreement, tmp_path: Path
) -> None:
    status, _, err = concordat(
        "agreement", "sign", "flights.agreement", "--yes", "--identity", "keys/analyst.key"
    )
    assert (status, "is not a party" in err) == (1, True)
    past = {"valid_from = 2026": "valid_from = 2020", "valid_until = 2027": "valid_until = 2021"}
    save_agreement(tmp_path / "past.agreement", compile_toml(write(tmp_path, past)))
    status, _, err = concordat(
        "agreement", "sign", "past.agreement", "--yes", "--identity", "keys/airline.key"
    )
    assert (status, "expired" in err) == (1, True)
    assert list(tmp_path.glob("*.approval")) == []


def test_approvals_of_another_agreement_are_refused(
    concordat: Command, agreement: Agreement, tmp_path: Path
) -> None:
    other = compile_toml(write(tmp_path, VALID_NOW | {"threshold = 10": "threshold = 5"}, name="b.toml"))
    (tmp_path / "x.approval").write_bytes(sign(other, AIRLINE, now=datetime.now(UTC)))
    status, _, err = concordat("agreement", "approvals", "flights.agreement", "x.approval")
    assert (status, "signed agreement" in err) == (1, True)


def test_board_carries_agreement_and_approvals(
    concordat: Command, agreement: Agreement, tmp_path: Path, board: tuple[Board, list[str]]
) -> None:
    pinned, options = board
    digest = agreement.digest().hex()
    status, out, _ = concordat("agreement", "list", *options)
    assert (status, out) == (0, "There are none.\n")
    assert (
        answer(concordat("agreement", "submit", "flights.agreement", "--json", *options))["digest"] == digest
    )
    assert answer(concordat("agreement", "list", "--json", *options))["digests"] == [digest]
    for person in (AIRLINE, WEATHER):
        (tmp_path / "mine.approval").write_bytes(sign(agreement, person, now=datetime.now(UTC)))
        approve = ("agreement", "approve", "flights.agreement", "--approval", "mine.approval", "--json")
        assert answer(concordat(*approve, *options))["party"] == person.id
    pinned.approvals[agreement.digest()].append(b"rubbish")
    fetch = ("agreement", "fetch", digest, "-o", "got.agreement", "--approvals", "got", "--json")
    facts = answer(concordat(*fetch, *options))
    assert facts["in_force"]
    assert facts["ignored_approvals"] == 1
    assert (tmp_path / "got.agreement").read_bytes() == agreement.encode()
    got = sorted(path.name for path in (tmp_path / "got").iterdir())
    assert got == ["airline.approval", "weather_service.approval"]
    status, out, _ = concordat(*fetch[:-1], *options)
    assert (status, "ignored: 1 message pinned there" in out) == (0, True)


def test_of_two_approvals_of_a_party_the_first_is_fetched(
    concordat: Command, agreement: Agreement, tmp_path: Path, board: tuple[Board, list[str]]
) -> None:
    pinned, options = board
    first = sign(agreement, AIRLINE, now=datetime.now(UTC))
    later = sign(agreement, AIRLINE, now=datetime.now(UTC) + timedelta(days=1))
    pinned.agreements[agreement.digest()] = agreement.encode()
    pinned.approvals[agreement.digest()] = [b"junk", first, later]
    fetch = ("agreement", "fetch", agreement.digest().hex(), "-o", "got.agreement", "--approvals", "got")
    facts = answer(concordat(*fetch, "--json", *options))
    assert (facts["signed"], facts["missing"], facts["ignored_approvals"]) == (
        ["airline"],
        ["weather_service"],
        2,
    )
    assert [path.read_bytes() for path in (tmp_path / "got").iterdir()] == [first]


def test_approval_of_another_agreement_is_not_even_sent(
    concordat: Command, agreement: Agreement, tmp_path: Path, board: tuple[Board, list[str]]
) -> None:
    other = compile_toml(write(tmp_path, VALID_NOW | {"threshold = 10": "threshold = 5"}, name="b.toml"))
    (tmp_path / "x.approval").write_bytes(sign(other, AIRLINE, now=datetime.now(UTC)))
    approve = ("agreement", "approve", "flights.agreement", "--approval", "x.approval")
    assert concordat(*approve, *board[1])[0] == 1
    assert board[0].approvals == {}


def test_fetch_and_submit_notice_a_split_view(
    concordat: Command, agreement: Agreement, tmp_path: Path, board: tuple[Board, list[str]]
) -> None:
    pinned, options = board
    pinned.shown_instead = compile_toml(
        write(tmp_path, VALID_NOW | {"threshold = 10": "threshold = 2"}, name="b.toml")
    ).encode()
    fetch = ("agreement", "fetch", agreement.digest().hex(), "-o", "got.agreement")
    status, _, err = concordat(*fetch, *options)
    assert status == 1
    assert f"asked for agreement {agreement.digest().hex()[:16]}" in err
    assert "do not sign it" in err
    assert not (tmp_path / "got.agreement").exists()
    status, _, err = concordat("agreement", "submit", "flights.agreement", *options)
    assert (status, "do not use this coordinator" in err) == (1, True)


def test_fetch_wants_a_whole_digest(concordat: Command, board: tuple[Board, list[str]]) -> None:
    status, _, err = concordat("agreement", "fetch", "abcd", "-o", "x.agreement", *board[1])
    assert (status, "96 lower-case hexadecimal digits" in err) == (2, True)


def test_approve_over_mutual_tls_is_as_the_party(
    concordat: Command, agreement: Agreement, tmp_path: Path
) -> None:
    tls = tmp_path / "tls"
    make_development_certificates(tls, ["coordinator", "airline"], now=datetime.now(UTC))
    (tmp_path / "mine.approval").write_bytes(sign(agreement, AIRLINE, now=datetime.now(UTC)))
    pinned = Board()
    with served(pinned, tls) as address:
        options = ("--coordinator", address, "--tls", tls)
        submit = ("agreement", "submit", "flights.agreement", "--as", "airline")
        assert concordat(*submit, *options)[0] == 0
        approve = ("agreement", "approve", "flights.agreement", "--approval", "mine.approval")
        status, _, err = concordat(*approve, *options)
        assert status == 0, err
        status, _, err = concordat("agreement", "list", *options)
        assert (status, "--as NAME" in err) == (2, True)
        assert concordat("agreement", "list", "--as", "airline", *options)[0] == 0
    assert pinned.callers == ["airline"]
