"""Conditions, as AWS's user guide describes them: values, absent keys, sets, and what is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from scenarios.kms.conditions import parse_conditions_untrusted
from scenarios.kms.errors import MalformedPolicyError

PCR0 = "kms:RecipientAttestation:PCR0"
ONE, OTHER = "a1" * 48, "b2" * 48
KEYS = "kms:EncryptionContextKeys"
NOBODY: dict[str, tuple[str, ...]] = {}
SERVICES = frozenset({"aws", "kms"})


def holds(operator: str, key: str, values: Any, context: dict[str, tuple[str, ...]]) -> bool:
    (condition,) = parse_conditions_untrusted({operator: {key: values}}, where="test", services=SERVICES)
    return condition.holds({name.lower(): found for name, found in context.items()})


# operator, what the policy names, what the request has, whether it holds
SINGLE = [
    ("StringEquals", ONE, ONE, True),
    ("StringEquals", ONE.upper(), ONE, False),
    ("StringEquals", [OTHER, ONE], ONE, True),
    ("StringEquals", ONE[:-1], ONE, False),
    ("StringNotEquals", ONE, ONE, False),
    ("StringNotEquals", OTHER, ONE, True),
    ("StringNotEquals", [OTHER, ONE], ONE, False),
    ("StringEqualsIgnoreCase", ONE.upper(), ONE, True),
    ("StringEqualsIgnoreCase", OTHER, ONE, False),
    ("StringNotEqualsIgnoreCase", ONE.upper(), ONE, False),
    ("StringNotEqualsIgnoreCase", OTHER, ONE, True),
    ("StringLike", "a1*", ONE, True),
    ("StringLike", "A1*", ONE, False),
    ("StringLike", "?" * 96, ONE, True),
    ("StringLike", "?" * 95, ONE, False),
    ("StringLike", "*a*1*", ONE, True),
    ("StringNotLike", "a1*", ONE, False),
    ("StringNotLike", "b*", ONE, True),
    ("StringLike", "", "", True),
]


@pytest.mark.parametrize(("operator", "values", "got", "expected"), SINGLE)
def test_strings(operator: str, values: Any, got: str, expected: bool) -> None:
    assert holds(operator, PCR0, values, {PCR0: (got,)}) is expected


ABSENT = [
    *((operator, False) for operator in ("StringEquals", "StringEqualsIgnoreCase", "StringLike")),
    *((operator, True) for operator in ("StringNotEquals", "StringNotEqualsIgnoreCase", "StringNotLike")),
    ("StringEqualsIfExists", True),
    ("StringNotEqualsIfExists", True),
    ("ForAllValues:StringEquals", True),
    ("ForAllValues:StringNotEquals", True),
    ("ForAnyValue:StringEquals", False),
    ("ForAnyValue:StringNotEquals", False),
    ("ForAnyValue:StringEqualsIfExists", True),
]


@pytest.mark.parametrize(("operator", "expected"), ABSENT)
def test_a_key_that_the_request_does_not_have(operator: str, expected: bool) -> None:
    assert holds(operator, PCR0, ONE, NOBODY) is expected


def test_if_exists_compares_what_exists() -> None:
    assert holds("StringEqualsIfExists", PCR0, ONE, {PCR0: (ONE,)})
    assert not holds("StringEqualsIfExists", PCR0, ONE, {PCR0: (OTHER,)})


@pytest.mark.parametrize(
    ("value", "present", "expected"),
    [
        ("true", False, True),
        ("true", True, False),
        ("false", True, True),
        (False, False, False),
    ],
)
def test_null_is_about_being_absent(value: Any, present: bool, expected: bool) -> None:
    assert holds("Null", PCR0, value, {PCR0: (ONE,)} if present else NOBODY) is expected


# The examples of "Multivalued context keys": which of several values have to match.
SETS = [
    ("ForAllValues:StringEquals", ["a", "b"], ("a",), True),
    ("ForAllValues:StringEquals", ["a", "b"], ("a", "b"), True),
    ("ForAllValues:StringEquals", ["a", "b"], ("a", "c"), False),
    ("ForAnyValue:StringEquals", ["a", "b"], ("a", "c"), True),
    ("ForAnyValue:StringEquals", ["a", "b"], ("c", "d"), False),
    ("ForAllValues:StringNotEquals", ["a", "b"], ("c", "d"), True),
    ("ForAllValues:StringNotEquals", ["a", "b"], ("a", "d"), False),
    ("ForAnyValue:StringNotEquals", ["a", "b"], ("a", "d"), True),
    ("ForAnyValue:StringNotEquals", ["a", "b"], ("a", "b"), False),
    ("ForAllValues:StringLike", ["a*"], ("ab", "ac"), True),
]


@pytest.mark.parametrize(("operator", "values", "got", "expected"), SETS)
def test_sets(operator: str, values: list[str], got: tuple[str, ...], expected: bool) -> None:
    assert holds(operator, KEYS, values, {KEYS: got}) is expected


OTHER_TYPES = [
    ("Bool", "aws:SecureTransport", True, "true", True),
    ("Bool", "aws:SecureTransport", "false", "true", False),
    ("DateLessThan", "aws:CurrentTime", "2026-12-01T00:00:00Z", "2026-11-27T12:00:00Z", True),
    ("DateGreaterThan", "aws:CurrentTime", "2026-12-01T00:00:00Z", "2026-11-27T12:00:00Z", False),
    ("DateLessThanEquals", "aws:CurrentTime", "2026-11-27T12:00:00Z", "2026-11-27T12:00:00Z", True),
    ("DateGreaterThanEquals", "aws:EpochTime", "1000", "999", False),
    ("NumericLessThan", "aws:EpochTime", "1000", "999", True),
    ("NumericEquals", "aws:EpochTime", 1000, "1000", True),
    ("NumericNotEquals", "aws:EpochTime", "1000", "no number", True),
    ("IpAddress", "aws:SourceIp", "10.0.0.0/8", "10.1.2.3", True),
    ("IpAddress", "aws:SourceIp", ["192.0.2.0/24", "2001:db8::/32"], "2001:db8::1", True),
    ("NotIpAddress", "aws:SourceIp", "10.0.0.0/8", "10.1.2.3", False),
    (
        "ArnLike",
        "aws:PrincipalArn",
        "arn:aws:iam::*:role/enc*",
        "arn:aws:iam::111122223333:role/enclave",
        True,
    ),
    (
        "ArnLike",
        "aws:PrincipalArn",
        "arn:*:role/enclave:*:*:*",
        "arn:aws:iam::111122223333:role/enclave",
        False,
    ),
    ("ArnNotEquals", "aws:PrincipalArn", "arn:aws:iam::1*:role/*", "arn:aws:iam::111122223333:role/a", False),
]


@pytest.mark.parametrize(("operator", "key", "values", "got", "expected"), OTHER_TYPES)
def test_other_types(operator: str, key: str, values: Any, got: str, expected: bool) -> None:
    assert holds(operator, key, values, {key: (got,)}) is expected


def test_names_of_keys_are_not_case_sensitive() -> None:
    assert holds("StringEquals", "KMS:recipientattestation:pcr0", ONE, {PCR0: (ONE,)})
    name = "kms:EncryptionContext:Party"
    assert holds("StringEquals", "kms:EncryptionContext:party", "shop", {name: ("shop",)})


REFUSED = [
    ({"StringEqual": {PCR0: ONE}}, "condition operator 'StringEqual' is unknown here"),
    ({"stringequals": {PCR0: ONE}}, "condition operator 'stringequals' is unknown here"),
    ({"BinaryEquals": {PCR0: ONE}}, "condition operator 'BinaryEquals' is unknown here"),
    ({"NullIfExists": {PCR0: "true"}}, "condition operator 'NullIfExists' is unknown here"),
    ({"ForAnyValue:Null": {PCR0: "true"}}, "condition operator 'ForAnyValue:Null' is unknown here"),
    ({"ForSomeValues:StringEquals": {PCR0: ONE}}, "is unknown here"),
    (
        {"StringEquals": {"kms:RecipientAttestation": ONE}},
        "condition key 'kms:RecipientAttestation' is unknown",
    ),
    ({"StringEquals": {"kms:RecipientAttestation:PCR32": ONE}}, "PCR32' is unknown here"),
    ({"StringEquals": {"kms:RecipientAttestation:PCR00": ONE}}, "PCR00' is unknown here"),
    ({"StringEquals": {"kms:EncryptionContext:": "x"}}, "is unknown here"),
    ({"StringEquals": {"s3:prefix": "x"}}, "condition key 's3:prefix' is unknown here"),
    ({"StringEquals": {KEYS: "party"}}, "expected ForAllValues or ForAnyValue"),
    ({"StringEquals": {PCR0: []}}, "got 0 values, expected 1 to 256"),
    ({"StringEquals": {PCR0: [None]}}, "got NoneType, expected a string"),
    ({"StringEquals": {"aws:PrincipalArn": "${aws:PrincipalArn}"}}, "policy variables are not modelled"),
    ({"Bool": {"aws:SecureTransport": "yes"}}, "expected true or false"),
    ({"Null": {PCR0: ["true", "false"]}}, "expected true or false"),
    ({"NumericLessThan": {"aws:EpochTime": "soon"}}, "could not convert"),
    ({"NumericNotEquals": {"aws:EpochTime": "nan"}}, "expected a finite number"),
    ({"DateLessThan": {"aws:CurrentTime": "soon"}}, "Invalid isoformat"),
    ({"IpAddress": {"aws:SourceIp": "here"}}, "does not appear to be"),
    ({"ArnEquals": {"aws:PrincipalArn": "role/enclave"}}, "expected an ARN of six parts"),
    ({"StringEquals": PCR0}, "expected an object of keys"),
    ({}, "expected an object of operators"),
    ([], "expected an object of operators"),
]


@pytest.mark.parametrize(("block", "message"), REFUSED)
def test_what_cannot_be_judged_is_refused_by_name(block: Any, message: str) -> None:
    with pytest.raises(MalformedPolicyError, match=r"^statement 1: ") as refused:
        parse_conditions_untrusted(block, where="statement 1", services=SERVICES)
    assert message in refused.value.message


def test_the_sentence_has_what_was_got_and_what_was_named() -> None:
    block = {"StringEquals": {PCR0: [ONE, OTHER]}}
    (condition,) = parse_conditions_untrusted(block, where="test", services=SERVICES)
    assert condition.says(NOBODY) == f"StringEquals {PCR0} names '{ONE}' or '{OTHER}', got nothing"
    assert condition.says({PCR0.lower(): ("c3",)}).endswith("got 'c3'")
