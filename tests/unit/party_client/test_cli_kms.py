"""`concordat kms` as people and programs use it: what is printed and written, and how it ends."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from party_client.agreements import compile_toml
from party_client.agreements.agreement_file import save_agreement
from protos.formats.agreement import Agreement
from protos.release.roots import UNSIGNED_EMULATOR_SHA256
from tests.unit.party_client.kms_key import (
    ACCOUNT,
    ADMINISTRATOR,
    FIRST,
    KEY_ARN,
    KEY_ID,
    PARENT,
    SECOND,
)
from tests.unit.party_client.whole_stack import Command
from tests.unit.party_client.written_agreement import write

VALID_NOW = {"valid_from = 2026": "valid_from = 2020", "valid_until = 2027": "valid_until = 2099"}
WHERE = (
    *("--party", "airline", "--account", ACCOUNT, "--region", "eu-central-1", "--role", "concordat-enclave"),
    *("--parent", PARENT, "--administrator", ADMINISTRATOR),
)


@pytest.fixture
def command_folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def agreed(tmp_path: Path) -> Agreement:
    """flights.agreement with two releases under AWS's root."""
    made = replace(compile_toml(write(tmp_path, VALID_NOW)), releases=(FIRST, SECOND))
    save_agreement(tmp_path / "flights.agreement", made)
    return made


def planned(concordat: Command, *options: str) -> dict[str, Any]:
    status, out, err = concordat("kms", "plan", "flights.agreement", *WHERE, "--format", "json", *options)
    assert status == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def exported(made: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    """What AWS would answer about a key with this plan's policy."""
    sound = {"KeyState": "Enabled", "KeyUsage": "ENCRYPT_DECRYPT", "KeySpec": "SYMMETRIC_DEFAULT"}
    sound |= {"Arn": KEY_ARN, "KeyId": KEY_ID, "KeyManager": "CUSTOMER", "Origin": "AWS_KMS"}
    return {
        "DescribeKey": {"KeyMetadata": sound | {"MultiRegion": False} | metadata},
        "GetKeyPolicy": {"Policy": json.dumps(made["key_policy"])},
        "ListGrants": {"Grants": []},
    }


def test_plan_for_programs(concordat: Command, agreed: Agreement) -> None:
    made = planned(concordat)
    assert made["agreement"] == agreed.digest().hex()
    assert [one["name"] for one in made["releases"]] == ["1.0.0", "1.1.0"]
    assert made["alias"] == "alias/concordat-flight_delays-airline"
    assert made["encryption_contexts"][0]["dataset"] == "flights"
    assert made["role"]["external_id"] == agreed.digest().hex()
    assert made["simulated"] is False


def test_plan_for_people(concordat: Command, agreed: Agreement) -> None:
    status, out, _ = concordat("kms", "plan", "flights.agreement", *WHERE)
    assert status == 0
    assert "release    1.0.0, PCR0 101010" in out
    assert f"changes it {ADMINISTRATOR}: trusted not to" in out
    assert '"Sid": "DenyUseByOtherCode"' in out


def test_plan_as_a_file(concordat: Command, agreed: Agreement, tmp_path: Path) -> None:
    options = ("--format", "terraform", "-o", "kms.tf.json")
    status, out, _ = concordat("kms", "plan", "flights.agreement", *WHERE, *options)
    assert (status, out) == (0, "")
    assert "aws_kms_key" in json.loads((tmp_path / "kms.tf.json").read_text())["resource"]
    status, _, err = concordat("kms", "plan", "flights.agreement", *WHERE, "-o", "kms.txt")
    assert (status, "add --format json" in err) == (2, True)


def test_plan_refuses_what_aws_never_sees(concordat: Command, tmp_path: Path) -> None:
    played = replace(FIRST, root_sha256=UNSIGNED_EMULATOR_SHA256)
    made = replace(compile_toml(write(tmp_path, VALID_NOW)), releases=(played,))
    save_agreement(tmp_path / "flights.agreement", made)
    status, out, err = concordat("kms", "plan", "flights.agreement", *WHERE)
    assert (status, out) == (1, "")
    assert "add --simulated-kms" in err
    status, out, err = concordat("kms", "plan", "flights.agreement", *WHERE, "--simulated-kms")
    assert status == 0
    assert "SIMULATED KMS" in err
    assert "SIMULATED KMS" in out


def test_check_ends_with_0_for_what_was_planned(
    concordat: Command, agreed: Agreement, tmp_path: Path
) -> None:
    (tmp_path / "key.json").write_text(json.dumps(exported(planned(concordat))))
    status, out, _ = concordat("kms", "check", "flights.agreement", *WHERE, "--from", "key.json")
    assert status == 0
    assert "sound: it opens for the releases above under this agreement, and for nobody else" in out
    assert "not read: IAM policies" in out
    status, out, _ = concordat("kms", "check", "flights.agreement", *WHERE, "--from", "key.json", "--json")
    assert (status, json.loads(out)["sound"]) == (0, True)


def test_check_ends_with_1_and_says_what_to_change(
    concordat: Command, agreed: Agreement, tmp_path: Path
) -> None:
    (tmp_path / "key.json").write_text(json.dumps(exported(planned(concordat), Origin="EXTERNAL")))
    status, out, _ = concordat("kms", "check", "flights.agreement", *WHERE, "--from", "key.json")
    assert status == 1
    assert "[imported-material]" in out
    assert "change  let KMS make the key" in out
    assert "not sound: 1 finding" in out
    status, out, _ = concordat("kms", "check", "flights.agreement", *WHERE, "--from", "key.json", "--json")
    (finding,) = json.loads(out)["findings"]
    assert (status, finding["code"]) == (1, "imported-material")


def test_check_ends_with_2_for_wrong_usage(concordat: Command, agreed: Agreement) -> None:
    assert concordat("kms", "check", "flights.agreement", *WHERE)[0] == 2
    both = ("--key", KEY_ID, "--from", "flights.agreement")
    assert concordat("kms", "check", "flights.agreement", *WHERE, *both)[0] == 2
    assert concordat("kms", "check", "flights.agreement", "--party", "airline")[0] == 2


def test_check_of_a_file_that_is_no_export(concordat: Command, agreed: Agreement) -> None:
    status, _, err = concordat("kms", "check", "flights.agreement", *WHERE, "--from", "flights.agreement")
    assert (status, "is not JSON" in err) == (1, True)


def test_an_agreement_for_somebody_else(concordat: Command, agreed: Agreement) -> None:
    status, _, err = concordat("kms", "plan", "flights.agreement", "--party", "bank", *WHERE[2:])
    assert (status, "expected one of" in err) == (1, True)
