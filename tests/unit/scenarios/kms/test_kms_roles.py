"""A role is taken on by whom its trust policy names, on its conditions, and its session can do no more."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from click.testing import CliRunner

from scenarios.kms.credentials import Credential
from scenarios.kms.errors import KmsError, MalformedPolicyError, ParameterError, StateFolderError
from scenarios.kms.planned import read_plan_untrusted
from scenarios.kms.policies import parse_key_policy_untrusted, parse_trust_policy_untrusted
from scenarios.kms.principals import Caller
from scenarios.kms.roles import Role, new_role_id
from scenarios.kms.store import KmsStore
from scenarios.simulator import group
from tests.kms_world import (
    ACCOUNT,
    ENCLAVE_ROLE,
    ROOT_USER,
    KmsWorld,
    policy,
    refused,
    statement,
)

PARENT = "arn:aws:iam::444455556666:role/parent"
OWN_USER = f"arn:aws:iam::{ACCOUNT}:user/ann"
MAY_ASSUME = json.dumps({"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}})
MAY_RANDOM = json.dumps({"Statement": {"Effect": "Allow", "Action": "kms:GenerateRandom", "Resource": "*"}})
MAY_LIST = json.dumps({"Statement": {"Effect": "Allow", "Action": "kms:List*", "Resource": "*"}})


def trust(*principals: str, action: Any = "sts:AssumeRole", **conditions: Any) -> str:
    found = {
        "Sid": "Parent",
        "Effect": "Allow",
        "Principal": {"AWS": list(principals)},
        "Action": action,
    }
    return json.dumps({"Statement": found | ({"Condition": conditions} if conditions else {})})


BY_EXTERNAL_ID = trust(PARENT, OWN_USER, StringEquals={"sts:ExternalId": "agreement-1"})


def put(world: KmsWorld, name: str, trusted: str, may: str | None = MAY_RANDOM, **more: Any) -> str:
    arn = f"arn:aws:iam::{ACCOUNT}:role/{name}"
    world.store.put_role(Role(arn, new_role_id(), trusted, may, **more))
    return arn


def sts(world: KmsWorld, who: Credential | str, *, region: str = "us-east-1", **more: Any) -> Any:
    credential = world.credential(who, **more) if isinstance(who, str) else who
    return botocore.session.Session().create_client(
        "sts",
        region_name=region,
        endpoint_url=world.endpoint,
        verify=str(world.store.authority_path),
        aws_access_key_id=credential.access_key_id,
        aws_secret_access_key=credential.secret_access_key,
        aws_session_token=credential.session_token,
        config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
    )


def assume(client: Any, arn: str, **more: Any) -> Any:
    return client.assume_role(RoleArn=arn, RoleSessionName="job", **more)


def session_of(world: KmsWorld, answer: Any) -> Credential:
    """What the server keeps; the answer has the same."""
    given = answer["Credentials"]
    found = world.store.credential(given["AccessKeyId"])
    assert found is not None
    assert (found.secret_access_key, found.session_token) == (given["SecretAccessKey"], given["SessionToken"])
    return found


def kms_of(world: KmsWorld, answer: Any) -> Any:
    return world.client(session_of(world, answer))


def test_a_session_of_a_role_of_another_account(world: KmsWorld) -> None:
    arn = put(world, "trusting", BY_EXTERNAL_ID)
    client = sts(world, PARENT, iam_policy=MAY_ASSUME)
    answer = assume(client, arn, ExternalId="agreement-1", DurationSeconds=900)
    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/trusting/job"
    assert answer["AssumedRoleUser"]["AssumedRoleId"].startswith("AROA")
    assert answer["Credentials"]["AccessKeyId"].startswith("ASIA")
    lasts = answer["Credentials"]["Expiration"] - datetime.now(UTC)
    assert timedelta(seconds=890) < lasts <= timedelta(seconds=900)
    assert len(kms_of(world, answer).generate_random(NumberOfBytes=8)["Plaintext"]) == 8
    record = world.records[-2]
    assert (record["operation"], record["caller"], record["key"], record["outcome"]) == (
        "AssumeRole",
        "arn:aws:sts::444455556666:assumed-role/parent/job",
        arn,
        "ok",
    )


@pytest.mark.parametrize("external_id", [None, "agreement-2", "Agreement-1"])
def test_another_external_id_is_refused(world: KmsWorld, external_id: str | None) -> None:
    arn = put(world, "trusting", BY_EXTERNAL_ID)
    client = sts(world, PARENT, iam_policy=MAY_ASSUME)
    with refused("AccessDenied") as messages:
        assume(client, arn, **({} if external_id is None else {"ExternalId": external_id}))
    got = "nothing" if external_id is None else repr(external_id)
    assert f"StringEquals sts:ExternalId names 'agreement-1', got {got}" in messages[0]
    assert world.records[-1]["outcome"] == "AccessDeniedException"


def test_who_may_take_it_on(world: KmsWorld) -> None:
    """Another account needs both policies; in the role's own, being named is enough."""
    arn = put(world, "trusting", BY_EXTERNAL_ID)
    with refused("AccessDenied") as messages:
        assume(sts(world, PARENT), arn, ExternalId="agreement-1")
    assert "no identity-based policy allows" in messages[0]
    assert assume(sts(world, OWN_USER), arn, ExternalId="agreement-1")["Credentials"]
    with refused("AccessDenied"):
        assume(sts(world, f"arn:aws:iam::{ACCOUNT}:user/eve", iam_policy=MAY_ASSUME), arn)
    with refused("AccessDenied"):
        assume(sts(world, PARENT, iam_policy=MAY_ASSUME, session_policy=MAY_RANDOM), arn)
    by_account = put(world, "delegating", trust(ROOT_USER))
    with refused("AccessDenied"):
        assume(sts(world, OWN_USER), by_account)
    assert assume(sts(world, OWN_USER, iam_policy=MAY_ASSUME), by_account)["Credentials"]


