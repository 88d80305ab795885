"""Planned roles in place at a SIMULATED STS: what the coordinator gets there, and what that opens."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from coordinator.errors import CredentialsError
from coordinator.kms.assumed_roles import DURATION_S, AssumedRoles, StsPlaces
from coordinator.kms.credentials import Credentials
from coordinator.kms.session_policy import session_policy
from party_client.attestation.measurements import extended_once
from party_client.cli.kms_text import plan_facts
from party_client.kms import KeyTerms, plan
from scenarios.kms.credentials import Credential
from scenarios.kms.planned import read_plan_untrusted
from scenarios.kms.roles import Role, new_role_id
from tests.kms_world import KmsWorld, policy, refused, running, statement
from tests.unit.party_client.kms_key import ACCOUNT, FIRST, PARENT, PLACE, ROLE, SEALER, terms

REGION = "us-east-1"
MAY_ASSUME = json.dumps({"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}})
OTHER_AGREEMENT = bytes(48)


@dataclass
class Planned:
    """A party's account as `concordat kms plan` sets it up, and a data key that its sealer made."""

    world: KmsWorld
    terms: KeyTerms
    key: str
    blob: bytes
    context: dict[str, str]

    def roles(self, **more: Any) -> AssumedRoles:
        places = StsPlaces({ACCOUNT: self.world.endpoint}, authority=self.world.store.authority_path)
        return AssumedRoles(places, **more)

    def get(self, roles: AssumedRoles, **changes: Any) -> Credentials:
        asked = {
            "role": ROLE,
            "region": REGION,
            "agreement_digest": self.terms.agreement_digest,
            "party": self.terms.party,
        }
        return roles.get(**(asked | changes))

    def session(self, found: Credentials) -> Credential:
        kept = self.world.store.credential(found.access_key_id)
        assert kept is not None
        return kept

    def decrypt(self, found: Credentials, pcrs: dict[int, bytes] | None = None, **changes: Any) -> Any:
        recipient = self.world.recipient(self.registers() if pcrs is None else pcrs)
        asked = {
            "KeyId": self.key,
            "CiphertextBlob": self.blob,
            "EncryptionContext": self.context,
            "Recipient": recipient,
        }
        return self.world.client(self.session(found)).decrypt(**(asked | changes))

    def registers(self) -> dict[int, bytes]:
        agreement = bytes.fromhex(self.terms.agreement_register)
        return {0: FIRST.pcr0, 1: FIRST.pcr1, 2: FIRST.pcr2, 16: agreement}


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planned]:
    folder = tmp_path_factory.mktemp("planned")
    of = replace(
        terms(folder, (FIRST,), replace(PLACE, region=REGION)),
        valid_from_s=1_600_000_000,
        valid_until_s=4_000_000_000,
    )
    with running(folder / "kms", region=REGION) as world:
        written = json.dumps(plan_facts(plan(of))).encode()
        key = read_plan_untrusted(written).put_in(world.store, now=world.now()).arn
        context = of.encryption_context("flights")
        data_key = world.client(SEALER).generate_data_key(
            KeyId=key, KeySpec="AES_256", EncryptionContext=context
        )
        yield Planned(world, of, key, data_key["CiphertextBlob"], context)


