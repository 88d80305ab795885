"""The planned policies let in what was agreed and nothing else, whatever else is allowed beside them."""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from party_client.kms import KeyTerms, Place, key_terms, plan
from party_client.kms.errors import KmsTermsError, NoReleaseError, PolicyTooLargeError, ReleaseNotAwsError
from party_client.kms.evaluation import Grant, KeyAccess, decide
from party_client.kms.plan import ADMINISTRATION, KEY_POLICY_MAX_BYTES, NEVER, compact
from party_client.kms.policy import read_policy_untrusted
from party_client.kms.request import Request
from party_client.kms.terms import iso_time
from protos.formats.participants import Release
from protos.release.history import agreed_releases
from protos.release.roots import UNSIGNED_EMULATOR_SHA256
from tests.unit.party_client.kms_key import (
    ACCOUNT,
    ADMINISTRATOR,
    FIRST,
    KEY_ARN,
    MALLORY,
    NOW,
    PARENT,
    PLACE,
    ROLE,
    SEALER,
    SECOND,
    agreement,
    policy_of,
    release,
    terms,
)

INSIDE = iso_time(int(NOW.timestamp()))
OTHER = "fe" * 48
DELEGATION = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kms:*", "Resource": "*"},
}


PLANNED, BESIDE, ALONE = "as planned", "with a mistake beside it", "allowances alone"
"""How a policy is tried: whole; with an allowance of everything for everybody; and without its denials."""


def access(of: KeyTerms, how: str = PLANNED) -> KeyAccess:
    """The key as planned, or changed."""
    statements = read_policy_untrusted(plan(of).key_policy, what="key policy", with_principals=True)
    if how == BESIDE:
        statements += read_policy_untrusted(DELEGATION, what="mistake", with_principals=True)
    if how == ALONE:
        statements = tuple(one for one in statements if one.allows)
    return KeyAccess(KEY_ARN, statements)


def registers(of: KeyTerms, one: Release) -> dict[str, str | None]:
    return {
        "PCR0": one.pcr0.hex(),
        "PCR1": one.pcr1.hex(),
        "PCR2": one.pcr2.hex(),
        "PCR16": of.agreement_register,
    }


def asked(of: KeyTerms, one: Release, **changes: Any) -> Request:
    """What the enclave of a release asks for, with changes."""
    base = Request(
        ROLE,
        "kms:Decrypt",
        encryption_context=of.encryption_context("flights"),
        registers=registers(of, one),
        values={"aws:currenttime": (INSIDE,)},
    )
    return replace(base, **changes)


def test_the_agreement_is_in_pcr16(tmp_path: Path) -> None:
    of = terms(tmp_path)
    assert of.agreement_register == hashlib.sha384(bytes(48) + agreement(tmp_path).digest()).hexdigest()


@pytest.mark.parametrize("action", ["kms:Decrypt", "kms:GenerateDataKey"])
def test_the_agreed_enclaves_are_let_in(tmp_path: Path, action: str) -> None:
    of = terms(tmp_path, (FIRST, SECOND))
    for one in of.releases:
        assert decide(access(of), asked(of, one, action=action)).is_allowed


@pytest.mark.parametrize("how", [PLANNED, BESIDE, ALONE])
@pytest.mark.parametrize("register", ["PCR0", "PCR1", "PCR2", "PCR16"])
@pytest.mark.parametrize("value", [OTHER, "00" * 48, None])
def test_another_register_is_kept_out(tmp_path: Path, register: str, value: str | None, how: str) -> None:
    of = terms(tmp_path, (FIRST, SECOND))
    wrong = registers(of, FIRST) | {register: value}
    decision = decide(access(of, how), asked(of, FIRST, registers=wrong))
    assert not decision.is_allowed
    assert bool(decision.denied_by) is (how != ALONE)


