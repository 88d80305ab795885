"""Encrypt, Decrypt, GenerateDataKey, GenerateDataKeyWithoutPlaintext, GenerateRandom.

With a `Recipient` the answer is for the enclave alone. `Encrypt` takes none: whoever may encrypt needs no
attestation, so a blob that opens says nothing about who made it.
"""

from __future__ import annotations

import secrets
from typing import Any, Final

from scenarios.kms import blobs
from scenarios.kms.errors import IncorrectKeyError, InvalidCiphertextError, KeyNotFoundError, ParameterError
from scenarios.kms.operations.call import Call, answer_secret, encoded
from scenarios.kms.parameters import (
    CIPHERTEXT_MAX_BYTES,
    PLAINTEXT_MAX_BYTES,
    blob,
    encryption_context,
    number,
    optional_text,
)

_ALGORITHM: Final = "SYMMETRIC_DEFAULT"
_DATA_KEY_BYTES: Final = {"AES_128": 16, "AES_256": 32}
_DATA_KEY_PARAMETERS: Final = (
    *("KeyId", "EncryptionContext", "NumberOfBytes", "KeySpec", "GrantTokens", "DryRun"),
)


def encrypt(call: Call) -> dict[str, Any]:
    """A blob with the caller's plaintext."""
    call.expect("KeyId", "Plaintext", "EncryptionContext", "GrantTokens", "EncryptionAlgorithm", "DryRun")
    key, context = call.key(), encryption_context(call.members)
    plaintext = blob(call.members, "Plaintext", max_bytes=PLAINTEXT_MAX_BYTES)
    algorithm = _algorithm(call)
    call.permit(key, encryption_context=context, conditions={"kms:encryptionalgorithm": (algorithm,)})
    sealed = blobs.seal(call.usable(key).symmetric_material(), key.key_id, plaintext, context)
    return {"CiphertextBlob": encoded(sealed), "KeyId": key.arn, "EncryptionAlgorithm": algorithm}


def decrypt(call: Call) -> dict[str, Any]:
    """What stands in a blob."""
    call.expect(
        *("CiphertextBlob", "EncryptionContext", "GrantTokens", "KeyId", "EncryptionAlgorithm"),
        *("Recipient", "DryRun"),
    )
    sealed = blob(call.members, "CiphertextBlob", max_bytes=CIPHERTEXT_MAX_BYTES)
    context, recipient, algorithm = encryption_context(call.members), call.recipient(), _algorithm(call)
    named = call.key() if "KeyId" in call.members else None
    try:
        key = named or call.store.key(blobs.key_of_untrusted(sealed))
    except KeyNotFoundError as error:
        raise InvalidCiphertextError("CiphertextBlob: of no key of this server") from error
    call.permit(
        key,
        encryption_context=context,
        recipient=recipient,
        conditions={"kms:encryptionalgorithm": (algorithm,)},
    )
    if blobs.key_of_untrusted(sealed) != key.key_id:
        raise IncorrectKeyError(
            "The key ID in the request does not identify a CMK that can perform this operation"
        )
    plaintext = blobs.open_untrusted(call.usable(key).symmetric_material(), sealed, context)
    answer = answer_secret(plaintext, recipient, plaintext_name="Plaintext")
    return {**answer, "KeyId": key.arn, "EncryptionAlgorithm": algorithm}


def generate_data_key(call: Call) -> dict[str, Any]:
    """A new data key, as a blob and for the caller."""
    call.expect(*_DATA_KEY_PARAMETERS, "Recipient")
    return _data_key(call, shown=True)


def generate_data_key_without_plaintext(call: Call) -> dict[str, Any]:
    """A new data key, as a blob only."""
    call.expect(*_DATA_KEY_PARAMETERS)
    return _data_key(call, shown=False)


def generate_random(call: Call) -> dict[str, Any]:
    """Random bytes, of no key."""
    call.expect("NumberOfBytes", "Recipient")
    count = number(call.members, "NumberOfBytes", least=1, most=1024)
    if count is None:
        raise ParameterError("NumberOfBytes: expected a whole number from 1 to 1024")
    recipient = call.recipient()
    call.permit(recipient=recipient)
    return answer_secret(secrets.token_bytes(count), recipient, plaintext_name="Plaintext")


def _data_key(call: Call, *, shown: bool) -> dict[str, Any]:
    key, context, recipient = call.key(), encryption_context(call.members), call.recipient()
    length_bytes = _data_key_bytes(call)
    call.permit(
        key,
        encryption_context=context,
        recipient=recipient,
        conditions={"kms:encryptionalgorithm": (_ALGORITHM,)},
    )
    data_key = secrets.token_bytes(length_bytes)
    sealed = blobs.seal(call.usable(key).symmetric_material(), key.key_id, data_key, context)
    secret = answer_secret(data_key, recipient, plaintext_name="Plaintext") if shown else {}
    return {**secret, "CiphertextBlob": encoded(sealed), "KeyId": key.arn}


def _data_key_bytes(call: Call) -> int:
    spec = optional_text(call.members, "KeySpec")
    count = number(call.members, "NumberOfBytes", least=1, most=1024)
    if (spec is None) == (count is None):
        raise ParameterError("Please specify either number of bytes or key spec.")
    if spec is not None and spec not in _DATA_KEY_BYTES:
        raise ParameterError(f"KeySpec: expected {' or '.join(_DATA_KEY_BYTES)}")
    return count if spec is None and count is not None else _DATA_KEY_BYTES[spec or ""]


def _algorithm(call: Call) -> str:
    """The one that symmetric keys have."""
    if optional_text(call.members, "EncryptionAlgorithm") not in (None, _ALGORITHM):
        raise ParameterError(f"EncryptionAlgorithm: expected {_ALGORITHM}")
    return _ALGORITHM