@pytest.fixture(autouse=True)
def as_parent(planned: Planned, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Credential:
    """The coordinator's own credentials, as botocore finds them."""
    own = planned.world.credential(PARENT, iam_policy=MAY_ASSUME)
    be(own, monkeypatch, tmp_path)
    return own


def be(own: Credential, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": own.access_key_id,
        "AWS_SECRET_ACCESS_KEY": own.secret_access_key,
        "AWS_SESSION_TOKEN": str(own.session_token),
        "AWS_CONFIG_FILE": str(folder / "no-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "no-credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)


def test_the_planned_role_opens_the_planned_key_for_the_agreed_enclave(planned: Planned) -> None:
    found = planned.get(planned.roles())
    answer = planned.decrypt(found)
    assert answer["CiphertextForRecipient"]
    assert not answer.get("Plaintext")
    caller = planned.world.records[-1]["caller"]
    digest = planned.terms.agreement_digest.hex()
    assert caller == f"arn:aws:sts::{ACCOUNT}:assumed-role/concordat-enclave/concordat-{digest[:16]}"
    assert found.expires_at is not None
    lasts = found.expires_at - datetime.now(UTC)
    assert timedelta(seconds=DURATION_S - 30) < lasts <= timedelta(seconds=DURATION_S)


def test_the_external_id_of_another_agreement_is_refused(planned: Planned) -> None:
    with pytest.raises(CredentialsError, match=r"STS refused the role \('AccessDenied'\)") as error:
        planned.get(planned.roles(), agreement_digest=OTHER_AGREEMENT)
    assert error.value.hint is not None and "external id" in error.value.hint
    said = planned.world.records[-1]["message"]
    wanted = planned.terms.agreement_digest.hex()
    assert f"StringEquals sts:ExternalId names '{wanted}', got '{OTHER_AGREEMENT.hex()}'" in said


def test_somebody_else_is_refused_the_role(
    planned: Planned, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stranger = planned.world.credential("arn:aws:iam::444455556666:role/other", iam_policy=MAY_ASSUME)
    be(stranger, monkeypatch, tmp_path)
    with pytest.raises(CredentialsError, match="STS refused the role"):
        planned.get(planned.roles())


@pytest.mark.parametrize(
    "change",
    [
        {"party": "weather"},
        {"register": extended_once(OTHER_AGREEMENT)},
        {"operation": "encrypt"},
        {"unattested": True},
    ],
    ids=["another party", "another agreement", "another operation", "without an enclave"],
)
def test_the_session_is_cut_down_even_where_key_and_role_are_open(
    planned: Planned, change: dict[str, Any]
) -> None:
    """Where a party lets its role do everything, the coordinator still holds this agreement's keys alone."""
    careless = f"arn:aws:iam::{ACCOUNT}:role/careless"
    everything = json.dumps({"Statement": {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}})
    trust = json.dumps(
        {"Statement": {"Effect": "Allow", "Principal": {"AWS": PARENT}, "Action": "sts:AssumeRole"}}
    )
    planned.world.store.put_role(Role(careless, new_role_id(), trust, everything))
    key = planned.world.key(policy(statement("Open", "Allow", "*", "kms:*")))
    context = planned.context | ({"party": change["party"]} if "party" in change else {})
    blob = planned.world.client(SEALER).encrypt(KeyId=key, Plaintext=b"x" * 32, EncryptionContext=context)
    registers = planned.registers() | ({16: change["register"]} if "register" in change else {})
    found = planned.get(planned.roles(), role=careless)
    client = planned.world.client(planned.session(found))
    asked: dict[str, Any] = {"KeyId": key, "EncryptionContext": context}
    opening = asked | {"CiphertextBlob": blob["CiphertextBlob"]}
    if "unattested" not in change:
        opening["Recipient"] = planned.world.recipient(registers)
    with refused("AccessDeniedException") as messages:
        if "operation" in change:
            client.encrypt(Plaintext=b"x", **asked)
        else:
            client.decrypt(**opening)
    assert "no session policy allows the action" in messages[0]


def test_the_same_session_policy_lets_the_agreed_enclave_in(planned: Planned) -> None:
    """So the refusals above are for what they change."""
    key = planned.world.key(policy(statement("Open", "Allow", "*", "kms:*")))
    blob = planned.world.client(SEALER).encrypt(
        KeyId=key, Plaintext=b"x" * 32, EncryptionContext=planned.context
    )
    found = planned.get(planned.roles())
    opened = planned.decrypt(found, KeyId=key, CiphertextBlob=blob["CiphertextBlob"])
    assert opened["CiphertextForRecipient"]


def test_the_session_policy_is_what_docs_say(planned: Planned) -> None:
    text = session_policy(
        account=ACCOUNT,
        region=REGION,
        agreement_digest=planned.terms.agreement_digest,
        party=planned.terms.party,
    )
    (made,) = json.loads(text)["Statement"]
    assert made["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    assert made["Condition"]["StringEqualsIgnoreCase"] == {
        "kms:RecipientAttestation:PCR16": planned.terms.agreement_register
    }
    longest = session_policy(account=ACCOUNT, region="r" * 32, agreement_digest=bytes(48), party="p" * 63)
    assert len(longest) < 2048, "as many characters as STS takes"


def test_credentials_are_kept_until_shortly_before_they_end(planned: Planned) -> None:
    ahead = timedelta(0)
    roles = planned.roles(clock=lambda: datetime.now(UTC) + ahead)
    first = planned.get(roles)
    asked = len(planned.world.records)
    assert planned.get(roles) is first
    ahead = timedelta(seconds=DURATION_S - 310)
    assert planned.get(roles) is first
    assert len(planned.world.records) == asked
    ahead = timedelta(seconds=DURATION_S - 290)
    with pytest.raises(CredentialsError, match="end within"):
        planned.get(planned.roles(clock=lambda: datetime.now(UTC) + timedelta(minutes=20)))
    planned.world.ahead = timedelta(minutes=4)
    try:
        ahead = timedelta(seconds=DURATION_S - 290)
        second = planned.get(roles)
    finally:
        planned.world.ahead = timedelta(0)
    assert second.access_key_id != first.access_key_id


def test_what_is_kept_is_for_one_role_region_agreement_and_party(planned: Planned) -> None:
    roles = planned.roles()
    first = planned.get(roles)
    other = planned.get(roles, party="weather")
    assert other.access_key_id != first.access_key_id
    assert '"kms:EncryptionContext:party":"weather"' in str(planned.session(other).session_policy)


def test_nothing_of_a_secret_is_written_anywhere(
    planned: Planned,
    as_parent: Credential,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Though everything logs all that it can, as some program around the coordinator might ask for."""
    caplog.set_level(logging.DEBUG)
    roles = planned.roles()
    found = planned.get(roles)
    said = [caplog.text, *map(repr, (found, roles, vars(roles))), json.dumps(planned.world.records)]
    for changes in ({"agreement_digest": OTHER_AGREEMENT}, {"role": ROLE + "x"}, {"role": SEALER}):
        with pytest.raises(CredentialsError) as error:
            planned.get(planned.roles(), **changes)
        said.append("".join(traceback.format_exception(error.value)))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ASIA" + "A" * 16)
    with pytest.raises(CredentialsError) as error:
        planned.get(planned.roles())
    said += ["".join(traceback.format_exception(error.value)), caplog.text, *capfd.readouterr()]
    assert caplog.records, "something was logged, so what is missing was left out"
    for secret in (
        found.secret_access_key,
        found.session_token,
        as_parent.secret_access_key,
        as_parent.session_token,
    ):
        assert secret
        assert all(secret not in each for each in said)


@pytest.mark.parametrize(
    "changes",
    [
        {"role": "enclave"},
        {"role": f"arn:aws:iam::{ACCOUNT}:user/ann"},
        {"role": ROLE + "\n"},
        {"region": "us-east-1.example.com/"},
        {"party": 'shop"},'},
        {"agreement_digest": b"short"},
    ],
)
def test_an_enclaves_words_are_checked_before_anybody_is_asked(
    planned: Planned, changes: dict[str, Any]
) -> None:
    asked = len(planned.world.records)
    with pytest.raises(CredentialsError, match="got"):
        planned.get(planned.roles(), **changes)
    assert len(planned.world.records) == asked


def test_an_sts_that_is_not_vouched_for(planned: Planned, tmp_path: Path) -> None:
    with running(tmp_path, region=REGION) as other:
        places = StsPlaces({ACCOUNT: planned.world.endpoint}, authority=other.store.authority_path)
        with pytest.raises(CredentialsError, match=r"STS was not reached.*SSLError"):
            planned.get(AssumedRoles(places))


def test_credentials_of_its_own_may_come_later(
    planned: Planned, as_parent: Credential, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    roles = planned.roles()
    with pytest.raises(CredentialsError, match=r"nothing to sign with \(NoCredentialsError\)"):
        planned.get(roles)
    be(as_parent, monkeypatch, tmp_path)
    assert planned.get(roles).session_token