@pytest.mark.parametrize("principal", [ROLE, ADMINISTRATOR, SEALER, MALLORY])
def test_nobody_decrypts_without_attestation(tmp_path: Path, principal: str) -> None:
    """Even with an allowance for everybody, and a grant, beside the plan."""
    of = terms(tmp_path, (FIRST, SECOND))
    grant = Grant("g", principal, ("Decrypt", "GenerateDataKey", "GenerateDataKeyPair"))
    opened = replace(access(of, BESIDE), grants=(grant,))
    for action in ("kms:Decrypt", "kms:GenerateDataKeyPair", "kms:DeriveSharedSecret"):
        decision = decide(opened, Request(principal, action, open=True))
        assert decision.is_allowed is (principal == SEALER and action == "kms:GenerateDataKeyPair")
    assert decide(opened, Request(principal, "kms:GenerateDataKey", open=True)).is_allowed is (
        principal == SEALER
    )


@pytest.mark.parametrize("how", [PLANNED, BESIDE, ALONE])
def test_registers_of_two_releases_do_not_mix(tmp_path: Path, how: str) -> None:
    """Of all combinations of two releases' registers, only the two that were built are let in."""
    of = terms(tmp_path, (FIRST, SECOND))
    let_in = [
        (image, boot, application)
        for image, boot, application in itertools.product((FIRST, SECOND), repeat=3)
        if decide(
            access(of, how),
            asked(
                of,
                image,
                registers=registers(of, image) | {"PCR1": boot.pcr1.hex(), "PCR2": application.pcr2.hex()},
            ),
        ).is_allowed
    ]
    assert let_in == [(FIRST, FIRST, FIRST), (SECOND, SECOND, SECOND)]


def test_values_of_one_statement_would_mix(tmp_path: Path) -> None:
    """Why every release has its own: the same values in one statement let a mixture in."""
    of = terms(tmp_path, (FIRST, SECOND))
    policy = plan(of).key_policy
    merged = next(one for one in policy["Statement"] if one["Sid"] == "Release1")
    second = next(one for one in policy["Statement"] if one["Sid"] == "Release2")
    for key, value in second["Condition"]["StringEqualsIgnoreCase"].items():
        merged["Condition"]["StringEqualsIgnoreCase"][key] = [
            merged["Condition"]["StringEqualsIgnoreCase"][key],
            value,
        ]
    alone = {"Statement": [merged]}
    statements = read_policy_untrusted(alone, what="merged", with_principals=True)
    mixed = registers(of, FIRST) | {"PCR1": SECOND.pcr1.hex()}
    assert decide(KeyAccess(KEY_ARN, statements), asked(of, FIRST, registers=mixed)).is_allowed


def test_data_of_others_is_kept_out(tmp_path: Path) -> None:
    """By the allowance: whoever reads by another statement does so from an agreed enclave at least."""
    of = terms(tmp_path)
    right = of.encryption_context("flights")
    assert right == {"agreement": of.agreement_digest.hex(), "party": "airline", "dataset": "flights"}
    for wrong in (
        None,
        *(right | {name: "other"} for name in right),
        right | {"further": "entry"},
        {name.upper(): value for name, value in right.items()},
        right | {"dataset": "weather"},
    ):
        assert not decide(access(of), asked(of, FIRST, encryption_context=wrong)).is_allowed


@pytest.mark.parametrize("how", [PLANNED, BESIDE, ALONE])
def test_each_release_has_its_time(tmp_path: Path, how: str) -> None:
    begin_s, end_s = int(NOW.timestamp()) - 1000, int(NOW.timestamp()) + 1000
    bounded = release("bounded", 0x30, valid_from_s=begin_s, valid_until_s=end_s)
    of = terms(tmp_path, (bounded, SECOND))
    valid_from_s, valid_until_s = of.valid_from_s, of.valid_until_s

    def open_at(one: Release, time_s: int) -> bool:
        values = {"aws:currenttime": (iso_time(time_s),)}
        return decide(access(of, how), asked(of, one, values=values)).is_allowed

    assert [open_at(bounded, time) for time in (begin_s - 1, begin_s, end_s - 1, end_s)] == [
        *(False, True, True, False)
    ]
    assert [
        open_at(SECOND, time)
        for time in (valid_from_s - 1, valid_from_s, begin_s - 1, end_s, valid_until_s - 1, valid_until_s)
    ] == [False, True, True, True, True, False]


