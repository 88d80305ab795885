"""What stands in a CiphertextBlob: which key, and plaintext that opens in its encryption context only.

    0x01 || key id, 16 bytes || nonce, 12 bytes || AES-256-GCM(plaintext)

with this prefix and the encryption context (its pairs in order, each length before its bytes) as associated
data. Blobs come back from anybody. AWS's own layout is not documented and differs; callers must not look
inside.
"""

from __future__ import annotations

import secrets
import struct
import uuid
from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from scenarios.kms.errors import InvalidCiphertextError

_VERSION: Final = b"\x01"
_PREFIX_BYTES: Final = 1 + 16
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_LABEL: Final = b"concordat/simulated-kms/blob/v1"


def seal(material: bytes, key_id: str, plaintext: bytes, context: Mapping[str, str]) -> bytes:
    """`plaintext` as a blob of the key `key_id`, whose 32 secret bytes are `material`."""
    prefix = _VERSION + uuid.UUID(key_id).bytes
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return prefix + nonce + AESGCM(material).encrypt(nonce, plaintext, _associated(prefix, context))


def key_of_untrusted(blob: bytes) -> str:
    """Which key a blob says it belongs to. Raises `InvalidCiphertextError`."""
    if len(blob) < _PREFIX_BYTES + _NONCE_BYTES + _TAG_BYTES or not blob.startswith(_VERSION):
        raise InvalidCiphertextError("CiphertextBlob: not made by this server")
    return str(uuid.UUID(bytes=blob[1:_PREFIX_BYTES]))


def open_untrusted(material: bytes, blob: bytes, context: Mapping[str, str]) -> bytes:
    """The plaintext. Raises `InvalidCiphertextError`, the same for other bytes and another context."""
    prefix, rest = blob[:_PREFIX_BYTES], blob[_PREFIX_BYTES:]
    try:
        return AESGCM(material).decrypt(
            rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], _associated(prefix, context)
        )
    except InvalidTag as error:
        raise InvalidCiphertextError(
            "CiphertextBlob: altered, or sealed in another encryption context"
        ) from error


def _associated(prefix: bytes, context: Mapping[str, str]) -> bytes:
    texts = [text.encode() for pair in sorted(context.items()) for text in pair]
    return _LABEL + prefix + b"".join(struct.pack(">I", len(text)) + text for text in texts)
