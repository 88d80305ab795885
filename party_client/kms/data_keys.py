"""Has the owner's KMS make a data key for one dataset under one agreement, and takes no other for it.

Reads KMS's answer over TLS, under the authorities that the agreement names unless the caller names another.
The key in clear is handed to the caller and kept nowhere: no file, and no log, botocore's included, which
would write down whole answers where somebody turned its debugging on. Followed: KMS API Reference,
`GenerateDataKey`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from party_client.kms.access import Reach, explained, reached
from party_client.kms.errors import DataKeyError
from party_client.kms.sealing_key import SealingKey
from protos.formats.limits import KMS_CIPHERTEXT_MAX_BYTES
from protos.formats.sealed import KEY_BYTES

_TALKATIVE: Final = ("botocore.parsers", "botocore.endpoint", "botocore.hooks", "botocore.retryhandler")


@dataclass(frozen=True, repr=False)
class DataKey:
    """32 bytes that only this process has in clear, and what KMS makes them out of again."""

    plaintext: bytes
    ciphertext: bytes
    """KMS's `CiphertextBlob`."""


def generate_data_key(key: SealingKey, context: Mapping[str, str], reach: Reach) -> DataKey:
    """A new data key under `key`, bound to `context`. Raises `DataKeyError`."""
    with (
        reached(key.service, reach) as access,
        explained(
            DataKeyError,
            doing="making a data key",
            denied="the key's policy lets sealers make data keys for this party's datasets: plan it with "
            "--sealer, and be that sealer (--profile)",
            otherwise="is it the key's ARN, and the right profile? Can the agreed endpoint be reached?",
            without="pip install 'concordat[party,kms]'",
        ),
        _silence(),
    ):
        answer = access.client("kms").generate_data_key(
            KeyId=key.arn, KeySpec="AES_256", EncryptionContext=dict(context)
        )
    return _data_key_untrusted(answer, key)


def _data_key_untrusted(answer: Mapping[str, Any], key: SealingKey) -> DataKey:
    """What was asked for, or an error that does not quote it."""
    plaintext, ciphertext = answer.get("Plaintext"), answer.get("CiphertextBlob")
    if answer.get("KeyId") != key.arn:
        raise DataKeyError(f"KMS used the key {str(answer.get('KeyId'))[:256]}, expected {key.arn}")
    if not isinstance(plaintext, bytes) or len(plaintext) != KEY_BYTES:
        raise DataKeyError(f"KMS's answer has no data key of {KEY_BYTES} bytes")
    if not isinstance(ciphertext, bytes) or not 1 <= len(ciphertext) <= KMS_CIPHERTEXT_MAX_BYTES:
        raise DataKeyError(f"KMS's answer has no wrapped key of at most {KMS_CIPHERTEXT_MAX_BYTES} bytes")
    return DataKey(plaintext, ciphertext)


@contextmanager
def _silence() -> Iterator[None]:
    """No debugging of what would write answers down."""
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        for logger, was_disabled in zip(loggers, before, strict=True):
            logger.disabled = was_disabled
