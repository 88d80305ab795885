"""Policies of AWS's grammar are read; whatever could not be judged in full is refused and named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scenarios.kms.errors import MalformedPolicyError
from scenarios.kms.policies import parse_iam_policy_untrusted, parse_key_policy_untrusted
from tests.kms_world import SOUND

ALLOW = {"Effect": "Allow", "Principal": "*", "Action": "kms:Decrypt", "Resource": "*"}


def changed(**elements: Any) -> str:
    """A policy of one statement with these elements; `None` takes one away."""
    statement = {name: value for name, value in {**ALLOW, **elements}.items() if value is not None}
    return json.dumps({"Version": "2012-10-17", "Statement": statement})


ACCEPTED = [
    changed(),
    changed(Sid="Allow use of the key"),
    changed(Principal={"AWS": ["111122223333", "arn:aws:iam::111122223333:role/path/to/enclave"]}),
    changed(Principal={"AWS": "arn:aws:sts::111122223333:assumed-role/enclave/job"}),
    changed(Principal={"AWS": "*", "Service": "ec2.amazonaws.com"}),
    changed(Action=["kms:Generate*", "kms:De?rypt", "*"]),
    changed(Action=None, NotAction=["kms:Decrypt"]),
    changed(Resource="arn:aws:kms:*:111122223333:key/*"),
    json.dumps({"Id": "key-default-1", "Statement": [ALLOW]}),
    SOUND,
]


@pytest.mark.parametrize("text", ACCEPTED)
def test_policies_of_the_grammar(text: str) -> None:
    assert parse_key_policy_untrusted(text).statements


REFUSED = [
    ("", "not JSON"),
    ("[]", "got list, expected an object"),
    ('{"Statement": [], "Statement": []}', "a name stands twice"),
    ("{}", "Statement: expected 1 to 100"),
    ('{"Statement": []}', "Statement: expected 1 to 100"),
    ('{"Statement": [1]}', "statement 1: expected an object"),
    (json.dumps({"Version": "2020-01-01", "Statement": [ALLOW]}), "Version: expected 2012-10-17"),
    (json.dumps({"Statement": [ALLOW], "Statements": []}), "'Statements' is unknown here"),
    (changed(Effect="allow"), "Effect: expected Allow or Deny"),
    (changed(Effect=None), "Effect: expected Allow or Deny"),
    (changed(Conditions={}), "'Conditions' is unknown here"),
    (changed(NotPrincipal="*"), "'NotPrincipal' is unknown here"),
    (changed(NotResource="*"), "'NotResource' is unknown here"),
    (changed(Principal=None), "Principal: expected one in a key policy"),
    (changed(Principal="ann"), "Principal: expected * or an object"),
    (changed(Principal={"AWS": []}), "expected a string, or a list of at least one"),
    (changed(Principal={"Federated": "x"}), "'Federated' is unknown here"),
    (
        changed(Principal={"AWS": "arn:aws:iam::111122223333:role/*"}),
        "expected *, an account or an exact ARN",
    ),
    (changed(Principal={"AWS": "arn:aws:iam::1111:root"}), "expected *, an account or an exact ARN"),
    (changed(Action=None), "expected either Action or NotAction"),
    (changed(NotAction="kms:Decrypt"), "expected either Action or NotAction"),
    (changed(Action=[]), "expected a string, or a list of at least one"),
    (changed(Action="Decrypt"), "got 'Decrypt', expected service:Name or *"),
    (changed(Resource=None), "Resource: expected a string"),
    (changed(Resource="arn:aws:kms:*:${aws:PrincipalAccount}:key/*"), "policy variables are not modelled"),
    (changed(Condition={}), "Condition: expected an object of operators"),
    (changed(Condition={"StringEquals": {"kms:PCR0": "x"}}), "condition key 'kms:PCR0' is unknown here"),
    (changed(Sid="x" * 257), "Sid: expected a string of at most 256"),
    (changed(Sid="y" * 32_768), "expected at most 32768"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_what_cannot_be_judged_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(MalformedPolicyError) as refused:
        parse_key_policy_untrusted(text)
    assert message in refused.value.message


def test_an_iam_policy_belongs_to_somebody_and_names_nobody() -> None:
    assert parse_iam_policy_untrusted(changed(Principal=None)).statements
    with pytest.raises(MalformedPolicyError, match="expected none in the policy of a principal"):
        parse_iam_policy_untrusted(changed())
