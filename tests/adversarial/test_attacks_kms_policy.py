"""Attack 9: a key policy that lets something else in. What is planned does not, and what does is found."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from party_client.kms import KeyTerms, check_key, key_terms, plan
from party_client.kms.errors import NoReleaseError
from party_client.kms.evaluation import Grant, KeyAccess, decide
from party_client.kms.policy import read_policy_untrusted
from party_client.kms.request import Request
from protos.release.history import agreed_releases
from tests.unit.party_client.kms_key import (
    ADMINISTRATOR,
    FIRST,
    KEY_ARN,
    MALLORY,
    NOW,
    PLACE,
    ROLE,
    ROOT,
    SECOND,
    agreement,
    answers,
    policy_of,
    release,
    snapshot,
    terms,
    with_policy,
)

EVERYTHING = {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}


def access(policy: dict[str, Any], **more: Any) -> KeyAccess:
    return KeyAccess(KEY_ARN, read_policy_untrusted(policy, what="key policy", with_principals=True), **more)


def from_enclave(of: KeyTerms, **registers: str | None) -> Request:
    """The first release asks for the airline's data, with other registers where they are given."""
    one = of.releases[0]
    right = {"PCR0": one.pcr0.hex(), "PCR1": one.pcr1.hex(), "PCR2": one.pcr2.hex()}
    return Request(
        ROLE,
        "kms:Decrypt",
        encryption_context=of.encryption_context("flights"),
        registers=right | {"PCR16": of.agreement_register} | registers,
        values={"aws:currenttime": (NOW.isoformat(),)},
    )


def test_attack_09_no_release_is_no_key_policy(tmp_path: Path) -> None:
    """Every release has ended: there is an error, and nothing that could be put in place."""
    ended = release("1.0.0", 0x10, valid_until_s=int(NOW.timestamp()) - 1)
    agreed = agreed_releases(agreement(tmp_path, (ended,)))
    with pytest.raises(NoReleaseError, match="an empty list lets nothing in"):
        key_terms(agreed, party="airline", place=PLACE, now=NOW)


def test_attack_09_allowance_elsewhere_opens_no_key(tmp_path: Path) -> None:
    """An IAM policy, a grant and a further statement each allow Decrypt: the denials hold."""
    of = terms(tmp_path)
    policy = copy.deepcopy(plan(of).key_policy)
    policy["Statement"] += [EVERYTHING | {"Principal": {"AWS": name}} for name in (ROOT, MALLORY)]
    own = read_policy_untrusted({"Statement": EVERYTHING}, what="IAM", with_principals=False)
    opened = access(
        policy, grants=(Grant("g", MALLORY, ("Decrypt",)),), identities={MALLORY: own, ADMINISTRATOR: own}
    )
    assert decide(opened, from_enclave(of)).is_allowed
    for principal in (MALLORY, ADMINISTRATOR, ROOT, ROLE):
        decision = decide(opened, Request(principal, "kms:Decrypt", open=True))
        assert not decision.is_allowed
        assert "DenyReadingByOtherCode" in decision.denied_by


@pytest.mark.parametrize(
    "wrong",
    [
        {"PCR0": "fe" * 48},
        {"PCR16": "fe" * 48},
        {"PCR16": None},
        {"PCR0": "00" * 48, "PCR1": "00" * 48, "PCR2": "00" * 48},
        {"PCR1": SECOND.pcr1.hex()},
        {"PCR2": SECOND.pcr2.hex()},
        {"PCR0": SECOND.pcr0.hex()},
    ],
    ids=[
        "other image",
        "other agreement",
        "no agreement",
        "debug",
        "PCR1 of two",
        "PCR2 of two",
        "PCR0 of two",
    ],
)
def test_attack_09_registers_of_two_releases_or_of_none(tmp_path: Path, wrong: dict[str, str | None]) -> None:
    of = terms(tmp_path, (FIRST, SECOND))
    planned = access(plan(of).key_policy)
    assert decide(planned, from_enclave(of)).is_allowed
    assert not decide(planned, from_enclave(of, **wrong)).is_allowed


def test_attack_09_old_image_still_listed(tmp_path: Path) -> None:
    """The release has ended in the agreement; the policy of before still opens for it, and that is found."""
    before = terms(tmp_path, (FIRST, SECOND))
    after = replace(before, releases=(SECOND,), left_out=(FIRST.name,))
    findings = check_key(after, snapshot(answers(before))).findings
    assert [finding.code for finding in findings] == ["old-image"]
    assert check_key(after, snapshot(answers(after))).findings == ()


def test_attack_09_whoever_can_change_the_policy_is_named(tmp_path: Path) -> None:
    """The enclave's role and the account's root cannot; where they can, it is found."""
    of = terms(tmp_path)
    for principal in (ROLE, ROOT, MALLORY):
        for action in ("kms:PutKeyPolicy", "kms:CreateGrant", "kms:ReEncryptFrom"):
            assert not decide(access(plan(of).key_policy), Request(principal, action, open=True)).is_allowed
    policy = policy_of(answers(of))
    policy["Statement"].append(
        {"Sid": "Default", **EVERYTHING, "Action": "kms:PutKeyPolicy", "Principal": {"AWS": ROOT}}
    )
    (finding,) = check_key(of, snapshot(with_policy(answers(of), policy))).findings
    assert (finding.code, finding.where) == ("policy-editable", "key policy, Default")
    assert list(finding.details) == [f"{ROOT}: kms:PutKeyPolicy"]
