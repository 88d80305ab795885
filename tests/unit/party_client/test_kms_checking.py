"""`check_key` finds each planted weakness by name, and nothing in what `plan` writes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from party_client.kms import KeyTerms, check_key
from party_client.kms.findings import KINDS
from tests.unit.party_client.kms_key import (
    ACCOUNT,
    FIRST,
    KEY_ARN,
    MALLORY,
    OPERATOR,
    PLACE,
    ROLE,
    ROOT,
    SECOND,
    answers,
    policy_of,
    snapshot,
    statement,
    terms,
    with_policy,
)

Answers = dict[str, Any]
Plant = Callable[[Answers], None]
REGISTER = "kms:RecipientAttestation:"
IMAGE = f"{REGISTER}ImageSha384"
OLD = "0d" * 48


def found(of: KeyTerms, value: Answers) -> set[str]:
    return {finding.code for finding in check_key(of, snapshot(value)).findings}


def planted(of: KeyTerms, plant: Plant) -> Answers:
    value = copy.deepcopy(answers(of))
    plant(value)
    return value


# --- Ways to change the key's policy ----------------------------------------------------------------------


def without_denials(change: Callable[[dict[str, Any]], None] = lambda _: None) -> Plant:
    """Of the plan only what it allows, with a change."""

    def plant(value: Answers) -> None:
        policy = policy_of(value)
        policy["Statement"] = [one for one in policy["Statement"] if one["Effect"] == "Allow"]
        change(policy)
        value |= with_policy(value, policy)

    return plant


def with_statement(**fields: Any) -> Plant:
    """One more statement, beside the plan's without its denials."""
    base = {"Sid": "Planted", "Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}
    return without_denials(lambda policy: policy["Statement"].append(base | fields))


def with_condition(condition: dict[str, Any], **fields: Any) -> Plant:
    """One more statement for the enclave's role."""
    return with_statement(Principal={"AWS": ROLE}, Condition=condition, **fields)


def with_release_condition(change: Callable[[dict[str, Any]], None]) -> Plant:
    """The plan's statement for its release with another condition, and no denials."""
    return without_denials(lambda policy: change(statement(policy, "Release1")["Condition"]))


def with_metadata(**fields: Any) -> Plant:
    return lambda value: value["DescribeKey"]["KeyMetadata"].update(fields)


def with_iam(action: str | list[str]) -> Plant:
    """The key's policy is AWS's default one, and a group's policy allows something."""

    def plant(value: Answers) -> None:
        default = {"Sid": "Default", "Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:*"}
        value |= with_policy(value, {"Version": "2012-10-17", "Statement": [default | {"Resource": "*"}]})
        (group,) = value["GetAccountAuthorizationDetails"]["GroupDetailList"]
        document = {"Statement": {"Effect": "Allow", "Action": action, "Resource": "*"}}
        group["GroupPolicyList"] = [{"PolicyName": "convenient", "PolicyDocument": document}]

    return plant


def with_grant(**fields: Any) -> Plant:
    grant = {"GrantId": "abc", "GranteePrincipal": MALLORY, "Operations": ["Decrypt"]} | fields
    return lambda value: value["ListGrants"]["Grants"].append(grant)


def replaced(condition: dict[str, Any], operator: str, **values: Any) -> None:
    """The registers compared in another way."""
    registers = condition.pop("StringEqualsIgnoreCase")
    condition[operator] = registers | {f"{REGISTER}{name}": value for name, value in values.items()}


PLANTED: dict[str, tuple[str, Plant]] = {
    "unconditional decrypt": ("unattested-decrypt", with_statement(Principal={"AWS": MALLORY})),
    "condition on something else": (
        "unattested-decrypt",
        with_statement(Principal={"AWS": MALLORY}, Condition={"Bool": {"aws:MultiFactorAuthPresent": True}}),
    ),
    "anybody": ("wildcard-principal", with_statement(Principal="*")),
    "anybody of this account": (
        "wildcard-principal",
        with_statement(Principal={"AWS": "*"}, Condition={"StringEquals": {"kms:CallerAccount": ACCOUNT}}),
    ),
    "roles of a pattern": (
        "wildcard-principal",
        with_statement(
            Principal="*",
            Condition={"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/dev-*"}},
        ),
    ),
    "everybody but one": ("wildcard-principal", with_statement(NotPrincipal={"AWS": MALLORY})),
    "the account": ("iam-delegation", with_statement(Principal={"AWS": ACCOUNT})),
    "another account": ("iam-delegation", with_statement(Principal={"AWS": OPERATOR})),
    "an IAM policy of a group": ("iam-decrypt", with_iam("kms:De*")),
    "through a service": (
        "via-service",
        with_statement(
            Principal={"AWS": MALLORY},
            Condition={"StringEquals": {"kms:ViaService": "s3.eu-central-1.amazonaws.com"}},
        ),
    ),
    "IfExists": (
        "passes-without-attestation",
        with_condition({"StringEqualsIgnoreCaseIfExists": {IMAGE: FIRST.pcr0.hex()}}),
    ),
    "Null": ("passes-without-attestation", with_condition({"Null": {IMAGE: "true"}})),
    "ForAllValues": (
        "passes-without-attestation",
        with_release_condition(lambda condition: replaced(condition, "ForAllValues:StringEquals")),
    ),
    "not this image": (
        "passes-without-attestation",
        with_condition({"StringNotEquals": {IMAGE: OLD}}),
    ),
    "only PCR16": (
        "other-code",
        with_release_condition(
            lambda condition: condition.update(
                StringEqualsIgnoreCase={
                    f"{REGISTER}PCR16": condition["StringEqualsIgnoreCase"][f"{REGISTER}PCR16"]
                }
            )
        ),
    ),
    "only PCR1": ("other-code", with_condition({"StringEquals": {f"{REGISTER}PCR1": FIRST.pcr1.hex()}})),
    "only PCR8": ("pcr8-alone", with_condition({"StringEquals": {f"{REGISTER}PCR8": OLD}})),
    "NitroTPM": ("not-an-enclave", with_condition({"StringEquals": {f"{REGISTER}NitroTPMPCR4": OLD}})),
    "debug mode": (
        "debug-image",
        with_condition({"StringEquals": {IMAGE: "00" * 48}}),
    ),
    "old image": (
        "old-image",
        with_release_condition(
            lambda condition: replaced(
                condition,
                "StringEqualsIgnoreCase",
                ImageSha384=[FIRST.pcr0.hex(), OLD],
                PCR1=[FIRST.pcr1.hex(), OLD],
            )
        ),
    ),
    "a pattern of images": (
        "old-image",
        with_release_condition(
            lambda condition: replaced(condition, "StringLike", ImageSha384=f"{FIRST.pcr0.hex()[:8]}*")
        ),
    ),
    "PCR0 without PCR16": (
        "other-agreement",
        with_release_condition(
            lambda condition: condition["StringEqualsIgnoreCase"].pop(f"{REGISTER}PCR16") and None
        ),
    ),
    "PCR16 only if there is one": (
        "other-agreement",
        with_release_condition(
            lambda condition: condition.update(
                StringEqualsIgnoreCaseIfExists={
                    f"{REGISTER}PCR16": condition["StringEqualsIgnoreCase"].pop(f"{REGISTER}PCR16")
                }
            )
        ),
    ),
    "another agreement": (
        "listed-agreement",
        with_release_condition(
            lambda condition: replaced(
                condition,
                "StringEqualsIgnoreCase",
                PCR16=[OLD, condition["StringEqualsIgnoreCase"][f"{REGISTER}PCR16"]],
            )
        ),
    ),
    "only PCR0": (
        "registers-apart",
        with_release_condition(
            lambda condition: condition["StringEqualsIgnoreCase"].pop(f"{REGISTER}PCR1") and None
        ),
    ),
    "no context": (
        "other-context",
        with_release_condition(lambda condition: condition.pop("StringEquals") and None),
    ),
    "further context": (
        "other-context",
        with_release_condition(lambda condition: condition.pop("ForAllValues:StringEquals") and None),
    ),
    "one entry more of the context": (
        "other-context",
        with_release_condition(
            lambda condition: condition["ForAllValues:StringEquals"]["kms:EncryptionContextKeys"].append(
                "further"
            )
        ),
    ),
    "no end": (
        "outside-validity",
        with_release_condition(lambda condition: condition.pop("DateLessThan") and None),
    ),
    "no denials": ("not-denied", without_denials()),
    "grant": ("grant", with_grant()),
    "grant with a context": (
        "grant",
        with_grant(Constraints={"EncryptionContextSubset": {"party": "airline"}}),
    ),
    "ReEncrypt": (
        "re-encrypt",
        with_statement(Principal={"AWS": MALLORY}, Action="kms:ReEncrypt*"),
    ),
    "who makes grants": (
        "grant-maker",
        with_statement(
            Principal={"AWS": MALLORY},
            Action="kms:CreateGrant",
            Condition={"Bool": {"kms:GrantIsForAWSResource": True}},
        ),
    ),
    "another administrator": (
        "policy-editable",
        with_statement(Principal={"AWS": MALLORY}, Action="kms:Put*"),
    ),
    "the account's root": ("policy-editable", with_iam("s3:*")),
    "who deletes": ("deletable", with_statement(Principal={"AWS": MALLORY}, Action="kms:Schedule*")),
    "another sealer": (
        "data-keys-outside",
        with_statement(Principal={"AWS": MALLORY}, Action="kms:GenerateDataKey"),
    ),
    "who encrypts": ("data-keys-outside", with_statement(Principal={"AWS": ROLE}, Action="kms:Encrypt")),
    "no statement for a release": (
        "release-refused",
        without_denials(lambda policy: policy["Statement"].remove(statement(policy, "Release1"))),
    ),
    "multi-Region": ("multi-region", with_metadata(MultiRegion=True)),
    "imported": ("imported-material", with_metadata(Origin="EXTERNAL")),
    "external store": ("external-store", with_metadata(Origin="EXTERNAL_KEY_STORE")),
    "custom store": ("external-store", with_metadata(Origin="AWS_CLOUDHSM")),
    "pending deletion": ("key-state", with_metadata(KeyState="PendingDeletion")),
    "disabled": ("key-state", with_metadata(KeyState="Disabled")),
    "a signing key": ("key-kind", with_metadata(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P384")),
    "a key of AWS": ("key-kind", with_metadata(KeyManager="AWS")),
    "no rotation": (
        "rotation-off",
        lambda value: value["GetKeyRotationStatus"].update(KeyRotationEnabled=False),
    ),
    "alias": (
        "alias-elsewhere",
        lambda value: value["ListAliases"]["Aliases"][0].update(TargetKeyId="another"),
    ),
    "another Region": (
        "elsewhere",
        with_metadata(Arn=KEY_ARN.replace("eu-central-1", "us-east-1")),
    ),
}


_ANY_ENCLAVE = {"other-agreement", "other-context", "outside-validity"}
_DEFAULT_POLICY = {
    *("data-keys-outside", "deletable", "grant-maker", "iam-delegation", "policy-editable", "re-encrypt"),
    *("other-context", "outside-validity", "registers-apart"),
}
ALSO: dict[str, set[str]] = {
    "the account": {"other-context", "outside-validity", "registers-apart"},
    "an IAM policy of a group": _DEFAULT_POLICY,
    "the account's root": _DEFAULT_POLICY,
    "ForAllValues": {"data-keys-outside"},
    "only PCR1": _ANY_ENCLAVE,
    "only PCR8": _ANY_ENCLAVE,
    "NitroTPM": _ANY_ENCLAVE,
}
"""What follows from some of them besides."""


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_weakness_is_found_and_nothing_else(tmp_path: Path, name: str) -> None:
    of = terms(tmp_path)
    code, plant = PLANTED[name]
    codes = found(of, planted(of, plant))
    assert code in codes
    assert codes - {"not-denied"} == ({code} | ALSO.get(name, set())) - {"not-denied"}


@pytest.mark.parametrize("releases", [(FIRST,), (FIRST, SECOND)], ids=["one release", "two releases"])
@pytest.mark.parametrize("sealers", [PLACE.sealers, ()], ids=["sealer", "no sealer"])
def test_what_plan_writes_is_sound(tmp_path: Path, releases: Any, sealers: tuple[str, ...]) -> None:
    of = terms(tmp_path, releases, replace(PLACE, sealers=sealers))
    report = check_key(of, snapshot(answers(of)))
    assert report.findings == ()
    assert "can change the policy" in report.trusted[0]


def test_every_kind_of_weakness_is_planted() -> None:
    of_state = {"alias-missing"}  # of a key for enclaves' state: test_kms_agreed
    assert {code for code, _ in PLANTED.values()} | of_state == set(KINDS)


def test_denials_hold_what_is_added_beside_them(tmp_path: Path) -> None:
    """With the plan's denials in place, an allowance for everybody and a grant open nothing."""
    of = terms(tmp_path)
    value = answers(of)
    policy = policy_of(value)
    policy["Statement"].append(
        {"Sid": "Mistake", "Effect": "Allow", "Principal": "*", "Action": "kms:Decrypt", "Resource": "*"}
    )
    value = with_policy(value, policy)
    with_grant()(value)
    report = check_key(of, snapshot(value))
    by_code = {finding.code: finding for finding in report.findings}
    assert "wildcard-principal" not in by_code
    assert by_code["other-context"].where == "key policy, Mistake"
    assert "held back today" in by_code["grant"].details[0]


def test_a_grant_that_opens_today_says_so(tmp_path: Path) -> None:
    of = terms(tmp_path)
    value = planted(of, without_denials())
    with_grant()(value)
    (grant,) = [one for one in check_key(of, snapshot(value)).findings if one.code == "grant"]
    assert "open today" in grant.details[0]


def test_one_hole_is_reported_once_and_names_everybody(tmp_path: Path) -> None:
    of = terms(tmp_path)
    value = planted(of, with_statement(Principal={"AWS": [MALLORY, ROLE]}))
    report = check_key(of, snapshot(value))
    (hole,) = [one for one in report.findings if one.where == "key policy, Planted"]
    assert (hole.code, sorted(hole.details)) == ("unattested-decrypt", [ROLE, MALLORY])


def test_a_release_that_ended_is_an_old_image(tmp_path: Path) -> None:
    """The policy of last month still lists it."""
    before = terms(tmp_path, (FIRST, SECOND))
    after = replace(before, releases=(SECOND,), left_out=("1.0.0",))
    value = planted(before, without_denials())
    (finding,) = [one for one in check_key(after, snapshot(value)).findings if one.code == "old-image"]
    assert finding.where == "key policy, Release1"
    assert found(after, answers(before)) == {"old-image"}  # the denials let it through as well


def test_what_was_not_read_is_told(tmp_path: Path) -> None:
    of = terms(tmp_path)
    value = answers(of)
    for operation in ("GetAccountAuthorizationDetails", "ListAliases", "GetKeyRotationStatus"):
        del value[operation]
    report = check_key(of, snapshot(value))
    assert report.findings == ()
    assert len(report.not_read) == 4
    complete = check_key(of, snapshot(answers(of)))
    assert len(complete.not_read) == 1
