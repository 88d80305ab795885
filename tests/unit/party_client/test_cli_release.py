"""`concordat release` and `concordat agreement release-change` as people type them; what agreements read."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from party_client.agreements import compile_toml, load_agreed, load_agreement
from party_client.agreements.agreement_file import save_agreement
from party_client.agreements.errors import AgreementFileError, AgreementTextError
from party_client.published import signature_files
from party_client.release_memory import require_not_older
from protos.formats.agreement import Agreement
from protos.formats.errors import ConcordatError, SignatureError
from protos.release.measurements import PublishedMeasurements
from protos.release.roots import AWS_NITRO_ROOT_G1_SHA256, UNSIGNED_EMULATOR_SHA256
from tests.unit.party_client.whole_stack import Command
from tests.unit.party_client.written_agreement import (
    AIRLINE,
    ANALYST,
    ROOT_SHA256,
    TEXT,
    WEATHER,
    write,
)

QUORUM = {
    "valid_from = 2026": "valid_from = 2020",
    "valid_until = 2027-01-01T00:00:00Z\n": "valid_until = 2099-01-01T00:00:00Z\nrelease_quorum = 2\n",
}
ADDED = f"""\
[[releases]]
name = "2.0"
pcr0 = "{"20" * 48}"
pcr1 = "{"21" * 48}"
pcr2 = "{"22" * 48}"
root_sha256 = "{ROOT_SHA256}"
valid_from = 2026-06-01T00:00:00Z
valid_until = 2099-01-01T00:00:00Z
"""
MEASUREMENTS = PublishedMeasurements(
    "2.0",
    "2026-11-27",
    b"\x20" * 48,
    b"\x21" * 48,
    b"\x22" * 48,
    inputs={"source": "git:" + "0a" * 20},
)


@pytest.fixture
def command_folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def agreement(tmp_path: Path) -> Agreement:
    """Compiled as flights.agreement, whose two parties may change its releases together."""
    compiled = compile_toml(write(tmp_path, QUORUM))
    save_agreement(tmp_path / "flights.agreement", compiled)
    for person in (AIRLINE, WEATHER, ANALYST):
        person.save(tmp_path / f"keys/{person.id}.key")
    (tmp_path / "release.toml").write_text(ADDED)
    return compiled


@pytest.fixture
def measurements(tmp_path: Path) -> Path:
    """As a builder publishes them, signed by nobody; the parties' keys are there."""
    write(tmp_path)
    for person in (AIRLINE, WEATHER):
        if not (tmp_path / f"keys/{person.id}.key").exists():
            person.save(tmp_path / f"keys/{person.id}.key")
    path = tmp_path / "measurements.json"
    path.write_bytes(MEASUREMENTS.encode())
    return path


def answer(result: tuple[int, str, str]) -> Any:
    status, out, err = result
    assert status == 0, err
    return json.loads(out)


def at(year: int, month: int = 1) -> int:
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp())


# --- measurements ------------------------------------------------------------------------------------------


def test_measurements_are_signed_and_verified(concordat: Command, measurements: Path) -> None:
    signers = ["--signer", "keys/airline.pub", "--signer", "keys/weather_service.pub"]
    status, _, err = concordat("release", "verify", measurements, *signers)
    assert (status, "signed by none of the 2 signers that count, expected 2" in err) == (1, True)
    made = answer(concordat("release", "sign", measurements, "--identity", "keys/airline.key", "--json"))
    assert made == {"file": f"{measurements}.airline.sig", "signer": "airline", "version": "2.0"}
    found = answer(concordat("release", "verify", measurements, *signers, "--needed", "1", "--json"))
    assert (found["verified"], found["signed_by"]) == (True, ["airline"])
    assert found["pcrs"]["pcr0"] == "20" * 48
    assert concordat("release", "verify", measurements, *signers)[0] == 1
    assert concordat("release", "sign", measurements, "--identity", "keys/weather_service.key")[0] == 0
    status, out, _ = concordat("release", "verify", measurements, *signers)
    assert (status, "verified: signed by airline, weather_service" in out) == (0, True)
    status, _, err = concordat("release", "verify", measurements)
    assert (status, "--signer" in err) == (2, True)