def test_a_denial_in_the_trust_policy_wins(world: KmsWorld) -> None:
    found = json.loads(trust(OWN_USER))["Statement"]
    arn = put(world, "denied", json.dumps({"Statement": [found, {**found, "Effect": "Deny", "Sid": "Not"}]}))
    with refused("AccessDenied") as messages:
        assume(sts(world, OWN_USER, iam_policy=MAY_ASSUME), arn)
    assert "explicit deny in the trust policy" in messages[0]


def test_a_role_that_is_not_there_is_refused_as_one_that_is(world: KmsWorld) -> None:
    with refused("AccessDenied") as messages:
        assume(sts(world, ROOT_USER), f"arn:aws:iam::{ACCOUNT}:role/nowhere")
    assert "there is no such role here" in messages[0]


def test_the_session_has_what_role_and_session_policy_both_allow(world: KmsWorld) -> None:
    both = json.dumps(
        {"Statement": {"Effect": "Allow", "Action": ["kms:GenerateRandom", "kms:ListKeys"], "Resource": "*"}}
    )
    arn = put(world, "cut", trust(OWN_USER), both)
    client = sts(world, OWN_USER)
    kms = kms_of(world, assume(client, arn, Policy=MAY_LIST))
    assert kms.list_keys()["Truncated"] is False
    with refused("AccessDeniedException") as messages:
        kms.generate_random(NumberOfBytes=8)
    assert "no session policy allows" in messages[0]
    with refused("AccessDeniedException") as messages:
        kms.list_aliases()
    assert "no identity-based policy allows" in messages[0]
    assert kms_of(world, assume(client, arn)).generate_random(NumberOfBytes=8)["Plaintext"]


def test_a_session_lives_by_its_roles_policy_as_that_is_now(world: KmsWorld) -> None:
    arn = put(world, "changing", trust(OWN_USER), MAY_LIST)
    kms = kms_of(world, assume(sts(world, OWN_USER), arn))
    assert kms.list_keys()["Truncated"] is False
    put(world, "changing", trust(OWN_USER), None)
    with refused("AccessDeniedException"):
        kms.list_keys()


def test_a_session_ends(world: KmsWorld) -> None:
    arn = put(world, "ending", trust(OWN_USER, f"arn:aws:iam::{ACCOUNT}:role/ending"))
    session = session_of(world, assume(sts(world, OWN_USER), arn, DurationSeconds=900))
    assert session.expires_at is not None
    assert assume(sts(world, session), arn)["Credentials"]
    sooner = session.expires_at - timedelta(seconds=901)
    world.store.put_credential(Credential(**{**vars(session), "expires_at": sooner}))
    with refused("ExpiredTokenException"):
        world.client(session).generate_random(NumberOfBytes=8)
    with refused("ExpiredToken"):
        assume(sts(world, session), arn)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"DurationSeconds": 3601}, "exceeds the MaxSessionDuration set for this role (3600 s)"),
        ({"DurationSeconds": 899}, "expected a number from 900 to 43200"),
        ({"RoleSessionName": "a b"}, "RoleSessionName: got 'a b'"),
        ({"ExternalId": "a b"}, "ExternalId: got 'a b'"),
        ({"Tags": [{"Key": "a", "Value": "b"}]}, "'Tags.member.1.Key' is unknown here"),
        ({"PolicyArns": [{"arn": "arn:aws:iam::aws:policy/A"}]}, "'PolicyArns.member.1.arn' is unknown here"),
        ({"SourceIdentity": "ann"}, "'SourceIdentity' is unknown here"),
        ({"SerialNumber": "arn:aws:mfa/1", "TokenCode": "123456"}, "'SerialNumber' is unknown here"),
    ],
)
def test_what_is_not_modelled_or_out_of_bounds(
    world: KmsWorld, parameters: dict[str, Any], message: str
) -> None:
    arn = put(world, "trusting", trust(OWN_USER))
    client = sts(world, OWN_USER)
    with refused("ValidationError") as messages:
        client.assume_role(**{"RoleArn": arn, "RoleSessionName": "job", **parameters})
    assert message in messages[0]


