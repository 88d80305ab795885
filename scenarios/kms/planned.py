"""What `concordat kms plan` wrote, put in place: the key with its policy and alias, and the enclave's role.

The file is a party's own, and is read like anybody's: both policies are checked before anything is kept. What
Terraform does at AWS, for a SIMULATED KMS. Followed: docs/kms.md, "Set it up".
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from scenarios.kms.errors import PlanFileError
from scenarios.kms.keys import Key, make_key
from scenarios.kms.policies import (
    parse_iam_policy_untrusted,
    parse_key_policy_untrusted,
    parse_trust_policy_untrusted,
)
from scenarios.kms.store import KmsStore
from scenarios.kms.untrusted_json import parse_object_untrusted

PLAN_MAX_BYTES: Final = 256 * 1024


@dataclass(frozen=True)
class Planned:
    """Policies as texts, all of which can be judged here."""

    key_policy: str
    alias: str
    role: str
    trust_policy: str
    role_policy: str

    def put_in(self, store: KmsStore, *, now: datetime, key: Key | None = None) -> Key:
        """A new key, or `key` with the policy; the alias leads to it, and the role is as planned."""
        if key is None:
            prefix = store.arn_prefix
            key = make_key("SYMMETRIC_DEFAULT", arn_prefix=prefix, policy="", description="", now=now)
        key = replace(key, policy=self.key_policy)
        store.make_role(self.role, self.trust_policy, self.role_policy)
        store.put_key(key)
        store.put_alias(self.alias, key.key_id)
        return key


def read_plan_untrusted(file: bytes) -> Planned:
    """The plan in `file`. Raises `PlanFileError` or `MalformedPolicyError`."""
    found = parse_object_untrusted(file, what="plan", max_bytes=PLAN_MAX_BYTES, refusal=PlanFileError)
    role = found.get("role")
    if not isinstance(role, dict):
        raise PlanFileError("plan: no role in it", hint="`concordat kms plan --format json` writes one")
    planned = Planned(
        key_policy=_policy(found, "key_policy"),
        alias=_text(found, "alias"),
        role=_text(role, "name"),
        trust_policy=_policy(role, "trust_policy"),
        role_policy=_policy(role, "policy"),
    )
    parse_key_policy_untrusted(planned.key_policy)
    parse_trust_policy_untrusted(planned.trust_policy)
    parse_iam_policy_untrusted(planned.role_policy)
    return planned


def _policy(found: dict[str, Any], name: str) -> str:
    if not isinstance(found.get(name), dict):
        raise PlanFileError(f"plan: {name}: expected an object")
    return json.dumps(found[name])


def _text(found: dict[str, Any], name: str) -> str:
    text = found.get(name)
    if not isinstance(text, str) or not 1 <= len(text) <= 256:
        raise PlanFileError(f"plan: {name}: expected a text")
    return text
