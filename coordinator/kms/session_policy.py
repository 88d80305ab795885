"""What a role is cut down to when it is taken on: data keys of one party, one agreement, attested.

Pure. Whoever gets hold of such credentials can ask for less than the role could, should the party have given
the role too much. Followed: docs/kms.md; "Session policies" (IAM User Guide); protos/README.md, PCR16.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

_REGISTER_BYTES: Final = 48


def session_policy(*, account: str, region: str, agreement_digest: bytes, party: str) -> str:
    """The policy in JSON, for an enclave bound to the agreement and keys of `party` alone."""
    # A register that was zero, extended once: what PCR16 shows in an enclave bound to the agreement.
    register = hashlib.sha384(bytes(_REGISTER_BYTES) + agreement_digest).hexdigest()
    context = "kms:EncryptionContext:"
    statement: dict[str, Any] = {
        "Sid": "ThisAgreementOnly",
        "Effect": "Allow",
        "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
        "Resource": f"arn:aws:kms:{region}:{account}:key/*",
        "Condition": {
            "StringEqualsIgnoreCase": {"kms:RecipientAttestation:PCR16": register},
            "StringEquals": {f"{context}agreement": agreement_digest.hex(), f"{context}party": party},
        },
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, separators=(",", ":"))