def test_administrators_and_sealers_have_what_they_need_and_no_more(tmp_path: Path) -> None:
    of = terms(tmp_path)
    context = of.encryption_context("flights")

    def may(principal: str, action: str) -> bool:
        request = Request(
            principal, action, encryption_context=context, values={"aws:currenttime": (INSIDE,)}
        )
        return decide(access(of), request).is_allowed

    assert all(may(ADMINISTRATOR, action) for action in ADMINISTRATION)
    assert not any("*" in action for action in ADMINISTRATION)
    for action in (
        "kms:Decrypt",
        "kms:Encrypt",
        "kms:GenerateDataKey",
        "kms:CreateGrant",
        "kms:ReEncryptFrom",
    ):
        assert not may(ADMINISTRATOR, action)
    assert may(SEALER, "kms:GenerateDataKey")
    assert not may(SEALER, "kms:Decrypt")
    for action in ("kms:PutKeyPolicy", "kms:CreateGrant", "kms:ReEncryptFrom", "kms:ScheduleKeyDeletion"):
        assert not may(ROLE, action)
        assert decide(access(of, BESIDE), Request(ROLE, action, open=True)).denied_by
        assert not may(f"arn:aws:iam::{ACCOUNT}:root", action)


@pytest.mark.parametrize("action", NEVER)
def test_what_nobody_needs_is_denied_to_everybody(tmp_path: Path, action: str) -> None:
    """With an allowance for everybody beside the plan."""
    opened = access(terms(tmp_path), BESIDE)
    for principal in (ADMINISTRATOR, SEALER, ROLE, MALLORY, f"arn:aws:iam::{ACCOUNT}:root"):
        assert decide(opened, Request(principal, action, open=True)).denied_by


@pytest.mark.parametrize(
    "action", ["kms:PutKeyPolicy", "kms:ScheduleKeyDeletion", "kms:Encrypt", "kms:DisableKey"]
)
def test_what_is_denied_to_the_enclaves_role_alone(tmp_path: Path, action: str) -> None:
    opened = access(terms(tmp_path), BESIDE)
    assert decide(opened, Request(ROLE, action, open=True)).denied_by
    assert decide(opened, Request(ADMINISTRATOR, action, open=True)).is_allowed


def test_without_sealers_nobody_makes_data_keys_outside(tmp_path: Path) -> None:
    of = terms(tmp_path, place=replace(PLACE, sealers=()))
    for principal in (ROLE, SEALER, ADMINISTRATOR):
        assert decide(access(of, BESIDE), Request(principal, "kms:GenerateDataKey", open=True)).denied_by
    assert decide(access(of), asked(of, FIRST, action="kms:GenerateDataKey")).is_allowed