def test_a_role_taken_on_by_a_session_lasts_an_hour_at_most(world: KmsWorld) -> None:
    arn = put(world, "long", trust(OWN_USER, PARENT), max_session_s=7200)
    assert assume(sts(world, OWN_USER), arn, DurationSeconds=7200)["Credentials"]
    chained = sts(world, PARENT, iam_policy=MAY_ASSUME)
    with refused("ValidationError") as messages:
        assume(chained, arn, DurationSeconds=3601)
    assert "role chaining" in messages[0]
    assert assume(chained, arn, DurationSeconds=3600)["Credentials"]


def test_a_session_policy_that_cannot_be_judged(world: KmsWorld) -> None:
    arn = put(world, "trusting", trust(OWN_USER))
    client = sts(world, OWN_USER)
    with refused("MalformedPolicyDocument"):
        assume(client, arn, Policy="{}")
    unknown = {
        "Effect": "Allow",
        "Action": "kms:*",
        "Resource": "*",
        "Condition": {"Bool": {"aws:New": "true"}},
    }
    with refused("MalformedPolicyDocument") as messages:
        assume(client, arn, Policy=json.dumps({"Statement": unknown}))
    assert "condition key 'aws:New' is unknown here" in messages[0]
    with refused("PackedPolicyTooLarge"):
        assume(client, arn, Policy=MAY_LIST + " " * 2048)


def test_a_signature_of_one_service_is_none_of_the_other(world: KmsWorld) -> None:
    put(world, "trusting", trust(OWN_USER))
    credential = world.credential(OWN_USER, iam_policy=MAY_LIST)
    client = sts(world, credential)
    client._request_signer._signing_name = "kms"
    with refused("SignatureDoesNotMatch") as messages:
        assume(client, f"arn:aws:iam::{ACCOUNT}:role/trusting")
    assert "us-east-1/sts" in messages[0]
    with refused("SignatureDoesNotMatch"):
        assume(sts(world, credential, region="eu-west-1"), f"arn:aws:iam::{ACCOUNT}:role/trusting")


def test_strangers_and_other_operations(world: KmsWorld) -> None:
    known = world.credential(OWN_USER)
    stranger = Credential(**{**vars(known), "access_key_id": "AKIA" + "A" * 16})
    with refused("InvalidClientTokenId"):
        assume(sts(world, stranger), ENCLAVE_ROLE)
    wrong = Credential(**{**vars(known), "secret_access_key": "x" * 40})
    with refused("SignatureDoesNotMatch"):
        assume(sts(world, wrong), ENCLAVE_ROLE)
    with refused("InvalidAction") as messages:
        sts(world, known).get_caller_identity()
    assert "'GetCallerIdentity'" in messages[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (trust(PARENT, action="kms:Decrypt"), "Action: expected sts:AssumeRole"),
        (trust(PARENT, action="*"), "Action: expected sts:AssumeRole"),
        (
            policy(statement("A", "Allow", {"AWS": PARENT}, "sts:AssumeRole")),
            "'Resource' is unknown here",
        ),
        (
            trust(PARENT, StringEquals={"kms:CallerAccount": "1"}),
            "condition key 'kms:CallerAccount' is unknown here",
        ),
        (MAY_ASSUME, "'Resource' is unknown here"),
    ],
)
def test_a_trust_policy_is_about_taking_on_alone(text: str, message: str) -> None:
    with pytest.raises(MalformedPolicyError) as error:
        parse_trust_policy_untrusted(text)
    assert message in error.value.message


