"""Two SIMULATED KMS on one machine, by the command: two accounts, two authorities, two regions."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import SSLError
from click.testing import CliRunner

from scenarios.kms.errors import AddressError, StateFolderError
from scenarios.kms.server import KmsServer
from scenarios.kms.service import KmsService
from scenarios.kms.store import KmsStore
from scenarios.simulator import group
from tests.kms_world import ROOT_USER, refused

ENDED_S = 10


@contextmanager
def served(state: Path, *options: str) -> Iterator[tuple[dict[str, Any], subprocess.Popen[str]]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "scenarios.kms", "serve", "--state", str(state), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline()), process
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=ENDED_S)
    assert process.returncode == 0


def run(*arguments: str) -> str:
    result = CliRunner().invoke(group, ["kms", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def variables(text: str) -> dict[str, str]:
    pairs = [word for line in text.splitlines() for word in line.removeprefix("export ").split()]
    return dict(pair.split("=", 1) for pair in pairs)


def client(place: dict[str, Any], found: dict[str, str], ca: str | None = None) -> Any:
    return botocore.session.Session().create_client(
        "kms",
        region_name=place["region"],
        endpoint_url=place["endpoint"],
        verify=ca or place["ca"],
        aws_access_key_id=found["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=found["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=found.get("AWS_SESSION_TOKEN"),
    )


def test_two_endpoints_for_two_parties(tmp_path: Path) -> None:
    shop, bank = tmp_path / "shop", tmp_path / "bank"
    with ExitStack() as stack:
        first, _ = stack.enter_context(served(shop))
        second, _ = stack.enter_context(served(bank, "--account", "444455556666", "--region", "eu-central-1"))
        key = run("key", "--state", str(shop)).strip()
        assert key.startswith("arn:aws:kms:us-east-1:111122223333:key/")
        at_shop = variables(run("credential", "--state", str(shop), "--principal", ROOT_USER))
        assert (at_shop["AWS_REGION"], at_shop["AWS_CA_BUNDLE"]) == ("us-east-1", first["ca"])
        role = "arn:aws:iam::444455556666:role/enclave"
        at_bank = variables(
            run("credential", "--state", str(bank), "--principal", role, "--session", "job", "--minutes", "5")
        )
        blob = client(first, at_shop).encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
        assert client(first, at_shop).decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
        with refused("AccessDeniedException"):
            client(second, at_bank).list_keys()
        with refused("UnrecognizedClientException"):
            client({**second, "region": "eu-central-1"}, at_shop).list_keys()
        with pytest.raises(SSLError):
            client(second, at_bank, ca=first["ca"]).list_keys()


def test_the_log_is_on_standard_error(tmp_path: Path) -> None:
    with served(tmp_path) as (place, process):
        found = variables(run("credential", "--state", str(tmp_path), "--principal", ROOT_USER))
        client(place, found).list_keys()
        assert process.stderr is not None
        record = json.loads(process.stderr.readline())
    assert (record["operation"], record["caller"], record["outcome"]) == ("ListKeys", ROOT_USER, "ok")


def test_the_state_is_private_and_of_one_account(tmp_path: Path) -> None:
    run("key", "--state", str(tmp_path))
    run("credential", "--state", str(tmp_path), "--principal", ROOT_USER)
    for folder, _, names in os.walk(tmp_path):
        for name in names:
            assert stat.S_IMODE((Path(folder) / name).stat().st_mode) == 0o600
    with pytest.raises(StateFolderError, match="expected 111122223333, as when it was made"):
        KmsStore(tmp_path, account="444455556666")
    (tmp_path / "account.json").write_text("{")
    with pytest.raises(StateFolderError, match="cannot be read"):
        KmsStore(tmp_path)


def test_a_policy_that_cannot_be_judged_makes_no_key(tmp_path: Path) -> None:
    bad = tmp_path / "policy.json"
    bad.write_text('{"Statement": {"Effect": "Allow"}}')
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "scenarios.kms",
            "key",
            "--state",
            str(tmp_path / "kms"),
            "--policy",
            str(bad),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("error: key policy: statement 1: Principal: expected one in a key policy")
    assert KmsStore(tmp_path / "kms").every_key() == []


def test_an_address_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        store = KmsStore(tmp_path)
        service = KmsService(store, roots=None, clock=lambda: datetime.now(UTC), log=lambda record: None)
        with pytest.raises(AddressError, match="cannot listen there"):
            KmsServer(taken.getsockname(), service, store.tls_files(datetime.now(UTC)))


def test_the_emulator_and_a_root_exclude_each_other(tmp_path: Path) -> None:
    pem = tmp_path / "root.pem"
    pem.write_text("")
    arguments = [
        "kms",
        "serve",
        "--state",
        str(tmp_path),
        "--unsafe-emulator",
        "--attestation-root",
        str(pem),
    ]
    result = CliRunner().invoke(group, arguments)
    assert result.exit_code == 2
    assert "and beside none" in result.output
