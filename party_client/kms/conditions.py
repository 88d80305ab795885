"""Whether the conditions of a statement hold for a request: yes, no, or that the caller may see to it.

Pure, over policies that others wrote. Three answers, because a request may leave open what its caller can
choose, and AWS's pages may leave open what is meant (None here): an Allow is then taken to apply and a Deny
not to.
Followed: "IAM JSON policy elements: Condition operators", "Set operators for multivalued context keys" (IAM
User Guide): a missing key fails a comparison, passes a negated one, an `IfExists` and a `ForAllValues`.
"""

from __future__ import annotations

import ipaddress
import operator
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final

from party_client.kms.policy import Condition
from party_client.kms.request import Openness, Request

_ORDERED: Final[dict[str, Callable[[float, float], bool]]] = {
    "Equals": operator.eq,
    "LessThan": operator.lt,
    "LessThanEquals": operator.le,
    "GreaterThan": operator.gt,
    "GreaterThanEquals": operator.ge,
}
_VARIABLE: Final = "${"
_ARN_PARTS: Final = 6


def hold(conditions: Iterable[Condition], request: Request) -> bool | None:
    """Whether all of `conditions` do; None if that depends on what `request` leaves open."""
    answers = [holds(condition, request) for condition in conditions]
    if False in answers:
        return False
    return None if None in answers else True


def holds(condition: Condition, request: Request) -> bool | None:
    """Whether this one does."""
    found = request.value(condition.key)
    if found is Openness.UNKNOWN:
        return None
    if condition.comparison == "Null":
        absent = "true" if found is Openness.ABSENT else "false"
        return absent in [value.lower() for value in condition.values]
    return _holds_without(condition) if isinstance(found, Openness) else _holds_for(condition, found)


def _holds_without(condition: Condition) -> bool | None:
    """Where the request does not have the key."""
    if condition.quantifier == "ForAnyValue":
        return None if condition.if_exists else False  # documented: no for the one, yes for the other
    return condition.quantifier == "ForAllValues" or condition.negated or condition.if_exists


def _holds_for(condition: Condition, found: tuple[str, ...]) -> bool | None:
    """Where it has these values."""
    if any(_VARIABLE in value for value in condition.values):
        return None  # filled in by AWS from what is known of the caller
    if len(found) > 1 and not condition.quantifier:
        return None  # several values need a set operator; what AWS does without one is not documented
    passes = [
        any(_compare(condition.comparison, value, expected) for expected in condition.values)
        is not condition.negated
        for value in found
    ]
    return all(passes) if condition.quantifier == "ForAllValues" else any(passes)


def matches(pattern: str, text: str) -> bool:
    """Whether `text` is of the form `pattern`, in which `*` is any run of characters and `?` any one."""
    at = mark = 0
    star = -1
    position = 0
    while position < len(text):
        if at < len(pattern) and pattern[at] == "*":
            star, mark = at, position
            at += 1
        elif at < len(pattern) and pattern[at] in ("?", text[position]):
            at += 1
            position += 1
        elif star >= 0:  # the last star takes one character more
            at, mark = star + 1, mark + 1
            position = mark
        else:
            return False
    return all(character == "*" for character in pattern[at:])


def _compare(comparison: str, value: str, expected: str) -> bool:
    if comparison in _TEXTS:
        return _TEXTS[comparison](value, expected)
    try:
        if comparison == "IpAddress":
            return ipaddress.ip_address(value) in ipaddress.ip_network(expected, strict=False)
        kind, read = ("Numeric", float) if comparison.startswith("Numeric") else ("Date", _seconds)
        return _ORDERED[comparison.removeprefix(kind)](read(value), read(expected))
    except ValueError:
        return False  # no number, time or address on one side: nothing that could be equal or in order


def _arn_matches(pattern: str, arn: str) -> bool:
    """The six parts are compared each by itself: a star does not reach over the colons between them."""
    expected, got = pattern.split(":", _ARN_PARTS - 1), arn.split(":", _ARN_PARTS - 1)
    return len(expected) == len(got) == _ARN_PARTS and all(map(matches, expected, got))


def _seconds(text: str) -> float:
    """Of a time as ISO 8601 or as seconds since 1970."""
    try:
        return float(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


_TEXTS: Final[dict[str, Callable[[str, str], bool]]] = {
    "StringEquals": operator.eq,
    "BinaryEquals": operator.eq,
    "StringEqualsIgnoreCase": lambda value, expected: value.lower() == expected.lower(),
    "StringLike": lambda value, expected: matches(expected, value),
    "ArnEquals": lambda value, expected: _arn_matches(expected, value),
    "ArnLike": lambda value, expected: _arn_matches(expected, value),
    "Bool": lambda value, expected: value.lower() == expected.lower(),
}
