"""Whose attestation document a request carries, and what it lets policies ask.

Reads the document from the caller, and believes it as far as `party_client.attestation` does under the
roots that the server was given: signature, chain, five minutes. No nonce, as with AWS: KMS never sends one,
so whoever has a document may send it again while it is fresh, and gets an answer that only its enclave can
read. Which code it is decides the policy: registers become condition keys. A register of zeros becomes
none, so a debug image meets no condition. (AWS KMS API, "RecipientInfo"; developer guide, "Condition keys
for AWS Nitro Enclaves".)
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from party_client.attestation import (
    AllOf,
    AllowDebugUnsafe,
    AnyMeasurementUnsafe,
    AnyNonceUnsafe,
    AttestationError,
    verify_now,
)
from party_client.attestation.emulator import Anchors
from party_client.attestation.measurements import ZERO_PCR
from scenarios.kms.condition_keys import IMAGE, PCR
from scenarios.kms.conditions import Context
from scenarios.kms.errors import AttestationRefusedError, ParameterError
from scenarios.kms.parameters import DOCUMENT_MAX_BYTES, blob, require_members

ALGORITHM: Final = "RSAES_OAEP_SHA_256"
RSA_MIN_BITS: Final = 2048


@dataclass(frozen=True)
class Recipient:
    """An enclave whose document held: the only one that will read the answer."""

    public_key: RSAPublicKey
    spki: bytes
    """The key as the document has it, DER."""
    conditions: Context


def verify_recipient_untrusted(found: Any, *, roots: Anchors | None, now: datetime) -> Recipient:
    """The enclave behind the `Recipient` parameter. Raises `ParameterError`s."""
    members = require_members(found, {"AttestationDocument", "KeyEncryptionAlgorithm"}, where="Recipient")
    if members.get("KeyEncryptionAlgorithm") != ALGORITHM:
        raise ParameterError(f"Recipient: KeyEncryptionAlgorithm: expected {ALGORITHM}")
    document = blob(members, "AttestationDocument", max_bytes=DOCUMENT_MAX_BYTES)
    if roots is None:
        raise AttestationRefusedError(
            "this server was given no root of trust for attestation documents",
            hint="start it with --attestation-root",
        )
    try:
        verified = verify_now(
            document,
            roots=roots,
            nonce=AnyNonceUnsafe(),
            policy=AllOf([AnyMeasurementUnsafe(), AllowDebugUnsafe()]),  # for the key's policy to decide
            now=now,
        ).document
    except AttestationError as error:
        raise AttestationRefusedError(f"attestation document: {error.code}: {error.message}") from error
    pcrs = {index: value.hex() for index, value in verified.pcrs.items() if value != ZERO_PCR}
    conditions = {f"{PCR}{index}": (value,) for index, value in pcrs.items()}
    if 0 in pcrs:
        conditions[IMAGE] = (pcrs[0],)
    if verified.public_key is None:
        raise AttestationRefusedError("attestation document: got no public_key, expected an RSA key")
    return Recipient(_rsa_key(verified.public_key), verified.public_key, conditions)


def _rsa_key(spki: bytes) -> RSAPublicKey:
    try:
        key = load_der_public_key(spki)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise AttestationRefusedError("attestation document: public_key is no key in DER") from error
    if not isinstance(key, RSAPublicKey) or key.key_size < RSA_MIN_BITS:
        raise AttestationRefusedError(
            f"attestation document: public_key: expected RSA of at least {RSA_MIN_BITS} bits"
        )
    return key
