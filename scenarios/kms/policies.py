"""Reads policies of keys, IAM and roles' trust: the JSON policy language, as much of it as is modelled here.

A policy comes from whoever may write it; a policy that this server could not judge in every detail is
refused when it is handed in, with the element named, and never stored. Left out, and refused: NotPrincipal,
NotResource, Federated and CanonicalUser principals, policy variables. (IAM user guide, "Grammar of the IAM
JSON policy language", "Trust policies"; AWS KMS developer guide, "Key policies".)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Literal

from scenarios.kms.comparisons import like
from scenarios.kms.conditions import Condition, parse_conditions_untrusted
from scenarios.kms.errors import MalformedPolicyError
from scenarios.kms.principals import is_principal
from scenarios.kms.untrusted_json import Json, parse_object_untrusted

POLICY_MAX_BYTES: Final = 32 * 1024
_STATEMENTS_MAX: Final = 100
_ACTION: Final = re.compile(r"\*|[a-z0-9-]{1,64}:[A-Za-z0-9*?]{1,128}", re.ASCII)
_KNOWN: Final = {"Sid", "Effect", "Principal", "Action", "NotAction", "Resource", "Condition"}
_TRUST_ACTIONS: Final = ("sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity")
_VERSIONS: Final = ("2012-10-17", "2008-10-17")

Kind = Literal["key policy", "trust policy", "IAM policy", "session policy"]
_OF_PRINCIPALS: Final = frozenset({"aws", "kms", "sts"})
_SERVICES: Final[dict[Kind, frozenset[str]]] = {
    "key policy": frozenset({"aws", "kms"}),
    "trust policy": frozenset({"aws", "sts"}),
    "IAM policy": _OF_PRINCIPALS,
    "session policy": _OF_PRINCIPALS,
}
"""Whose condition keys there can be in requests that the policy is about."""


@dataclass(frozen=True)
class Statement:
    """Something allowed or denied to somebody, on conditions."""

    name: str
    """Its Sid, or its place."""
    effect: Literal["Allow", "Deny"]
    principals: frozenset[str] | None
    """Who, in the policy of a key or role; `None` in an IAM policy, which belongs to somebody."""
    actions: tuple[str, ...]
    excepts: bool
    """Whether `actions` are those that it is *not* about."""
    resources: tuple[str, ...]
    conditions: tuple[Condition, ...]

    def is_about(self, action: str, resource: str) -> bool:
        """Whether `action` on `resource` is a matter of this statement."""
        named = any(like(action.lower(), pattern.lower()) for pattern in self.actions)
        return named != self.excepts and any(like(resource, pattern) for pattern in self.resources)


@dataclass(frozen=True)
class PolicyDocument:
    """A policy that was read."""

    kind: Kind
    statements: tuple[Statement, ...]


def parse_key_policy_untrusted(text: str) -> PolicyDocument:
    """The policy of a key: every statement says who. Raises `MalformedPolicyError`."""
    return PolicyDocument("key policy", _statements(text, what="key policy"))


def parse_trust_policy_untrusted(text: str) -> PolicyDocument:
    """Who may take a role on: nothing else, and of that role alone. Raises `MalformedPolicyError`."""
    return PolicyDocument("trust policy", _statements(text, what="trust policy"))


def parse_iam_policy_untrusted(text: str) -> PolicyDocument:
    """The policy of a user or role: no statement says who. Raises `MalformedPolicyError`."""
    return PolicyDocument("IAM policy", _statements(text, what="IAM policy"))


def parse_session_policy_untrusted(text: str) -> PolicyDocument:
    """The policy by which a session has less than its role. Raises `MalformedPolicyError`."""
    return PolicyDocument("session policy", _statements(text, what="session policy"))


def _statements(text: str, *, what: Kind) -> tuple[Statement, ...]:
    found = parse_object_untrusted(
        text.encode("utf-8", "surrogatepass"),
        what=what,
        max_bytes=POLICY_MAX_BYTES,
        refusal=MalformedPolicyError,
    )
    _require_names(found, {"Version", "Id", "Statement"}, where=what)
    if found.get("Version", _VERSIONS[1]) not in _VERSIONS:
        raise MalformedPolicyError(f"{what}: Version: expected {' or '.join(_VERSIONS)}")
    listed = found.get("Statement")
    listed = [listed] if type(listed) is dict else listed
    if type(listed) is not list or not 1 <= len(listed) <= _STATEMENTS_MAX:
        raise MalformedPolicyError(f"{what}: Statement: expected 1 to {_STATEMENTS_MAX} statements")
    return tuple(
        _statement(each, place=f"{what}: statement {number}", kind=what)
        for number, each in enumerate(listed, 1)
    )


def _statement(found: Any, *, place: str, kind: Kind) -> Statement:
    if type(found) is not dict:
        raise MalformedPolicyError(f"{place}: expected an object")
    sid = found.get("Sid", "")
    if type(sid) is not str or len(sid) > 256:
        raise MalformedPolicyError(f"{place}: Sid: expected a string of at most 256 characters")
    where = f"{place} {sid!r}" if sid else place
    _require_names(found, _KNOWN - {"Resource"} if kind == "trust policy" else _KNOWN, where=where)
    names_people = kind in ("key policy", "trust policy")
    if found.get("Effect") not in ("Allow", "Deny"):
        raise MalformedPolicyError(f"{where}: Effect: expected Allow or Deny")
    if ("Principal" in found) != names_people:
        expected = f"one in a {kind}" if names_people else "none in the policy of a principal"
        raise MalformedPolicyError(f"{where}: Principal: expected {expected}")
    if ("Action" in found) == ("NotAction" in found):
        raise MalformedPolicyError(f"{where}: expected either Action or NotAction")
    excepts = "NotAction" in found
    actions = _actions(found["NotAction" if excepts else "Action"], where)
    if kind == "trust policy" and (excepts or not set(actions) <= set(_TRUST_ACTIONS)):
        raise MalformedPolicyError(f"{where}: Action: expected {' or '.join(_TRUST_ACTIONS)}")
    return Statement(
        name=repr(sid) if sid else place.rpartition(" ")[2],
        effect=found["Effect"],
        principals=_principals(found["Principal"], where) if names_people else None,
        actions=actions,
        excepts=excepts,
        resources=("*",) if kind == "trust policy" else _texts(found.get("Resource"), f"{where}: Resource"),
        conditions=parse_conditions_untrusted(found["Condition"], where=where, services=_SERVICES[kind])
        if "Condition" in found
        else (),
    )


def _principals(found: Any, where: str) -> frozenset[str]:
    """Accounts, users, roles and sessions. A service never calls here: its name matches nobody."""
    if found == "*":
        return frozenset({"*"})
    if type(found) is not dict or not found:
        raise MalformedPolicyError(f"{where}: Principal: expected * or an object")
    _require_names(found, {"AWS", "Service"}, where=f"{where}: Principal")
    named = _texts(found["AWS"], f"{where}: Principal") if "AWS" in found else ()
    for principal in named:
        if not is_principal(principal):
            raise MalformedPolicyError(
                f"{where}: Principal: got {principal[:200]!r}, expected *, an account or an exact ARN"
            )
    services = _texts(found["Service"], f"{where}: Principal") if "Service" in found else ()
    return frozenset({*named, *(f"service {name}" for name in services)})


def _actions(found: Any, where: str) -> tuple[str, ...]:
    actions = _texts(found, f"{where}: Action")
    for action in actions:
        if not _ACTION.fullmatch(action):
            raise MalformedPolicyError(f"{where}: Action: got {action[:80]!r}, expected service:Name or *")
    return actions


def _texts(found: Any, where: str) -> tuple[str, ...]:
    listed = found if type(found) is list else [found]
    if not listed or not all(type(text) is str and text for text in listed):
        raise MalformedPolicyError(f"{where}: expected a string, or a list of at least one")
    if any("${" in text for text in listed):
        raise MalformedPolicyError(f"{where}: policy variables are not modelled here")
    return tuple(listed)


def _require_names(found: Json, known: set[str], *, where: str) -> None:
    unknown = sorted(found.keys() - known)
    if unknown:
        raise MalformedPolicyError(f"{where}: {unknown[0][:80]!r} is unknown here")
