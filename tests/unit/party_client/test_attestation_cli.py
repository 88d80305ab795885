"""`concordat attestation`: exit codes, warnings, and JSON for machines."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from party_client.attestation.errors import AttestationError
from party_client.cli.attestation import group
from tests.conformance.nitro.pki import make_chain
from tests.conformance.nitro.signing import document, pcr, pcr_bank

NOW = datetime.now(UTC)
CHAIN = make_chain(NOW)
NONCE = bytes(range(32))

CODE = [part for index in range(3) for part in (f"--pcr{index}", pcr(f"code {index}").hex())]


@pytest.fixture
def root(tmp_path: Path) -> str:
    path = tmp_path / "root.pem"
    path.write_bytes(CHAIN.root.pem)
    return f"--root={path}"


def fresh() -> bytes:
    """Signed when it is asked for: a suite may run for longer than a document counts as fresh."""
    return document(CHAIN, datetime.now(UTC), nonce=NONCE)


def debug() -> bytes:
    return document(CHAIN, datetime.now(UTC), pcrs=pcr_bank(pcr0=bytes(48), pcr1=bytes(48), pcr2=bytes(48)))


def run(*arguments: str, data: bytes | None = None) -> Result:
    return CliRunner().invoke(group, [*arguments], input=fresh() if data is None else data)


def facts(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def code(result: Result) -> str:
    assert result.exit_code == 1
    assert isinstance(result.exception, AttestationError)
    return result.exception.code


def test_a_fresh_document_with_nonce_and_measurements_is_verified(root: str) -> None:
    result = run("verify", "-", root, "--nonce", NONCE.hex(), *CODE)
    assert result.exit_code == 0
    assert result.stdout.startswith("verified\n")
    assert "the root is NOT AWS's" in result.stdout
    assert "this may be a replay" not in result.stdout


def test_a_file_is_read_as_well_as_standard_input(root: str, tmp_path: Path) -> None:
    (tmp_path / "document.cbor").write_bytes(fresh())
    assert run("verify", str(tmp_path / "document.cbor"), root, *CODE, data=b"").exit_code == 0
    assert run("verify", str(tmp_path / "absent.cbor"), root, *CODE).exit_code == 2


def test_without_a_nonce_the_output_says_that_it_may_be_a_replay(root: str) -> None:
    result = run("verify", "-", root, *CODE)
    assert result.exit_code == 0
    assert "UNSAFE: no --nonce given" in result.stdout


def test_what_is_unsafe_says_so_in_the_output(root: str) -> None:
    result = run("verify", "-", root, "--any-measurement", "--allow-debug", "--at-signed-time", data=debug())
    assert result.exit_code == 0
    assert result.stdout.startswith("verified (replay)\n")
    for warning in ("NOT AWS's", "REPLAY: ", "the code is unknown", "UNSAFE: debug mode;"):
        assert warning in result.stdout


def test_a_simulated_root_is_called_simulated(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    chain = make_chain(now, root={"common_name": "simulated.nitro-enclaves"})
    (tmp_path / "root.pem").write_bytes(chain.root.pem)
    result = run("verify", "-", f"--root={tmp_path / 'root.pem'}", *CODE, data=document(chain, now))
    assert "SIMULATED: the root is NOT AWS's" in result.stdout


def test_the_help_calls_unsafe_what_is() -> None:
    text = run("verify", "--help").stdout
    assert text.count("UNSAFE") == 3
    assert "not AWS's" in text


def test_json_tells_everything(root: str) -> None:
    found = facts(run("verify", "-", root, "--nonce", NONCE.hex(), "--json", *CODE))
    assert (found["verified"], found["how"], found["nonce_compared"]) == (True, "live", True)
    assert found["root"]["is_aws"] is False
    assert found["pcrs"]["0"] == pcr("code 0").hex()
    assert len(found["warnings"]) == 1


def test_refusals_are_errors_with_a_code_and_json_on_request(root: str) -> None:
    assert code(run("verify", "-", *CODE)) == "attestation/untrusted-root"
    assert code(run("verify", "-", root, *CODE, "--nonce", bytes(32).hex())) == "attestation/nonce-mismatch"
    assert code(run("verify", "-", root, "--any-measurement", data=debug())) == "attestation/debug-mode"
    assert code(run("verify", "-", root, *CODE, data=bytes(20_000))) == "attestation/size"
    refused = run("verify", "-", "--json", *CODE)
    assert code(refused) == facts(refused)["code"]
    assert facts(refused)["verified"] is False


def test_an_expectation_of_zeros_is_refused(root: str) -> None:
    zeros = [part for index in range(3) for part in (f"--pcr{index}", "00" * 48)]
    assert code(run("verify", "-", root, *zeros, data=debug())) == "attestation/expectation-malformed"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "which code may run?"),
        (CODE[:2], "all three"),
        (CODE[:4], "all three"),
        ([*CODE, "--any-measurement"], "contradict"),
        (["--any-measurement", "--at-signed-time", "--nonce", "00"], "--nonce proves freshness"),
        (["--pcr0", "xyz", *CODE[2:]], "hexadecimal"),
        (["--pcr0", "00", *CODE[2:]], "expected 48"),
        (["--root", "absent.pem", *CODE], "absent.pem"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], told: str) -> None:
    result = run("verify", "-", *arguments)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())


def test_a_root_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "root.pem").write_bytes(b"nothing")
    assert code(run("verify", "-", f"--root={tmp_path / 'root.pem'}", *CODE)) == "attestation/root-file"


def test_explain_shows_and_verifies_nothing() -> None:
    result = run("explain", "-")
    assert result.exit_code == 0
    assert "NOTHING here is verified" in result.stdout
    assert facts(run("explain", "-", "--json"))["verified"] is False
    assert run("explain", "-", data=b"anything").exit_code == 0
