"""What a policy document of AWS says, statement by statement.

Reads JSON that anybody may have written. What the documented grammar does not have is an error and is never
left out: the part that was not understood could be the one that opens the key. Names of actions and condition
keys are compared without regard to case, as AWS does, so they are kept in lower case here.
Followed: "Grammar of the IAM JSON policy language" and "IAM JSON policy elements: Condition operators" (IAM
User Guide).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from party_client.kms.errors import PolicyTextError

DOCUMENT_MAX_BYTES: Final = 256 * 1024
VERSIONS: Final = ("2012-10-17", "2008-10-17")
ANYBODY: Final = "*"
_ACCOUNT: Final = re.compile(r"[0-9]{12}")
_ACTION: Final = re.compile(r"\*|[a-z0-9*?-]+:[a-z0-9*?]+", re.IGNORECASE)
_NEGATIONS: Final = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
    "NotIpAddress": "IpAddress",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
}
_ORDERED: Final = ("Equals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals")
_COMPARISONS: Final = frozenset(
    {
        *("StringEquals", "StringEqualsIgnoreCase", "StringLike", "Bool", "BinaryEquals", "IpAddress"),
        *("ArnEquals", "ArnLike", "Null"),
        *(f"{kind}{comparison}" for kind in ("Numeric", "Date") for comparison in _ORDERED),
    }
)
_STATEMENT_KEYS: Final = frozenset(
    {
        *("Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource"),
        "Condition",
    }
)


@dataclass(frozen=True)
class Condition:
    """One operator on one key; all conditions of a statement have to hold."""

    comparison: str
    """Without negation: `StringEquals` also for `StringNotEquals`."""
    negated: bool
    quantifier: str | None
    """`ForAllValues`, `ForAnyValue`, or None."""
    if_exists: bool
    key: str
    """In lower case."""
    values: tuple[str, ...]

    @property
    def operator(self) -> str:
        """As it is written."""
        base = self.comparison
        if self.negated:
            base = next(name for name, positive in _NEGATIONS.items() if positive == base)
        prefix = f"{self.quantifier}:" if self.quantifier else ""
        return f"{prefix}{base}{'IfExists' if self.if_exists else ''}"


@dataclass(frozen=True)
class Statement:
    """One statement of a policy. `principals` is None in policies that hang on a user, group or role."""

    label: str
    """Its Sid, or which one it is."""
    allows: bool
    principals: tuple[str, ...] | None
    """ARNs, `*`, and `service:NAME` and the like; an account is its root's ARN."""
    not_principals: bool
    actions: tuple[str, ...]
    """In lower case."""
    not_actions: bool
    resources: tuple[str, ...]
    not_resources: bool
    conditions: tuple[Condition, ...]


