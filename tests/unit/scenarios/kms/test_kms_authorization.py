"""Who may do what with a key: AWS's evaluation, from its documentation, as a table."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from scenarios.kms.authorization import NO_KEY, AccessRequest, Rules, require_allowed
from scenarios.kms.conditions import Context
from scenarios.kms.errors import AccessDeniedError
from scenarios.kms.grants import ConstraintType, Grant
from scenarios.kms.policies import (
    parse_iam_policy_untrusted,
    parse_key_policy_untrusted,
    parse_session_policy_untrusted,
)
from scenarios.kms.principals import Caller
from tests.kms_world import ENCLAVE_ROLE, ROOT_USER, policy, statement

KEY = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
ROLE = Caller(ENCLAVE_ROLE, "job")
SAME_NAME = Caller("arn:aws:iam::444455556666:role/enclave", "job")
PCR16 = "kms:RecipientAttestation:PCR16"
HERE = {"kms:recipientattestation:pcr16": ("aa" * 48,)}

NAMED = policy(statement("Named", "Allow", {"AWS": ENCLAVE_ROLE}, "kms:Decrypt"))
DELEGATED = policy(statement("Account", "Allow", {"AWS": ROOT_USER}, "kms:*"))
BY_NUMBER = policy(statement("Account", "Allow", {"AWS": "111122223333"}, "kms:*"))
EVERYBODY = policy(statement("All", "Allow", "*", "kms:Decrypt"))
OTHER_ACCOUNT = policy(statement("Other", "Allow", {"AWS": "arn:aws:iam::444455556666:root"}, "kms:Decrypt"))
SESSION = policy(
    statement(
        "Session", "Allow", {"AWS": "arn:aws:sts::111122223333:assumed-role/enclave/job"}, "kms:Decrypt"
    )
)
ADMINISTRATOR_ONLY = policy(
    statement("Else", "Allow", {"AWS": "arn:aws:iam::111122223333:user/ann"}, "kms:*")
)
ATTESTED = policy(
    statement("Attested", "Allow", {"AWS": ENCLAVE_ROLE}, "kms:*", {"StringEquals": {PCR16: "aa" * 48}})
)
DENIED_WITHOUT = policy(
    statement("Account", "Allow", {"AWS": ROOT_USER}, "kms:*"),
    statement("Unattested", "Deny", "*", "kms:Decrypt", {"StringNotEquals": {PCR16: "aa" * 48}}),
)
ACCOUNT_DENIED = policy(
    statement("Named", "Allow", {"AWS": ENCLAVE_ROLE}, "kms:Decrypt"),
    statement("No", "Deny", {"AWS": ROOT_USER}, "kms:Decrypt"),
)
PASSES_WHEN_ABSENT = policy(
    statement("Loose", "Allow", {"AWS": ENCLAVE_ROLE}, "kms:*", {"StringEqualsIfExists": {PCR16: "aa" * 48}})
)
EXCEPT = policy(
    {"Effect": "Allow", "Principal": "*", "NotAction": ["kms:Encrypt", "kms:Put*"], "Resource": "*"}
)
ELSEWHERE = policy(
    {"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": KEY.replace("1234abcd", "0000abcd")}
)

_CONSTRAINTS: dict[str, ConstraintType] = {
    "EncryptionContextEquals": "EncryptionContextEquals",
    "EncryptionContextSubset": "EncryptionContextSubset",
}


def iam(effect: str = "Allow", action: str = "kms:Decrypt", resource: str = KEY) -> str:
    return json.dumps({"Statement": {"Effect": effect, "Action": action, "Resource": resource}})


def grant(*, grantee: str = ENCLAVE_ROLE, operation: str = "Decrypt", **constraint: Any) -> Grant:
    kind = next(iter(constraint), None)
    pairs = constraint.get(kind or "", {})
    return Grant(
        "id",
        "token",
        grantee,
        None,
        (operation,),
        _CONSTRAINTS.get(kind or ""),
        pairs,
        "",
        datetime.now(UTC),
        "1" * 12,
    )


@dataclass(frozen=True)
class Case:
    name: str
    allowed: bool
    key: str
    caller: Caller = ROLE
    iam: str | None = None
    session: str | None = None
    context: Context = field(default_factory=dict)
    grants: tuple[Grant, ...] = ()
    pairs: dict[str, str] = field(default_factory=dict)
    operation: str = "Decrypt"


CASES = [
    Case("named in the key policy", True, NAMED),
    Case("named, another operation", False, NAMED, operation="Encrypt"),
    Case("named by its session", True, SESSION),
    Case("another session of the role", False, SESSION, caller=Caller(ENCLAVE_ROLE, "other")),
    Case("nobody names it", False, ADMINISTRATOR_ONLY),
    Case("IAM alone is not enough", False, ADMINISTRATOR_ONLY, iam=iam(action="kms:*", resource="*")),
    Case("delegated to IAM, which allows", True, DELEGATED, iam=iam()),
    Case("delegated to IAM by number", True, BY_NUMBER, iam=iam()),
    Case("delegated to IAM, which says nothing", False, DELEGATED),
    Case("delegated to IAM, for another key", False, DELEGATED, iam=iam(resource=f"{KEY}0")),
    Case(
        "delegated to IAM, by wildcard", True, DELEGATED, iam=iam(action="kms:D*", resource="arn:aws:kms:*")
    ),
    Case("the root user itself", True, DELEGATED, caller=Caller(ROOT_USER)),
    Case("IAM denies what the key policy allows", False, NAMED, iam=iam("Deny")),
    Case("everybody, without IAM", True, EVERYBODY),
    Case("everybody, from another account without IAM", False, EVERYBODY, caller=SAME_NAME),
    Case("everybody, from another account with IAM", True, EVERYBODY, caller=SAME_NAME, iam=iam()),
    Case("a role of the same name elsewhere", False, NAMED, caller=SAME_NAME, iam=iam()),
    Case("another account by name", True, OTHER_ACCOUNT, caller=SAME_NAME, iam=iam()),
    Case("another account by name, without IAM", False, OTHER_ACCOUNT, caller=SAME_NAME),
    Case("a session policy that allows", True, NAMED, session=iam()),
    Case("a session policy that says nothing of it", False, NAMED, session=iam(action="kms:Encrypt")),
    Case("a session policy alone", False, ADMINISTRATOR_ONLY, session=iam()),
    Case("attested", True, ATTESTED, context=HERE),
    Case("attested, of another agreement", False, ATTESTED, context={PCR16.lower(): ("bb" * 48,)}),
    Case("not attested", False, ATTESTED),
    Case("not attested, IAM allows: the deny wins", False, DENIED_WITHOUT, iam=iam()),
    Case("attested, IAM allows, the deny is not met", True, DENIED_WITHOUT, iam=iam(), context=HERE),
    Case("not attested, the root user: the deny wins", False, DENIED_WITHOUT, caller=Caller(ROOT_USER)),
    Case("a grant against the deny", False, DENIED_WITHOUT, grants=(grant(),)),
    Case("a deny for the whole account", False, ACCOUNT_DENIED),
    Case("IfExists lets through what has nothing", True, PASSES_WHEN_ABSENT),
    Case("NotAction, of the others", True, EXCEPT),
    Case("NotAction, of those named", False, EXCEPT, operation="PutKeyPolicy"),
    Case("another resource", False, ELSEWHERE),
    Case("a grant", True, ADMINISTRATOR_ONLY, grants=(grant(),)),
    Case("a grant of another operation", False, ADMINISTRATOR_ONLY, grants=(grant(operation="Encrypt"),)),
    Case("a grant of somebody else", False, ADMINISTRATOR_ONLY, grants=(grant(grantee=ROOT_USER),)),
    Case(
        "a grant in its context",
        True,
        ADMINISTRATOR_ONLY,
        grants=(grant(EncryptionContextSubset={"a": "1"}),),
        pairs={"a": "1", "b": "2"},
    ),
    Case(
        "a grant in another context",
        False,
        ADMINISTRATOR_ONLY,
        grants=(grant(EncryptionContextEquals={"a": "1"}),),
        pairs={"a": "1", "b": "2"},
    ),
    Case(
        "a grant in no context",
        False,
        ADMINISTRATOR_ONLY,
        grants=(grant(EncryptionContextSubset={"a": "1"}),),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_evaluation(case: Case) -> None:
    request = AccessRequest(case.caller, case.operation, KEY, case.context, case.pairs)
    rules = Rules(
        resource_policy=parse_key_policy_untrusted(case.key),
        grants=case.grants,
        iam_policy=parse_iam_policy_untrusted(case.iam) if case.iam else None,
        session_policy=parse_session_policy_untrusted(case.session) if case.session else None,
    )
    if case.allowed:
        assert require_allowed(request, rules)
    else:
        with pytest.raises(AccessDeniedError, match="is not authorized to perform"):
            require_allowed(request, rules)


def test_what_has_no_key_needs_iam() -> None:
    request = AccessRequest(ROLE, "GenerateRandom", NO_KEY, HERE, {})
    with pytest.raises(AccessDeniedError, match="the caller has no IAM policy"):
        require_allowed(request, Rules(None, (), None, None))
    attested = {"StringEquals": {PCR16: "aa" * 48}}
    element = {"Effect": "Allow", "Action": "kms:GenerateRandom", "Resource": "*", "Condition": attested}
    rules = Rules(None, (), parse_iam_policy_untrusted(json.dumps({"Statement": element})), None)
    assert require_allowed(request, rules) == "IAM policy statement 1"
    with pytest.raises(AccessDeniedError, match="got nothing"):
        require_allowed(AccessRequest(ROLE, "GenerateRandom", NO_KEY, {}, {}), rules)


def test_a_refusal_names_the_statement_and_the_condition() -> None:
    rules = Rules(parse_key_policy_untrusted(ATTESTED), (), None, None)
    with pytest.raises(AccessDeniedError) as refused:
        require_allowed(AccessRequest(ROLE, "Decrypt", KEY, {PCR16.lower(): ("bb",)}, {}), rules)
    assert (
        f"statement 'Attested' of the key policy does not apply: StringEquals {PCR16}"
        in refused.value.message
    )
    assert "got 'bb'" in refused.value.message
    rules = Rules(parse_key_policy_untrusted(DENIED_WITHOUT), (), None, None)
    with pytest.raises(AccessDeniedError) as refused:
        require_allowed(AccessRequest(ROLE, "Decrypt", KEY, {}, {}), rules)
    assert "statement 'Unattested' of the key policy denies it: StringNotEquals" in refused.value.message
