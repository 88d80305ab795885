"""One call of an operation: who asks, with what, and whether they may.

Every operation goes through `permit`, which raises unless policies and grants allow it, before it touches a
key. What conditions can see is put together here, from what was verified: the caller, the key, the clock,
the encryption context and the attestation document, and never from a claim.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from party_client.attestation.emulator import Anchors
from scenarios.kms.authorization import NO_KEY, AccessRequest, Rules, require_allowed
from scenarios.kms.conditions import Context
from scenarios.kms.credentials import Credential
from scenarios.kms.enveloped import envelop
from scenarios.kms.errors import DryRunError, KeyDisabledError
from scenarios.kms.keys import Key
from scenarios.kms.parameters import Members, flag, require_members, text
from scenarios.kms.policies import (
    PolicyDocument,
    parse_iam_policy_untrusted,
    parse_key_policy_untrusted,
    parse_session_policy_untrusted,
)
from scenarios.kms.recipient import Recipient, verify_recipient_untrusted
from scenarios.kms.store import KmsStore


@dataclass(frozen=True)
class Call:
    """One request, its signature verified and its body read."""

    operation: str
    members: Members
    credential: Credential
    store: KmsStore
    roots: Anchors | None
    """Who vouches for attestation documents here; with `None` none is believed."""
    now: datetime
    source_ip: str
    notes: dict[str, str] = field(default_factory=dict)
    """What the log says about this call beside its outcome."""

    def expect(self, *names: str) -> None:
        """No parameter but `names`. Raises `ParameterError`."""
        require_members(self.members, set(names), where=self.operation)

    def key(self, name: str = "KeyId") -> Key:
        """The key that the parameter names; it may be disabled. Raises `KeyNotFoundError`."""
        return self.store.key(text(self.members, name))

    def recipient(self) -> Recipient | None:
        """The enclave that the answer is for, verified; `None` if there is no `Recipient`."""
        if self.members.get("Recipient") is None:
            return None
        found = verify_recipient_untrusted(self.members["Recipient"], roots=self.roots, now=self.now)
        for register in ("PCR0", "PCR16"):
            value = found.conditions.get(f"kms:recipientattestation:{register.lower()}", ("nothing",))
            self.notes[f"attested {register}"] = value[0]
        return found

    def permit(
        self,
        key: Key | None = None,
        *,
        encryption_context: Mapping[str, str] | None = None,
        recipient: Recipient | None = None,
        conditions: Context | None = None,
        policy: str | None = None,
        operation: str | None = None,
    ) -> None:
        """Raises unless the caller may do this. `policy` stands for the key's, `operation` for this one."""
        context = {
            **self.surroundings(),
            **self._of_request(),
            **(_of_key(key, self.store) if key else {}),
            **_of_encryption_context(encryption_context or {}),
            **(recipient.conditions if recipient else {}),
            **(conditions or {}),
        }
        request = AccessRequest(
            caller=self.credential.caller,
            operation=operation or self.operation,
            resource=key.arn if key else NO_KEY,
            context=context,
            encryption_context=encryption_context or {},
        )
        self.notes["key"] = request.resource
        allowed_by = require_allowed(request, self._rules(key, policy))
        self.notes["allowed_by"] = allowed_by
        if operation is None and flag(self.members, "DryRun"):
            raise DryRunError("The request would have succeeded, but the DryRun option is set")

    def usable(self, key: Key) -> Key:
        """`key`, unless it is disabled. Asked after `permit`: a stranger is not told."""
        if not key.enabled:
            raise KeyDisabledError(f"{key.arn} is disabled")
        return key

    def _rules(self, key: Key | None, policy: str | None) -> Rules:
        return Rules(
            resource_policy=parse_key_policy_untrusted(policy or key.policy) if key else None,
            grants=key.grants if key and policy is None else (),
            iam_policy=self.iam_policy(),
            session_policy=self.session_policy(),
        )

    def iam_policy(self) -> PolicyDocument | None:
        """What IAM lets the caller do: by its credential, or else by its role as that is now."""
        text = self.credential.iam_policy
        if text is None and (role := self.store.role(self.credential.caller.arn)):
            text = role.policy
        return parse_iam_policy_untrusted(text) if text is not None else None

    def session_policy(self) -> PolicyDocument | None:
        """What the caller's session is cut down to."""
        text = self.credential.session_policy
        return parse_session_policy_untrusted(text) if text is not None else None

    def surroundings(self) -> Context:
        """What conditions can see of any request, whatever service it is to."""
        caller = self.credential.caller
        kind = {"root": "Account", "role": "AssumedRole", "user": "User"}
        found = {
            "aws:principalarn": caller.arn,
            "aws:principalaccount": caller.account,
            "aws:principaltype": kind[caller.arn.split(":")[5].split("/")[0]],
            "aws:sourceip": self.source_ip,
            "aws:currenttime": self.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "aws:epochtime": str(int(self.now.timestamp())),
            "aws:securetransport": "true",
            "aws:requestedregion": self.store.region,
            "aws:viaawsservice": "false",
            "aws:principalisawsservice": "false",
        }
        return {name: (value,) for name, value in found.items()}

    def _of_request(self) -> Context:
        found = {"kms:calleraccount": self.credential.caller.account}
        alias = self.members.get("KeyId")
        if type(alias) is str and ":alias/" in f":{alias}":
            found["kms:requestalias"] = f"alias/{alias.partition('alias/')[2]}"
        return {name: (value,) for name, value in found.items()}


Operation = Callable[[Call], dict[str, Any]]


def answer_secret(secret: bytes, recipient: Recipient | None, *, plaintext_name: str) -> dict[str, Any]:
    """`secret` in clear, or for `recipient` alone: with one, there is no member in clear at all."""
    if recipient is None:
        return {plaintext_name: encoded(secret)}
    return {"CiphertextForRecipient": encoded(envelop(secret, recipient))}


def encoded(data: bytes) -> str:
    """Base 64, as JSON carries bytes."""
    return base64.b64encode(data).decode()


def _of_key(key: Key, store: KmsStore) -> dict[str, tuple[str, ...]]:
    found = {
        "aws:resourceaccount": key.arn.split(":")[4],
        "kms:keyspec": key.spec,
        "kms:customermasterkeyspec": key.spec,
        "kms:keyusage": key.usage,
        "kms:customermasterkeyusage": key.usage,
        "kms:keyorigin": "AWS_KMS",
        "kms:multiregion": "false",
    }
    aliases = tuple(alias for alias, key_id in store.aliases().items() if key_id == key.key_id)
    return {"kms:resourcealiases": aliases, **{name: (value,) for name, value in found.items()}}


def _of_encryption_context(pairs: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    found = {f"kms:encryptioncontext:{name.lower()}": (value,) for name, value in pairs.items()}
    return {"kms:encryptioncontextkeys": tuple(pairs), **found}
