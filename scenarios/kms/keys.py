"""A key of the SIMULATED KMS: what it is, its policy, its grants, and its secret.

What the state folder holds is written and read here; it is private to whoever runs the server.
"""

from __future__ import annotations

import base64
import json
import secrets
import uuid
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Literal

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from scenarios.kms.errors import KeyUsageError
from scenarios.kms.grants import Grant

KeySpec = Literal["SYMMETRIC_DEFAULT", "ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521"]
KeyUsage = Literal["ENCRYPT_DECRYPT", "KEY_AGREEMENT"]

CURVES: Final[dict[str, ec.EllipticCurve]] = {
    "ECC_NIST_P256": ec.SECP256R1(),
    "ECC_NIST_P384": ec.SECP384R1(),
    "ECC_NIST_P521": ec.SECP521R1(),
}
USAGES: Final[dict[str, KeyUsage]] = {
    "SYMMETRIC_DEFAULT": "ENCRYPT_DECRYPT",
    **dict.fromkeys(CURVES, "KEY_AGREEMENT"),
}
"""What each kind of key is for here. (AWS lets elliptic curves sign as well.)"""


@dataclass(frozen=True)
class Key:
    """One key and everything that decides who may use it."""

    key_id: str
    arn: str
    spec: KeySpec
    description: str
    created: datetime
    policy: str
    """JSON, exactly as it was put."""
    material: bytes = field(repr=False)
    """32 bytes, or a private key in DER."""
    enabled: bool = True
    grants: tuple[Grant, ...] = ()

    @property
    def usage(self) -> KeyUsage:
        """What the key is for."""
        return USAGES[self.spec]

    def symmetric_material(self) -> bytes:
        """The 32 bytes. Raises `KeyUsageError`."""
        if self.spec != "SYMMETRIC_DEFAULT":
            raise KeyUsageError(f"{self.arn}: got a key of {self.spec}, expected SYMMETRIC_DEFAULT")
        return self.material

    def agreement_key(self) -> ec.EllipticCurvePrivateKey:
        """The private key. Raises `KeyUsageError`."""
        key = load_der_private_key(self.material, password=None) if self.spec in CURVES else None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise KeyUsageError(f"{self.arn}: got a key of {self.spec}, expected one for KEY_AGREEMENT")
        return key

    def with_grants(self, *grants: Grant) -> Key:
        """The same key with exactly these grants."""
        return replace(self, grants=grants)


def make_key(spec: KeySpec, *, arn_prefix: str, policy: str, description: str, now: datetime) -> Key:
    """A new key with fresh material; `arn_prefix` is the ARN up to and with `key/`."""
    key_id = str(uuid.uuid4())
    if spec == "SYMMETRIC_DEFAULT":
        material = secrets.token_bytes(32)
    else:
        private = ec.generate_private_key(CURVES[spec])
        material = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return Key(key_id, f"{arn_prefix}{key_id}", spec, description, now, policy, material)


def default_policy(account: str) -> str:
    """The policy of a key that was given none: the account decides, by IAM."""
    statement = {
        "Sid": "Enable IAM User Permissions",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
        "Action": "kms:*",
        "Resource": "*",
    }
    return json.dumps({"Version": "2012-10-17", "Id": "key-default-1", "Statement": [statement]}, indent=2)


def encode_key(key: Key) -> bytes:
    """The key as a file of the state folder."""
    grants = [{**asdict(each), "created": each.created.isoformat()} for each in key.grants]
    fields: dict[str, Any] = {**vars(key), "created": key.created.isoformat(), "grants": grants}
    return json.dumps({**fields, "material": base64.b64encode(key.material).decode()}, indent=1).encode()


def decode_key(file: bytes) -> Key:
    """The key that `encode_key` wrote. Raises `ValueError`, `KeyError` or `TypeError`."""
    fields = json.loads(file)
    grants = [
        Grant(**{**each, "operations": tuple(each["operations"]), "created": _time(each["created"])})
        for each in fields["grants"]
    ]
    material = base64.b64decode(fields["material"])
    return Key(
        **{**fields, "created": _time(fields["created"]), "grants": tuple(grants), "material": material}
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