def read_json_untrusted(text: str | bytes, *, what: str) -> Any:
    """The value of a JSON text in which no name stands twice in one object. Raises `PolicyTextError`."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise PolicyTextError(f"{what}: a name stands twice in one object")
        return found

    try:
        return json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise PolicyTextError(f"{what}: is not JSON") from error


def read_policy_untrusted(value: Any, *, what: str, with_principals: bool) -> tuple[Statement, ...]:
    """The statements of a document, given as JSON text or as the value of one. Raises `PolicyTextError`."""
    if isinstance(value, str):
        if len(value) > DOCUMENT_MAX_BYTES:
            raise PolicyTextError(
                f"{what}: got {len(value)} characters, expected at most {DOCUMENT_MAX_BYTES}"
            )
        value = read_json_untrusted(value, what=what)
    document = _object(value, what=what)
    _require_known(document, {"Version", "Id", "Statement"}, what=what)
    if document.get("Version", VERSIONS[-1]) not in VERSIONS:
        raise PolicyTextError(f"{what}: Version: got another than {' or '.join(VERSIONS)}")
    listed = document.get("Statement")
    statements = listed if isinstance(listed, list) else [listed]
    return tuple(
        _statement(item, what=what, number=number, with_principals=with_principals)
        for number, item in enumerate(statements, 1)
    )


def _statement(value: Any, *, what: str, number: int, with_principals: bool) -> Statement:
    where = f"{what}, statement {number}"
    fields = _object(value, what=where)
    _require_known(fields, _STATEMENT_KEYS, what=where)
    if (effect := fields.get("Effect")) not in ("Allow", "Deny"):
        raise PolicyTextError(f"{where}: Effect: expected Allow or Deny")
    principals, not_principals = None, False
    if with_principals:
        name = _one_of(fields, "Principal", where)
        principals, not_principals = _principals(fields[name], what=where), name == "NotPrincipal"
    elif "Principal" in fields or "NotPrincipal" in fields:
        raise PolicyTextError(f"{where}: a policy of a user, group or role names no principal")
    action, resource = _one_of(fields, "Action", where), _one_of(fields, "Resource", where)
    actions = _texts(fields[action], what=f"{where}: {action}")
    if wrong := [name for name in actions if not _ACTION.fullmatch(name)]:
        raise PolicyTextError(f"{where}: {action}: got {wrong[0][:64]!r}, expected one like kms:Decrypt")
    sid = fields.get("Sid") or f"statement {number}"
    if not isinstance(sid, str):
        raise PolicyTextError(f"{where}: Sid: expected a text")
    return Statement(
        label=sid,
        allows=effect == "Allow",
        principals=principals,
        not_principals=not_principals,
        actions=tuple(name.lower() for name in actions),
        not_actions=action == "NotAction",
        resources=_texts(fields[resource], what=f"{where}: {resource}"),
        not_resources=resource == "NotResource",
        conditions=tuple(_conditions(fields.get("Condition", {}), what=where)),
    )


def _principals(value: Any, *, what: str) -> tuple[str, ...]:
    if value == ANYBODY:
        return (ANYBODY,)
    fields = _object(value, what=f"{what}: Principal")
    _require_known(fields, {"AWS", "Service", "Federated", "CanonicalUser"}, what=f"{what}: Principal")
    found: list[str] = []
    for kind, names in fields.items():
        for name in _texts(names, what=f"{what}: Principal"):
            if kind != "AWS":
                found.append(f"{kind.lower()}:{name}")
            else:
                found.append(f"arn:aws:iam::{name}:root" if _ACCOUNT.fullmatch(name) else name)
    if not found:
        raise PolicyTextError(f"{what}: Principal: names nobody")
    return tuple(found)


def _conditions(value: Any, *, what: str) -> Iterable[Condition]:
    for written, block in _object(value, what=f"{what}: Condition").items():
        comparison, negated, quantifier, if_exists = _operator(written, what=what)
        keys: set[str] = set()
        for key, values in _object(block, what=f"{what}: {written}").items():
            if key.lower() in keys:
                raise PolicyTextError(f"{what}: {written}: {key!r} stands twice")
            keys.add(key.lower())
            texts = _texts(values, what=f"{what}: {key}", scalars=True)
            yield Condition(comparison, negated, quantifier, if_exists, key.lower(), texts)


def _operator(written: str, *, what: str) -> tuple[str, bool, str | None, bool]:
    quantifier, _, base = written.rpartition(":")
    if_exists = base.endswith("IfExists")
    base = base.removesuffix("IfExists")
    comparison = _NEGATIONS.get(base, base)
    known = comparison in _COMPARISONS and quantifier in ("", "ForAllValues", "ForAnyValue")
    if not known or (comparison == "Null" and (if_exists or quantifier)):
        raise PolicyTextError(
            f"{what}: Condition: got operator {written[:64]!r}, which AWS does not document"
        )
    return comparison, base != comparison, quantifier or None, if_exists


def _object(value: Any, *, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise PolicyTextError(f"{what}: expected a JSON object")
    return value


def _require_known(fields: Mapping[str, Any], known: Iterable[str], *, what: str) -> None:
    if unknown := sorted(set(fields) - set(known)):
        raise PolicyTextError(f"{what}: got {unknown[0][:64]!r}, which is no element of a policy")


def _one_of(fields: Mapping[str, Any], name: str, where: str) -> str:
    present = [spelled for spelled in (name, f"Not{name}") if spelled in fields]
    if len(present) != 1:
        raise PolicyTextError(f"{where}: expected one of {name} and Not{name}, got {len(present)}")
    return present[0]


def _texts(value: Any, *, what: str, scalars: bool = False) -> tuple[str, ...]:
    """One text or a list of them; where `scalars`, also numbers and truth values, as AWS reads them."""
    items = value if isinstance(value, list) else [value]
    found: list[str] = []
    for item in items:
        if scalars and isinstance(item, bool | int | float):
            found.append(json.dumps(item))
        elif isinstance(item, str):
            found.append(item)
        else:
            raise PolicyTextError(f"{what}: expected a text or a list of texts")
    if not found:
        raise PolicyTextError(f"{what}: an empty list")
    return tuple(found)
