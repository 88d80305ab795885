"""What each condition operator compares, one value of a request with one of a policy.

Every negated operator stands here with the one it negates: it holds where the other does not, which is also
the case for a key that a request lacks (IAM user guide, "Condition operators"). BinaryEquals is not
modelled.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, TypeVar

Comparison = Callable[[str, str], bool]
"""Takes the request's value and the policy's; raises `ValueError` if the latter is of another type."""

_Value = TypeVar("_Value", float, datetime)


def like(got: str, pattern: str) -> bool:
    """Whether `got` is `pattern`, in which * stands for anything and ? for one character."""
    at = mark = 0
    star = -1
    while at < len(got):
        if mark < len(pattern) and pattern[mark] == "*":
            star, back = mark, at
            mark += 1
        elif mark < len(pattern) and pattern[mark] in ("?", got[at]):
            at, mark = at + 1, mark + 1
        elif star >= 0:  # let the last star take one character more
            back += 1
            at, mark = back, star + 1
        else:
            return False
    return not pattern[mark:].strip("*")


def _equal(got: str, wanted: str) -> bool:
    return got == wanted


def _equal_ignoring_case(got: str, wanted: str) -> bool:
    return got.lower() == wanted.lower()


def _arn(got: str, wanted: str) -> bool:
    """Each of the six parts by itself, so that a star never reaches over a colon into the next."""
    parts, patterns = got.split(":", 5), wanted.split(":", 5)
    if len(patterns) != 6:
        raise ValueError("expected an ARN of six parts")
    return len(parts) == 6 and all(map(like, parts, patterns))


def _truth(got: str, wanted: str) -> bool:
    if wanted.lower() not in ("true", "false"):
        raise ValueError("expected true or false")
    return got.lower() == wanted.lower()


def _address(got: str, wanted: str) -> bool:
    network = ipaddress.ip_network(wanted, strict=False)
    try:
        return ipaddress.ip_address(got) in network
    except ValueError:
        return False


def _number(text: str) -> float:
    found = float(text)
    if not math.isfinite(found):
        raise ValueError("expected a finite number")
    return found


def _date(text: str) -> datetime:
    """ISO 8601 with a zone, a date alone, or seconds since 1970."""
    try:
        if text.isascii() and text.isdigit():
            return datetime.fromtimestamp(int(text), UTC)
        found = datetime.fromisoformat(text)
    except (OverflowError, OSError) as error:
        raise ValueError("expected a date") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _ordered(read: Callable[[str], _Value], holds: Callable[[_Value, _Value], bool]) -> Comparison:
    def compare(got: str, wanted: str) -> bool:
        limit = read(wanted)
        try:
            return holds(read(got), limit)
        except ValueError:
            return False  # what is no number is neither more nor less

    return compare


COMPARISONS: Final[dict[str, Comparison]] = {
    "StringEquals": _equal,
    "StringEqualsIgnoreCase": _equal_ignoring_case,
    "StringLike": like,
    "ArnEquals": _arn,
    "ArnLike": _arn,
    "Bool": _truth,
    "IpAddress": _address,
    "NumericEquals": _ordered(_number, lambda got, limit: got == limit),
    "NumericLessThan": _ordered(_number, lambda got, limit: got < limit),
    "NumericLessThanEquals": _ordered(_number, lambda got, limit: got <= limit),
    "NumericGreaterThan": _ordered(_number, lambda got, limit: got > limit),
    "NumericGreaterThanEquals": _ordered(_number, lambda got, limit: got >= limit),
    "DateEquals": _ordered(_date, lambda got, limit: got == limit),
    "DateLessThan": _ordered(_date, lambda got, limit: got < limit),
    "DateLessThanEquals": _ordered(_date, lambda got, limit: got <= limit),
    "DateGreaterThan": _ordered(_date, lambda got, limit: got > limit),
    "DateGreaterThanEquals": _ordered(_date, lambda got, limit: got >= limit),
}

NEGATED: Final = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
    "NotIpAddress": "IpAddress",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
}
"""The negated operator, and the one that it is not."""
