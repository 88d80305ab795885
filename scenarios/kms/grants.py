"""What a grant lets somebody do with a key, whatever the key policy's conditions say.

A grant stands beside the policy: it has no attestation condition, only an encryption context, so whoever
may make grants can go around `kms:RecipientAttestation`. An explicit deny in the policy still wins. (AWS
KMS developer guide, "Grants in AWS KMS".)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

GRANTABLE: Final = frozenset(
    {
        *("Decrypt", "Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "GenerateDataKeyPair"),
        *("GenerateDataKeyPairWithoutPlaintext", "DeriveSharedSecret", "GetPublicKey", "DescribeKey"),
        *("CreateGrant", "RetireGrant"),
    }
)
"""The grant operations that exist here."""
CONTEXT_OPERATIONS: Final = frozenset(
    {
        *("Decrypt", "Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "GenerateDataKeyPair"),
        "GenerateDataKeyPairWithoutPlaintext",
    }
)
"""Those that take an encryption context; a constraint says nothing about the others."""

ConstraintType = Literal["EncryptionContextEquals", "EncryptionContextSubset"]


@dataclass(frozen=True)
class Grant:
    """One permission of one grantee on one key."""

    grant_id: str
    token: str
    grantee: str
    """ARN of an account, user, role or session."""
    retiring: str | None
    operations: tuple[str, ...]
    constraint: ConstraintType | None
    constraint_context: Mapping[str, str]
    name: str
    created: datetime
    issuing_account: str

    def covers(self, names: frozenset[str], operation: str, encryption_context: Mapping[str, str]) -> bool:
        """Whether somebody called any of `names` may do `operation` in this context by this grant."""
        if self.grantee not in names or operation not in self.operations:
            return False
        if self.constraint is None or operation not in CONTEXT_OPERATIONS:
            return True
        if self.constraint == "EncryptionContextEquals":
            return dict(encryption_context) == dict(self.constraint_context)
        return self.constraint_context.items() <= encryption_context.items()

    def may_be_retired_by(self, names: frozenset[str]) -> bool:
        """By the retiring principal, or by the grantee if the grant says so."""
        return self.retiring in names or (self.grantee in names and "RetireGrant" in self.operations)
