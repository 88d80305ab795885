"""A planned key policy in place at the SIMULATED KMS: who gets the data key, and what `kms check` says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from party_client.kms import KeyReport, KeyTerms, check_key, plan
from party_client.kms.live import Reader
from party_client.kms.snapshot import read_snapshot_untrusted
from tests.kms_world import ROOT_USER, KmsWorld, refused, running
from tests.unit.party_client.kms_key import (
    ADMINISTRATOR,
    FIRST,
    PLACE,
    ROLE,
    SEALER,
    SECOND,
    terms,
)

REGION = "us-east-1"


@dataclass
class InPlace:
    """A key with the planned policy, and one data key of it that the sealer made."""

    world: KmsWorld
    terms: KeyTerms
    arn: str
    blob: bytes
    context: dict[str, str]

    def decrypt(self, who: str, pcrs: dict[int, bytes] | None, **changes: str) -> Any:
        """As somebody, from an enclave with these registers or from none."""
        more = {} if pcrs is None else {"Recipient": self.world.recipient(pcrs)}
        return self.world.client(who).decrypt(
            KeyId=self.arn, CiphertextBlob=self.blob, EncryptionContext=self.context | changes, **more
        )

    def registers(self, **changes: bytes) -> dict[int, bytes]:
        """Of the first release under the agreement, with changes by name."""
        right = {
            0: FIRST.pcr0,
            1: FIRST.pcr1,
            2: FIRST.pcr2,
            16: bytes.fromhex(self.terms.agreement_register),
        }
        return right | {int(name.removeprefix("pcr")): value for name, value in changes.items()}


@pytest.fixture(scope="module")
def in_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InPlace]:
    folder = tmp_path_factory.mktemp("planned")
    of = replace(
        terms(folder, (FIRST, SECOND), replace(PLACE, region=REGION)),
        valid_from_s=1_600_000_000,
        valid_until_s=4_000_000_000,
    )
    with running(folder / "kms", region=REGION) as world:
        arn = world.key(json.dumps(plan(of).key_policy))
        context = of.encryption_context("flights")
        made = world.client(SEALER).generate_data_key(KeyId=arn, KeySpec="AES_256", EncryptionContext=context)
        assert len(made["Plaintext"]) == 32
        yield InPlace(world, of, arn, made["CiphertextBlob"], context)


def test_the_agreed_enclave_gets_the_data_key(in_place: InPlace) -> None:
    answer = in_place.decrypt(ROLE, in_place.registers())
    assert answer["CiphertextForRecipient"]
    assert not answer.get("Plaintext")


@pytest.mark.parametrize(
    "changes",
    [
        {"pcr0": bytes([0xFE]) * 48},
        {"pcr16": bytes([0xFE]) * 48},
        {"pcr0": bytes(48), "pcr1": bytes(48), "pcr2": bytes(48)},
        {"pcr1": SECOND.pcr1},
        {"pcr2": SECOND.pcr2},
        {"pcr0": SECOND.pcr0},
    ],
    ids=["other image", "other agreement", "debug", "PCR1 of two", "PCR2 of two", "PCR0 of two"],
)
def test_another_enclave_does_not(in_place: InPlace, changes: dict[str, bytes]) -> None:
    with refused("AccessDeniedException"):
        in_place.decrypt(ROLE, in_place.registers(**changes))


@pytest.mark.parametrize("who", [ROLE, ADMINISTRATOR, SEALER, ROOT_USER])
def test_nobody_does_without_a_document(in_place: InPlace, who: str) -> None:
    with refused("AccessDeniedException"):
        in_place.decrypt(who, None)


@pytest.mark.parametrize("who", [ADMINISTRATOR, SEALER, ROOT_USER])
def test_nobody_else_does_with_one(in_place: InPlace, who: str) -> None:
    with refused("AccessDeniedException"):
        in_place.decrypt(who, in_place.registers())


def test_other_data_does_not_open(in_place: InPlace) -> None:
    with refused("AccessDeniedException"):
        in_place.decrypt(ROLE, in_place.registers(), dataset="weather")
    with refused("AccessDeniedException"):
        in_place.decrypt(ROLE, in_place.registers(), further="entry")


def test_the_role_changes_nothing(in_place: InPlace) -> None:
    client = in_place.world.client(ROLE)
    with refused("AccessDeniedException"):
        client.put_key_policy(KeyId=in_place.arn, Policy="{}")
    for operations in (["Decrypt"], ["CreateGrant"]):
        with refused("AccessDeniedException"):
            client.create_grant(KeyId=in_place.arn, GranteePrincipal=ROLE, Operations=operations)


def checked(in_place: InPlace, monkeypatch: pytest.MonkeyPatch, folder: Path) -> KeyReport:
    """What `kms check` finds, read by the administrator from the running server."""
    credential = in_place.world.credential(ADMINISTRATOR)
    for name, value in {
        "AWS_ACCESS_KEY_ID": credential.access_key_id,
        "AWS_SECRET_ACCESS_KEY": credential.secret_access_key,
        "AWS_SESSION_TOKEN": str(credential.session_token),
        "AWS_CONFIG_FILE": str(folder / "no-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "no-credentials"),
    }.items():
        monkeypatch.setenv(name, value)
    reader = Reader(
        REGION, endpoint=in_place.world.endpoint, authority=Path(in_place.world.store.authority_path)
    )
    return check_key(in_place.terms, read_snapshot_untrusted(reader.read(in_place.arn)))


def test_check_reads_the_running_server(
    in_place: InPlace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Sound as planned, but for what this server does not have; and a hole that is put in is found."""
    codes = {finding.code for finding in checked(in_place, monkeypatch, tmp_path).findings}
    assert codes <= {"rotation-off"}
    policy = json.loads(json.dumps(plan(in_place.terms).key_policy))
    administrator = in_place.world.client(ADMINISTRATOR)
    policy["Statement"] = [one for one in policy["Statement"] if one["Effect"] == "Allow"]
    policy["Statement"].append(
        {
            "Sid": "Hole",
            "Effect": "Allow",
            "Principal": {"AWS": ROLE},
            "Action": "kms:Decrypt",
            "Resource": "*",
        }
    )
    administrator.put_key_policy(KeyId=in_place.arn, Policy=json.dumps(policy))
    try:
        assert in_place.decrypt(ROLE, None)["Plaintext"]
        codes |= {finding.code for finding in checked(in_place, monkeypatch, tmp_path).findings}
    finally:
        administrator.put_key_policy(KeyId=in_place.arn, Policy=json.dumps(plan(in_place.terms).key_policy))
    assert {"unattested-decrypt", "not-denied"} <= codes
