"""One request to KMS, as the conditions of policies see it.

Made by this package, never read. A request says exactly what is in it, or leaves open what the caller could
choose: then the value of an unnamed key is `UNKNOWN`, and conditions on it may hold or not.
Followed: "Condition keys for AWS KMS" and "AWS global condition context keys".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

CONTEXT_KEY: Final = "kms:encryptioncontext:"
CONTEXT_KEYS: Final = "kms:encryptioncontextkeys"
REGISTER_KEY: Final = "kms:recipientattestation:"
IMAGE: Final = "imagesha384"
"""PCR0 has this name too."""


class Openness(Enum):
    """Stands for the value of a condition key."""

    UNKNOWN = "the caller may have it"
    ABSENT = "it is not in the request"


UNKNOWN: Final = Openness.UNKNOWN
ABSENT: Final = Openness.ABSENT


@dataclass(frozen=True)
class Request:
    """Who asks for what, and what conditions can look at."""

    principal: str
    """ARN of the user, role or session; an account's root for its root user; `*` for whoever it may be."""
    action: str
    """As in `kms:Decrypt`."""
    encryption_context: Mapping[str, str] | None = None
    """None: whatever the caller likes, if the request is `open`, else there is none."""
    registers: Mapping[str, str | None] | None = None
    """Of the attestation document, by name (`PCR16`), None for one that it does not have. Instead of all of
    them None: there is no document."""
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of further condition keys, by name in lower case."""
    open: bool = False
    """Whether what is not said here is the caller's choice; otherwise it is absent."""

    @property
    def account(self) -> str:
        """The account of the principal; empty where it has none."""
        parts = self.principal.split(":")
        return parts[4] if len(parts) > 5 and parts[0] == "arn" else ""

    def value(self, key: str) -> tuple[str, ...] | Openness:
        """Of the condition key `key` (in lower case)."""
        if key.startswith(REGISTER_KEY):
            return self._register(key.removeprefix(REGISTER_KEY))
        if key.startswith(CONTEXT_KEY) or key == CONTEXT_KEYS:
            return self._context(key)
        known = self._about_principal() | dict(self.values)
        if key in known:
            return known[key] or ABSENT
        return UNKNOWN if self.open else ABSENT

    def _about_principal(self) -> dict[str, tuple[str, ...]]:
        if self.principal == "*":
            return {}
        account = (self.account,) if self.account else ()
        return {
            "aws:principalarn": (self.principal,),
            "aws:principalaccount": account,
            "kms:calleraccount": account,
        }

    def _register(self, name: str) -> tuple[str, ...] | Openness:
        if self.registers is None:
            return ABSENT
        known = {register.lower(): value for register, value in self.registers.items()}
        if "pcr0" in known:
            known[IMAGE] = known["pcr0"]
        if name in known:
            found = known[name]
            return ABSENT if found is None else (found,)
        return UNKNOWN if self.open else ABSENT

    def _context(self, key: str) -> tuple[str, ...] | Openness:
        if self.encryption_context is None and self.open:
            return UNKNOWN
        context = self.encryption_context or {}
        if key == CONTEXT_KEYS:
            return tuple(context) or ABSENT
        name = key.removeprefix(CONTEXT_KEY)
        found = tuple(value for entry, value in context.items() if entry.lower() == name)
        return found or ABSENT