def test_measurements_that_changed_are_refused(concordat: Command, measurements: Path) -> None:
    concordat("release", "sign", measurements, "--identity", "keys/airline.key")
    measurements.write_bytes(measurements.read_bytes().replace(b"20" * 48, b"30" * 48))
    status, _, err = concordat("release", "verify", measurements, "--signer", "keys/airline.pub")
    assert (status, "airline signed another file" in err) == (1, True)


def test_what_is_only_shown_says_that_nobody_vouches(concordat: Command, measurements: Path) -> None:
    status, out, _ = concordat("release", "show", measurements)
    assert status == 0
    assert "not verified" in out
    assert f"PCR2     {'22' * 48}" in out
    assert "input    source  git:0a0a" in out


def test_toml_of_measurements_compiles(concordat: Command, measurements: Path, tmp_path: Path) -> None:
    concordat("release", "sign", measurements, "--identity", "keys/airline.key")
    status, out, _ = concordat("release", "toml", measurements, "--signer", "keys/airline.pub")
    assert status == 0
    path = write(tmp_path)
    path.write_text(TEXT.partition("[[releases]]")[0] + out)
    (release,) = compile_toml(path).releases
    assert release == MEASUREMENTS.release(root_sha256=AWS_NITRO_ROOT_G1_SHA256)
    emulated = ("--signer", "keys/airline.pub", "--unsafe-emulator")
    _, out, _ = concordat("release", "toml", measurements, *emulated)
    assert f'root_sha256 = "{UNSIGNED_EMULATOR_SHA256.hex()}"' in out
    status, out, _ = concordat("release", "toml", measurements, "--signer", "keys/weather_service.pub")
    assert (status, out) == (1, "")


# --- in an agreement ---------------------------------------------------------------------------------------


def with_releases(folder: Path, releases: str) -> Path:
    path = write(folder)
    path.write_text(TEXT.partition("[[releases]]")[0] + releases)
    return path


PUBLISHED = """\
[[releases]]
file = "measurements.json"
signers = ["keys/airline.pub", "keys/weather_service.pub"]
signers_needed = 1
valid_until = 2026-06-01T00:00:00Z
"""


def test_an_agreement_names_published_measurements(
    concordat: Command, measurements: Path, tmp_path: Path
) -> None:
    with pytest.raises(SignatureError, match="signed by none of the 2"):
        compile_toml(with_releases(tmp_path, PUBLISHED))
    concordat("release", "sign", measurements, "--identity", "keys/airline.key")
    (release,) = compile_toml(with_releases(tmp_path, PUBLISHED)).releases
    assert release == MEASUREMENTS.release(root_sha256=AWS_NITRO_ROOT_G1_SHA256, valid_until_s=at(2026, 6))
    with_root = PUBLISHED + f'root_sha256 = "{ROOT_SHA256}"\n'
    assert compile_toml(with_releases(tmp_path, with_root)).releases[0].root_sha256.hex() == ROOT_SHA256


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("signers_needed = 1", "signers_needed = 0", "expected at least one"),
        ("signers_needed = 1", "", "signed by airline of the 2 signers that count, expected 2"),
        ('signers = ["keys/airline.pub", "keys/weather_service.pub"]\n', "", "`signers` is missing"),
        ("valid_until = 2026-06-01T00:00:00Z", "valid_until = 2026-06-01", "must be a time with a zone"),
        ("valid_until", "valid_to", "unknown key `valid_to`"),
    ],
)
def test_published_measurements_have_to_be_signed(
    concordat: Command, measurements: Path, old: str, new: str, message: str
) -> None:
    tmp_path = measurements.parent
    concordat("release", "sign", measurements, "--identity", "keys/airline.key")
    with pytest.raises(ConcordatError, match=message):
        compile_toml(with_releases(tmp_path, PUBLISHED.replace(old, new)))


