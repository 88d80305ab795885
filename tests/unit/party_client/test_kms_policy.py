"""Policies are read as AWS documents them, or not at all; conditions answer as AWS documents them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from party_client.kms.conditions import hold, holds, matches
from party_client.kms.errors import PolicyTextError
from party_client.kms.policy import Statement, read_json_untrusted, read_policy_untrusted
from party_client.kms.request import Request

ROLE = "arn:aws:iam::111122223333:role/reader"
PLAIN: dict[str, Any] = {
    "Effect": "Allow",
    "Principal": {"AWS": ROLE},
    "Action": "kms:Decrypt",
    "Resource": "*",
}


def read(statement: Mapping[str, Any], *, with_principals: bool = True) -> Statement:
    document = {"Version": "2012-10-17", "Statement": [statement]}
    (found,) = read_policy_untrusted(json.dumps(document), what="policy", with_principals=with_principals)
    return found


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in PLAIN.items() if name not in names}


def test_a_statement_is_read() -> None:
    found = read(
        PLAIN
        | {"Sid": "One", "Action": ["kms:Decrypt", "kms:Generate*"], "Principal": {"AWS": "111122223333"}}
    )
    assert (found.label, found.allows) == ("One", True)
    assert found.actions == ("kms:decrypt", "kms:generate*")
    assert found.principals == ("arn:aws:iam::111122223333:root",)
    assert read(PLAIN).label == "statement 1"


def test_one_statement_needs_no_list() -> None:
    (found,) = read_policy_untrusted({"Statement": PLAIN}, what="policy", with_principals=True)
    assert found == read(PLAIN)


def test_principals_of_all_kinds_are_kept() -> None:
    found = read(PLAIN | {"Principal": {"AWS": ["*"], "Service": "logs.amazonaws.com"}})
    assert found.principals == ("*", "service:logs.amazonaws.com")
    assert read(PLAIN | {"Principal": "*"}).principals == ("*",)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (PLAIN | {"Effect": "allow"}, "Effect"),
        (PLAIN | {"Conditions": {}}, "no element of a policy"),
        (PLAIN | {"NotAction": "kms:Encrypt"}, "one of Action and NotAction"),
        (without("Action"), "one of Action and NotAction"),
        (without("Resource"), "one of Resource and NotResource"),
        (without("Principal"), "one of Principal and NotPrincipal"),
        (PLAIN | {"Principal": {}}, "names nobody"),
        (PLAIN | {"Principal": {"Aws": ROLE}}, "no element of a policy"),
        (PLAIN | {"Principal": {"AWS": []}}, "an empty list"),
        (PLAIN | {"Action": []}, "an empty list"),
        (PLAIN | {"Action": "Decrypt"}, "expected one like kms:Decrypt"),
        (PLAIN | {"Action": 5}, "expected a text"),
        (PLAIN | {"Sid": 5}, "Sid"),
        (PLAIN | {"Condition": []}, "expected a JSON object"),
        (PLAIN | {"Condition": {"StringEquals": {"a:b": []}}}, "an empty list"),
        (PLAIN | {"Condition": {"StringEquals": {"a:b": {}}}}, "expected a text"),
        (PLAIN | {"Condition": {"StringEquals": {"a:b": "1", "A:B": "2"}}}, "stands twice"),
        (PLAIN | {"Condition": {"StringMatches": {"a:b": "1"}}}, "does not document"),
        (PLAIN | {"Condition": {"stringequals": {"a:b": "1"}}}, "does not document"),
        (PLAIN | {"Condition": {"ForSomeValues:StringEquals": {"a:b": "1"}}}, "does not document"),
        (PLAIN | {"Condition": {"NullIfExists": {"a:b": "true"}}}, "does not document"),
    ],
)
def test_what_the_grammar_does_not_have_is_refused(statement: dict[str, Any], said: str) -> None:
    with pytest.raises(PolicyTextError, match=said):
        read(statement)


@pytest.mark.parametrize(
    "document", [[], {"Version": "2020-01-01", "Statement": PLAIN}, {"Statements": [PLAIN]}, {"Id": "x"}, "{"]
)
def test_a_document_of_another_shape_is_refused(document: Any) -> None:
    with pytest.raises(PolicyTextError):
        read_policy_untrusted(document, what="policy", with_principals=True)


def test_a_policy_of_a_user_names_no_principal() -> None:
    assert read(without("Principal"), with_principals=False).principals is None
    with pytest.raises(PolicyTextError, match="names no principal"):
        read(PLAIN, with_principals=False)


def test_a_name_that_stands_twice_is_refused() -> None:
    """Else the reader and AWS might each believe another one."""
    with pytest.raises(PolicyTextError, match="stands twice"):
        read_json_untrusted('{"Effect": "Deny", "Effect": "Allow"}', what="policy")


@pytest.mark.parametrize("text", ["[" * 100_000, "nothing", '"\ud800'.encode("utf-8", "surrogatepass")])
def test_what_is_not_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(PolicyTextError):
        read_json_untrusted(text, what="policy")


def condition(operator: str, key: str, *values: Any) -> Any:
    (found,) = read(PLAIN | {"Condition": {operator: {key: list(values)}}}).conditions
    assert found.operator == operator
    return found


PRESENT = Request(
    ROLE,
    "kms:Decrypt",
    encryption_context={"agreement": "Abc", "party": "airline"},
    registers={"PCR0": "aa" * 48, "PCR16": None},
    values={
        "aws:currenttime": ("2026-06-01T00:00:00Z",),
        "aws:sourceip": ("192.0.2.7",),
        "aws:securetransport": ("true",),
        "s3:max-keys": ("10",),
        "aws:tagkeys": ("one", "two"),
    },
)
IMAGE = "kms:RecipientAttestation:ImageSha384"


@pytest.mark.parametrize(
    ("operator", "key", "values", "expected"),
    [
        ("StringEqualsIgnoreCase", IMAGE, ("AA" * 48,), True),
        ("StringEquals", IMAGE, ("AA" * 48,), False),
        ("StringEquals", "KMS:recipientattestation:pcr0", ("bb", "aa" * 48), True),
        ("StringNotEquals", IMAGE, ("bb", "aa" * 48), False),
        ("StringNotEqualsIgnoreCase", IMAGE, ("bb",), True),
        ("StringLike", IMAGE, ("a*a",), True),
        ("StringNotLike", IMAGE, ("a*b",), True),
        # absent keys
        ("StringEqualsIgnoreCase", "kms:RecipientAttestation:PCR16", ("aa",), False),
        ("StringNotEqualsIgnoreCase", "kms:RecipientAttestation:PCR16", ("aa",), True),
        ("StringEqualsIfExists", "kms:RecipientAttestation:PCR16", ("aa",), True),
        ("StringLike", "kms:RecipientAttestation:PCR16", ("*",), False),
        ("Null", "kms:RecipientAttestation:PCR16", ("true",), True),
        ("Null", "kms:RecipientAttestation:PCR16", (False,), False),
        ("Null", IMAGE, (True,), False),
        ("Null", IMAGE, ("false",), True),
        ("ForAllValues:StringEquals", "kms:RecipientAttestation:PCR16", ("aa",), True),
        ("ForAnyValue:StringEquals", "kms:RecipientAttestation:PCR16", ("aa",), False),
        ("ForAnyValue:StringNotEquals", "kms:RecipientAttestation:PCR16", ("aa",), False),
        ("StringEquals", "aws:SourceVpc", ("vpc-1",), False),
        # several values in the request
        ("ForAllValues:StringEquals", "aws:TagKeys", ("one", "two", "three"), True),
        ("ForAllValues:StringEquals", "aws:TagKeys", ("one",), False),
        ("ForAllValues:StringNotEquals", "aws:TagKeys", ("three",), True),
        ("ForAllValues:StringNotEquals", "aws:TagKeys", ("one",), False),
        ("ForAnyValue:StringEquals", "aws:TagKeys", ("one",), True),
        ("ForAnyValue:StringEquals", "aws:TagKeys", ("three",), False),
        ("ForAnyValue:StringNotEquals", "aws:TagKeys", ("one",), True),
        # the encryption context: names without regard to case, but not in EncryptionContextKeys
        ("StringEquals", "kms:EncryptionContext:AGREEMENT", ("Abc",), True),
        ("StringEquals", "kms:EncryptionContext:agreement", ("abc",), False),
        ("ForAllValues:StringEquals", "kms:EncryptionContextKeys", ("agreement", "party"), True),
        ("ForAllValues:StringEquals", "kms:EncryptionContextKeys", ("Agreement", "party"), False),
        # who asks
        ("ArnEquals", "aws:PrincipalArn", (ROLE,), True),
        ("ArnLike", "aws:PrincipalArn", ("arn:aws:iam::*:role/*",), True),
        ("ArnLike", "aws:PrincipalArn", ("arn:*:role/reader",), False),
        ("ArnNotEquals", "aws:PrincipalArn", (ROLE,), False),
        ("StringEquals", "kms:CallerAccount", ("111122223333",), True),
        # other kinds of values
        ("DateLessThan", "aws:CurrentTime", ("2026-06-01T00:00:00Z",), False),
        ("DateLessThan", "aws:CurrentTime", ("2026-06-01T00:00:01Z",), True),
        ("DateGreaterThanEquals", "aws:CurrentTime", ("2026-06-01T02:00:00+02:00",), True),
        ("DateGreaterThan", "aws:CurrentTime", (1780272000,), False),
        ("DateLessThan", "aws:CurrentTime", ("tomorrow",), False),
        ("NumericLessThanEquals", "s3:max-keys", (10,), True),
        ("NumericNotEquals", "s3:max-keys", (10,), False),
        ("IpAddress", "aws:SourceIp", ("192.0.2.0/24",), True),
        ("NotIpAddress", "aws:SourceIp", ("192.0.2.0/24",), False),
        ("IpAddress", "aws:SourceIp", ("everywhere",), False),
        ("Bool", "aws:SecureTransport", (True,), True),
        ("Bool", "aws:SecureTransport", ("false",), False),
    ],
)
def test_conditions_as_documented(operator: str, key: str, values: tuple[Any, ...], expected: bool) -> None:
    assert holds(condition(operator, key, *values), PRESENT) is expected


def test_what_a_request_leaves_open_is_not_known() -> None:
    asking = Request(ROLE, "kms:Decrypt", registers={"PCR0": "aa"}, open=True)
    assert holds(condition("StringEquals", "kms:RecipientAttestation:PCR8", "bb"), asking) is None
    assert holds(condition("Null", "aws:SourceVpc", "true"), asking) is None
    assert holds(condition("StringEquals", "kms:EncryptionContext:party", "airline"), asking) is None
    assert holds(condition("StringEquals", IMAGE, "bb"), asking) is False
    no_document = Request(ROLE, "kms:Decrypt", open=True)
    assert holds(condition("StringNotEquals", "kms:RecipientAttestation:PCR8", "bb"), no_document) is True


@pytest.mark.parametrize(
    ("operator", "key"),
    [
        ("ForAnyValue:StringEqualsIfExists", "kms:RecipientAttestation:PCR16"),
        ("StringEquals", "aws:TagKeys"),
        ("StringNotEquals", "kms:EncryptionContextKeys"),
    ],
)
def test_what_is_not_documented_is_not_known(operator: str, key: str) -> None:
    assert holds(condition(operator, key, "one"), PRESENT) is None


def test_a_variable_is_not_known() -> None:
    found = condition("StringEquals", "aws:PrincipalArn", "arn:aws:iam::1:user/${aws:username}")
    assert holds(found, PRESENT) is None


def test_all_conditions_have_to_hold() -> None:
    yes, no = condition("Bool", "aws:SecureTransport", True), condition("Bool", "aws:SecureTransport", False)
    unknown = condition("StringEquals", "aws:PrincipalArn", "${x}")
    assert hold((yes, yes), PRESENT) is True
    assert hold((yes, no), PRESENT) is False
    assert hold((yes, unknown), PRESENT) is None
    assert hold((unknown, no), PRESENT) is False
    assert hold((), PRESENT) is True


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("*", "", True),
        ("*", "anything", True),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("*b*d", "abcd", True),
        ("a*a", "a", False),
        ("a.c", "abc", False),
        ("", "a", False),
        ("a*b*c*", "aXbXcX" * 2, True),
    ],
)
def test_patterns(pattern: str, text: str, expected: bool) -> None:
    assert matches(pattern, text) is expected


def test_a_pattern_made_to_be_slow_is_not() -> None:
    assert not matches("*a" * 2_000, "a" * 4_000 + "b")