def test_the_role_is_for_the_parent_under_this_agreement(tmp_path: Path) -> None:
    made = plan(terms(tmp_path))
    (trust,) = made.role_trust["Statement"]
    assert trust["Principal"] == {"AWS": PARENT}
    assert trust["Condition"] == {"StringEquals": {"sts:ExternalId": made.terms.agreement_digest.hex()}}
    read_policy_untrusted(made.role_policy, what="role", with_principals=False)
    (allowed,) = made.role_policy["Statement"]
    assert allowed["Resource"] == f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/*"
    assert plan(made.terms, key_arn=KEY_ARN).role_policy["Statement"][0]["Resource"] == KEY_ARN


def test_sizes_that_aws_takes(tmp_path: Path) -> None:
    many = [release(f"1.{number}", 16 + 4 * number) for number in range(20)]
    fitting = max(count for count in range(1, 21) if _fits(terms(tmp_path, many[:count])))
    assert fitting >= 6
    assert len(compact(plan(terms(tmp_path, many[:fitting])).key_policy)) <= KEY_POLICY_MAX_BYTES
    with pytest.raises(PolicyTooLargeError, match="AWS takes 32768"):
        plan(terms(tmp_path, many))


def _fits(of: KeyTerms) -> bool:
    try:
        plan(of)
    except PolicyTooLargeError:
        return False
    return True


# --- Terms that are refused ------------------------------------------------------------------------------


def planned(folder: Path, releases: tuple[Release, ...], **options: Any) -> KeyTerms:
    settings: dict[str, Any] = {"party": "airline", "place": PLACE, "now": NOW} | options
    return key_terms(agreed_releases(agreement(folder, releases)), **settings)


def test_no_valid_release_is_an_error_and_no_policy(tmp_path: Path) -> None:
    over = release("over", 0x30, valid_until_s=int(NOW.timestamp()))
    with pytest.raises(NoReleaseError, match="none of which is still valid"):
        planned(tmp_path, (over,))
    assert planned(tmp_path, (over, SECOND)).releases == (SECOND,)
    assert planned(tmp_path, (over, SECOND)).left_out == ("over",)
    with pytest.raises(NoReleaseError, match="ended at 2027-01-01"):
        planned(tmp_path, (FIRST,), now=datetime(2027, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("root", [UNSIGNED_EMULATOR_SHA256, bytes([7]) * 32])
def test_releases_that_aws_never_sees(tmp_path: Path, root: bytes) -> None:
    played = replace(FIRST, root_sha256=root)
    with pytest.raises(ReleaseNotAwsError, match="expected AWS's"):
        planned(tmp_path, (played,))
    of = planned(tmp_path, (played,), simulated=True)
    assert plan(of).key_policy["Id"].startswith("SIMULATED ")
    assert decide(access(of), asked(of, played)).is_allowed


def test_two_releases_with_one_image_cannot_be_told_apart(tmp_path: Path) -> None:
    twin = replace(SECOND, pcr0=FIRST.pcr0, root_sha256=bytes([7]) * 32)
    with pytest.raises(KmsTermsError, match="the same PCR0"):
        planned(tmp_path, (FIRST, twin), simulated=True)


def test_whose_key_it_is(tmp_path: Path) -> None:
    for party in ("analyst", "nobody"):
        with pytest.raises(KmsTermsError, match="expected one of"):
            planned(tmp_path, (FIRST,), party=party)
    without = replace(
        agreement(tmp_path), datasets=agreement(tmp_path).datasets[:1], queries=agreement(tmp_path).queries
    )
    with pytest.raises(KmsTermsError, match="owns no dataset"):
        key_terms(agreed_releases(without), party="weather_service", place=PLACE, now=NOW)


def test_somebody_has_to_take_the_role_on(tmp_path: Path) -> None:
    with pytest.raises(KmsTermsError, match="parent: got none"):
        plan(terms(tmp_path, place=replace(PLACE, parents=())))


def test_times_beyond_the_calendar(tmp_path: Path) -> None:
    far = replace(agreement(tmp_path), valid_until_s=2**50)
    with pytest.raises(KmsTermsError, match="beyond the calendar"):
        key_terms(agreed_releases(far), party="airline", place=PLACE, now=NOW)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"account": "1111"}, "account"),
        ({"region": "Frankfurt"}, "region"),
        ({"region": "cn-north-1"}, "partition"),
        ({"region": "us-gov-west-1"}, "partition"),
        ({"role": "a role"}, "role"),
        ({"administrators": ()}, "administrator: got none"),
        ({"administrators": (f"arn:aws:iam::{ACCOUNT}:root",)}, "got principal"),
        ({"administrators": ("*",)}, "got principal"),
        ({"sealers": (f"arn:aws:iam::{ACCOUNT}:role/*",)}, "got principal"),
        ({"administrators": (ROLE,)}, "among the administrators"),
        ({"sealers": (ROLE,)}, "among the sealers"),
    ],
)
def test_places_that_are_none(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(KmsTermsError, match=said):
        replace(PLACE, **changes)
    assert Place(ACCOUNT, "us-east-1", "r", (PARENT,), (ADMINISTRATOR,)).role_arn.endswith(":role/r")


def test_the_policy_is_json_that_goes_back_and_forth(tmp_path: Path) -> None:
    made = plan(terms(tmp_path))
    assert json.loads(compact(made.key_policy)) == made.key_policy
    assert policy_of({"GetKeyPolicy": {"Policy": compact(made.key_policy)}}) == made.key_policy