def test_too_many_signature_files_are_refused(measurements: Path) -> None:
    for number in range(65):
        measurements.with_name(f"measurements.json.{number}.sig").touch()
    with pytest.raises(ConcordatError, match="got 65 signature files beside it, expected at most 64"):
        signature_files(measurements)


@pytest.mark.parametrize("content", [b"", b"junk", bytes(200)])
def test_junk_among_the_signature_files_is_named(
    concordat: Command, measurements: Path, content: bytes
) -> None:
    concordat("release", "sign", measurements, "--identity", "keys/airline.key")
    junk = measurements.with_name("measurements.json.backup.sig")
    junk.write_bytes(content)
    status, _, err = concordat("release", "verify", measurements, "--signer", "keys/airline.pub")
    assert (status, f"error: {junk}: is no signature" in err, "or move it away" in err) == (1, True, True)


def test_a_validity_beside_a_file_narrows(tmp_path: Path) -> None:
    (tmp_path / "release.toml").write_text(ADDED)

    def validity(*lines: str) -> tuple[int | None, int | None]:
        releases = "\n".join(['[[releases]]\nfile = "release.toml"', *lines, ""])
        (release,) = compile_toml(with_releases(tmp_path, releases)).releases
        return release.valid_from_s, release.valid_until_s

    assert validity() == (at(2026, 6), at(2099))
    assert validity("valid_from = 2026-01-01T00:00:00Z") == (at(2026, 6), at(2099))
    assert validity("valid_from = 2026-07-01T00:00:00Z") == (at(2026, 7), at(2099))
    assert validity("valid_until = 2100-01-01T00:00:00Z") == (at(2026, 6), at(2099))
    assert validity("valid_until = 2026-08-01T00:00:00Z") == (at(2026, 6), at(2026, 8))
    with pytest.raises(AgreementTextError, match="ends before it begins"):
        validity("valid_until = 2026-06-01T00:00:00Z")


def test_check_and_show_say_when_and_who(concordat: Command, tmp_path: Path) -> None:
    changes = {
        **QUORUM,
        f'root_sha256 = "{ROOT_SHA256}"\n': f'root_sha256 = "{ROOT_SHA256}"\n'
        "valid_until = 2040-01-01T00:00:00Z\n",
    }
    compiled = compile_toml(write(tmp_path, changes))
    save_agreement(tmp_path / "flights.agreement", compiled)
    _, out, _ = concordat("agreement", "show", "flights.agreement")
    assert "until 2040-01-01 00:00:00 UTC" in out
    assert "any 2 of 2 parties together" in out
    _, out, _ = concordat("agreement", "check", "flights.agreement", "--html", "report.html")
    assert "No release is valid from 2040-01-01 00:00:00 UTC until 2099-01-01 00:00:00 UTC" in out
    page = (tmp_path / "report.html").read_text()
    for said in ("valid until 2040-01-01 00:00:00 UTC", "any 2 of 2 parties together", "No release is valid"):
        assert said in page
    save_agreement(
        tmp_path / "lax.agreement", compile_toml(write(tmp_path, {**changes, "quorum = 2": "quorum = 1"}))
    )
    _, out, _ = concordat("agreement", "check", "lax.agreement")
    assert "Any 1 of the 2 parties can together accept other enclave code" in out
    assert "1 is no majority of 2" in out
    _, out, _ = concordat("agreement", "diff", "flights.agreement", "lax.agreement")
    assert "parties who may change releases: 2 → 1" in out


# --- changes -----------------------------------------------------------------------------------------------

CHANGE = ("agreement", "release-change")
END = ("--end", "test=2026-12-01T00:00:00Z")