def test_a_key_policy_has_no_external_id() -> None:
    found = statement("A", "Allow", "*", "kms:Decrypt", {"StringEquals": {"sts:ExternalId": "x"}})
    with pytest.raises(MalformedPolicyError, match=r"'sts:ExternalId' is unknown here"):
        parse_key_policy_untrusted(policy(found))


def test_roles_belong_to_the_account(world: KmsWorld) -> None:
    with pytest.raises(StateFolderError, match="expected a role of the account"):
        world.store.put_role(Role(PARENT, new_role_id(), trust(PARENT)))
    with pytest.raises(ParameterError):
        Role(ROOT_USER, new_role_id(), trust(PARENT))


def test_roles_and_a_key_that_two_accounts_know_by_the_command(tmp_path: Any) -> None:
    written = tmp_path / "trust.json"
    written.write_text(BY_EXTERNAL_ID)
    shop, bank = tmp_path / "shop", tmp_path / "bank"

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(group, ["kms", *arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    made = run("role", "enclave", "--state", str(shop), "--trust", str(written))
    assert made.strip() == ENCLAVE_ROLE
    run("key", "--state", str(bank))
    printed = run(
        *("credential", "--state", str(shop), "--also", str(bank), "--principal", PARENT, "--session", "job")
    )
    first = KmsStore(shop)
    role = first.role(ENCLAVE_ROLE)
    assert role is not None and role.trust_policy == BY_EXTERNAL_ID
    run("role", "enclave", "--state", str(shop), "--trust", str(written), "--max-session-s", "7200")
    changed = first.role(ENCLAVE_ROLE)
    assert changed is not None
    assert (changed.role_id, changed.max_session_s) == (role.role_id, 7200)
    name = printed.split("AWS_ACCESS_KEY_ID=")[1].split()[0]
    for store in (first, KmsStore(bank)):
        found = store.credential(name)
        assert found is not None and found.caller == Caller(PARENT, "job")


def plan_file(folder: Path, **changes: Any) -> Path:
    """As `concordat kms plan --format json` writes it."""
    found: dict[str, Any] = {
        "alias": "alias/concordat-spending-shop",
        "key_policy": json.loads(policy(statement("A", "Allow", {"AWS": OWN_USER}, "kms:DescribeKey"))),
        "role": {
            "name": "enclave",
            "trust_policy": json.loads(BY_EXTERNAL_ID),
            "policy": json.loads(MAY_RANDOM),
            "external_id": "agreement-1",
        },
    }
    path = folder / "plan.json"
    path.write_text(json.dumps({**found, **changes}))
    return path


def test_a_plan_is_put_in_place(tmp_path: Path) -> None:
    arguments = ["kms", "apply", "--state", str(tmp_path / "shop"), str(plan_file(tmp_path))]
    first, second = (CliRunner().invoke(group, arguments, catch_exceptions=False) for _ in range(2))
    assert first.exit_code == second.exit_code == 0
    store = KmsStore(tmp_path / "shop")
    assert {key.arn for key in store.every_key()} == {first.output.strip(), second.output.strip()}
    assert store.key("alias/concordat-spending-shop").arn == second.output.strip()
    changed = json.loads(policy(statement("B", "Allow", {"AWS": OWN_USER}, "kms:DescribeKey")))
    again = plan_file(tmp_path, key_policy=changed)
    arguments = ["kms", "apply", "--state", str(tmp_path / "shop"), "--key", first.output.strip(), str(again)]
    third = CliRunner().invoke(group, arguments, catch_exceptions=False)
    assert third.output == first.output
    assert len(store.every_key()) == 2
    key = store.key("alias/concordat-spending-shop")
    assert (key.arn, json.loads(key.policy)) == (first.output.strip(), changed)
    (role,) = store.roles().values()
    assert (role.arn, json.loads(role.trust_policy)) == (ENCLAVE_ROLE, json.loads(BY_EXTERNAL_ID))


@pytest.mark.parametrize(
    "changes",
    [
        {"role": None},
        {"alias": ""},
        {"key_policy": "{}"},
        {"key_policy": {}},
        {"role": {"name": "enclave", "trust_policy": json.loads(MAY_RANDOM), "policy": {}}},
    ],
)
def test_a_plan_that_is_none_changes_nothing(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = plan_file(tmp_path, **changes)
    with pytest.raises(KmsError, match=r"^(plan|key policy|trust policy): "):
        read_plan_untrusted(path.read_bytes())
    result = CliRunner().invoke(group, ["kms", "apply", "--state", str(tmp_path / "shop"), str(path)])
    assert result.exit_code == 1
    assert not KmsStore(tmp_path / "shop").every_key()
