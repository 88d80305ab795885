"""Who gets in: denials, names, accounts, IAM policies and grants, as AWS documents their order."""

from __future__ import annotations

from typing import Any

import pytest

from party_client.kms.evaluation import Grant, KeyAccess, decide
from party_client.kms.policy import Statement, read_policy_untrusted
from party_client.kms.request import Request

ACCOUNT = "111122223333"
KEY = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/1234"
ROLE, OTHER = f"arn:aws:iam::{ACCOUNT}:role/reader", f"arn:aws:iam::{ACCOUNT}:role/other"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
FOREIGN = "arn:aws:iam::999999999999:role/reader"


def policy(*statements: dict[str, Any], principals: bool = True) -> tuple[Statement, ...]:
    base: dict[str, Any] = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}
    if principals:
        base["Principal"] = {"AWS": ROLE}
    made = []
    for changes in statements:
        one = base | changes
        for name in ("Principal", "Action", "Resource"):
            if f"Not{name}" in changes:
                del one[name]
        made.append(one)
    return read_policy_untrusted({"Statement": made}, what="policy", with_principals=principals)


def allows(access: KeyAccess, principal: str = ROLE, action: str = "kms:Decrypt", **request: Any) -> bool:
    return decide(access, Request(principal, action, **request)).is_allowed


def test_nothing_is_allowed_that_no_statement_allows() -> None:
    access = KeyAccess(KEY, policy({}))
    assert allows(access)
    assert allows(access, action="kms:decrypt")
    assert not allows(access, OTHER)
    assert not allows(access, action="kms:Encrypt")
    assert not allows(access, ROOT)


def test_a_denial_wins_over_everything() -> None:
    denied = policy({}, {"Effect": "Deny", "Principal": "*", "Action": "kms:*"})
    grant = Grant("g", ROLE, ("Decrypt",))
    assert not allows(KeyAccess(KEY, denied, (grant,), {ROLE: policy({}, principals=False)}))
    by_account = policy({}, {"Effect": "Deny", "Principal": {"AWS": ACCOUNT}})
    assert not allows(KeyAccess(KEY, by_account))
    own = policy({"Effect": "Deny"}, principals=False)
    assert not allows(KeyAccess(KEY, policy({}), (), {ROLE: own}))


def test_an_iam_policy_counts_only_where_the_key_hands_it_to_the_account() -> None:
    own = {ROLE: policy({}, principals=False)}
    assert not allows(KeyAccess(KEY, policy({"Principal": {"AWS": OTHER}}), (), own))
    delegated = policy({"Principal": {"AWS": ROOT}, "Action": "kms:*"})
    decision = decide(KeyAccess(KEY, delegated, (), own), Request(ROLE, "kms:Decrypt"))
    assert decision.is_allowed
    assert [(one.kind, one.delegated_by) for one in decision.sources] == [("IAM policy", "statement 1")]
    assert not allows(KeyAccess(KEY, delegated), ROLE)
    assert allows(KeyAccess(KEY, delegated), ROOT)


@pytest.mark.parametrize(
    ("resource", "expected"),
    [("*", True), (KEY, True), (KEY[:-1] + "?", True), (KEY.replace("1234", "9999"), False)],
)
def test_an_iam_policy_is_about_its_resources(resource: str, expected: bool) -> None:
    own = {ROLE: policy({"Resource": resource}, principals=False)}
    assert allows(KeyAccess(KEY, policy({"Principal": {"AWS": ROOT}}), (), own)) is expected


def test_everybody_means_other_accounts_too() -> None:
    assert allows(KeyAccess(KEY, policy({"Principal": "*"})), FOREIGN)
    only_here = {"Principal": "*", "Condition": {"StringEquals": {"kms:CallerAccount": ACCOUNT}}}
    assert not allows(KeyAccess(KEY, policy(only_here)), FOREIGN)
    assert allows(KeyAccess(KEY, policy(only_here)), OTHER)


def test_statements_about_all_but_some() -> None:
    assert allows(KeyAccess(KEY, policy({"NotPrincipal": {"AWS": [OTHER, ROOT]}})), FOREIGN)
    assert not allows(KeyAccess(KEY, policy({"NotPrincipal": {"AWS": [ROLE, ROOT]}})))
    assert allows(KeyAccess(KEY, policy({"NotAction": "kms:Encrypt"})))
    assert not allows(KeyAccess(KEY, policy({"NotAction": "kms:De*"})))
    assert not allows(KeyAccess(KEY, policy({"NotResource": KEY})))


CONTEXT = {"party": "airline", "dataset": "flights"}


@pytest.mark.parametrize(
    ("grant", "context", "expected"),
    [
        (Grant("g", ROLE, ("Decrypt",)), {}, True),
        (Grant("g", ROLE, ("Encrypt",)), {}, False),
        (Grant("g", OTHER, ("Decrypt",)), {}, False),
        (Grant("g", ROLE, ("Decrypt",), context_equals=CONTEXT), CONTEXT, True),
        (Grant("g", ROLE, ("Decrypt",), context_equals=CONTEXT), CONTEXT | {"further": "x"}, False),
        (Grant("g", ROLE, ("Decrypt",), context_equals=CONTEXT), {}, False),
        (Grant("g", ROLE, ("Decrypt",), context_subset={"party": "airline"}), CONTEXT, True),
        (Grant("g", ROLE, ("Decrypt",), context_subset={"party": "airline"}), {"PARTY": "airline"}, False),
    ],
)
def test_grants(grant: Grant, context: dict[str, str], expected: bool) -> None:
    access = KeyAccess(KEY, policy({"Principal": {"AWS": FOREIGN}}), (grant,))
    assert allows(access, encryption_context=context) is expected
    assert allows(access, open=True) is (grant.grantee == ROLE and grant.operations == ("Decrypt",))


def test_what_is_open_helps_an_allowance_and_no_denial() -> None:
    condition = {"Condition": {"StringEquals": {"aws:SourceVpc": "vpc-1"}}}
    allowing = KeyAccess(KEY, policy(condition))
    assert allows(allowing, open=True)
    assert not allows(allowing)
    denying = KeyAccess(KEY, policy({}, {"Effect": "Deny", **condition}))
    assert allows(denying, open=True)
    assert allows(denying)
    assert not allows(denying, values={"aws:sourcevpc": ("vpc-1",)})