def propose(concordat: Command, *options: str, output: str = "second.change") -> tuple[int, str, str]:
    return concordat(*CHANGE, "propose", "flights.agreement", *options, "-o", output)


def sign(concordat: Command, who: str, change: str = "second.change") -> tuple[int, str, str]:
    return concordat(*CHANGE, "sign", "flights.agreement", change, "--identity", f"keys/{who}.key", "--yes")


def change(concordat: Command, *options: str) -> int:
    """Proposed, signed by both parties, applied."""
    propose(concordat, *options)
    who = ("airline", "weather_service")
    approvals = [sign(concordat, each)[1].split()[0] for each in who]
    return concordat(*CHANGE, "apply", "flights.agreement", "second.change", *approvals)[0]


def test_two_parties_move_to_another_release(
    concordat: Command, agreement: Agreement, tmp_path: Path
) -> None:
    status, out, err = propose(concordat, "--add", "release.toml", *END)
    assert status == 0, err
    assert "adds release '2.0', valid from 2026-06-01 00:00:00 UTC until 2099-01-01" in out
    assert "ends release 'test' at 2026-12-01 00:00:00 UTC" in out
    assert "counts once 2 of 2 parties have signed it" in out
    assert sign(concordat, "airline")[0] == 0
    one = ("second.change", "second.change.airline.approval")
    status, _, err = concordat(*CHANGE, "apply", "flights.agreement", *one)
    assert (status, "got 1 of 2 parties (airline), expected 2" in err) == (1, True)
    shown = answer(concordat(*CHANGE, "show", "flights.agreement", *one, "--json"))
    assert (shown["signed_by"], shown["gaps"]) == (["airline"], [])
    assert sign(concordat, "weather_service")[0] == 0
    # In any order, as a shell lists them.
    both = ("second.change.weather_service.approval", "second.change.airline.approval")
    applied = answer(concordat(*CHANGE, "apply", "flights.agreement", "second.change", *both, "--json"))
    assert applied["changes"][0]["signed_by"] == ["airline", "weather_service"]
    agreed = load_agreed(tmp_path / "flights.agreement")
    assert agreed.agreement == agreement
    assert [(release.name, release.valid_until_s) for release in agreed.releases] == [
        ("test", at(2026, 12)),
        ("2.0", at(2099)),
    ]
    for command in ("show", "check"):
        _, out, _ = concordat("agreement", command, "flights.agreement")
        after = out.partition("Releases after the changes in this file")[2]
        assert "release '2.0', valid from 2026-06-01" in after
        assert agreement.digest().hex() in out


def test_an_added_release_has_a_name_of_its_own(concordat: Command, agreement: Agreement) -> None:
    Path("same.toml").write_text(ADDED.replace('"2.0"', '"test"'))
    for added in (["--add", "same.toml"], ["--add", "release.toml", "--add", "release.toml"]):
        status, _, err = propose(concordat, *added)
        assert (status, "got 2 releases of this name" in err) == (1, True)


def test_a_file_with_changes_is_never_read_without_them(
    concordat: Command, agreement: Agreement, tmp_path: Path
) -> None:
    assert change(concordat, *END) == 0
    approvals = ("second.change.airline.approval", "second.change.weather_service.approval")
    with pytest.raises(AgreementFileError, match="got an agreement with 1 release changes"):
        load_agreement(tmp_path / "flights.agreement")
    status, _, err = concordat(*CHANGE, "apply", "flights.agreement", "second.change", *approvals)
    assert (status, "expected number 2" in err) == (1, True)
    data = (tmp_path / "flights.agreement").read_bytes()
    (tmp_path / "damaged.agreement").write_bytes(data.replace(agreement.digest(), bytes(48)))
    status, _, err = concordat(*CHANGE, "show", "damaged.agreement")
    assert (status, "expected" in err) == (1, True)


def test_an_older_file_is_told_apart(concordat: Command, agreement: Agreement, tmp_path: Path) -> None:
    save_agreement(tmp_path / "before.agreement", agreement)
    both = ("agreement", "diff", "before.agreement", "flights.agreement")
    assert "Releases by" not in concordat(*both)[1]
    assert change(concordat, *END) == 0
    _, out, _ = concordat(*both)
    assert "until 2026-12-01 00:00:00 UTC" in out.partition("Releases by flights.agreement")[2]
    assert answer(concordat(*both, "--json"))["same_release_changes"] is False
    require_not_older(load_agreed(tmp_path / "flights.agreement"), tmp_path / "home/releases")
    there = ("--coordinator", "127.0.0.1:1", "--plaintext", "--state", tmp_path / "home")
    status, _, err = concordat("job", "verify", "0" * 16, "--agreement", "before.agreement", *there)
    assert (status, "this client has relied on 1" in err) == (1, True)


def test_a_gap_is_said_before_anybody_signs(concordat: Command, agreement: Agreement) -> None:
    status, out, _ = propose(concordat, "--add", "release.toml", "--end", "test=2026-05-01T00:00:00Z")
    assert status == 0
    assert "no release is valid from 2026-05-01 00:00:00 UTC until 2026-06-01 00:00:00 UTC" in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--end", "test=2100-01-01T00:00:00Z"), "expected an earlier end"),
        (("--end", "other=2026-01-01T00:00:00Z"), "got 0 releases of this name, expected one"),
        (("--end", "test=2026-01-01"), "with a zone"),
        (("--end", "2026-01-01T00:00:00Z"), "with a zone"),
        (("--add", "another.toml"), "expected one that the agreement's own releases are under"),
        (("--add", "endless.toml"), "got one end of its validity or none, expected both"),
        ((), "0 added and 0 ended"),
    ],
)
def test_what_could_not_stand_is_not_proposed(
    concordat: Command, agreement: Agreement, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    (tmp_path / "another.toml").write_text(ADDED.replace(ROOT_SHA256, "cd" * 32))
    (tmp_path / "endless.toml").write_text(ADDED.replace("valid_until = 2099-01-01T00:00:00Z\n", ""))
    status, _, err = propose(concordat, *options)
    assert status in (1, 2)
    assert message in err
    assert not (tmp_path / "second.change").exists()


def test_only_parties_sign_and_only_after_reading(
    concordat: Command, agreement: Agreement, tmp_path: Path
) -> None:
    propose(concordat, "--add", "release.toml")
    status, _, err = sign(concordat, "analyst")
    assert (status, "analyst" in err) == (1, True)
    status, _, err = concordat(
        *CHANGE, "sign", "flights.agreement", "second.change", "--identity", "keys/airline.key"
    )
    assert (status, "nobody is here to be asked" in err, "adds release '2.0'" in err) == (1, True, True)
    assert not list(tmp_path.glob("*.approval"))


def test_a_change_of_another_agreement_is_not_signed(
    concordat: Command, agreement: Agreement, tmp_path: Path
) -> None:
    propose(concordat, "--add", "release.toml")
    other = compile_toml(write(tmp_path, {**QUORUM, "Delays by wind": "Delays by rain"}))
    save_agreement(tmp_path / "flights.agreement", other)
    status, _, err = sign(concordat, "airline")
    assert (status, "got one of agreement" in err) == (1, True)


def test_an_agreement_without_a_quorum_has_no_changes(concordat: Command, tmp_path: Path) -> None:
    path = write(tmp_path, {key: value.replace("release_quorum = 2\n", "") for key, value in QUORUM.items()})
    save_agreement(tmp_path / "flights.agreement", compile_toml(path))
    (tmp_path / "release.toml").write_text(ADDED)
    status, _, err = propose(concordat, "--add", "release.toml")
    assert (status, "allows no changes" in err) == (1, True)
