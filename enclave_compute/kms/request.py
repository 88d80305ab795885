"""What is asked of KMS for a key, and what counts as its answer.

The request names the key, the encryption context that the agreement implies, and the enclave's document:
KMS decides by its key's policy, and answers to that document's key alone. The answer must name the key
that was asked for, and have the data key as CiphertextForRecipient: an answer in clear comes from a KMS
that did not look at the document, and is refused. Members beyond those that are read here may stand
beside them. (AWS KMS API Reference: Decrypt, GenerateDataKey.)
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from enclave_compute.errors import RefusedError
from enclave_compute.kms.answer import HttpAnswer
from enclave_compute.kms.enveloped import open_enveloped
from enclave_compute.kms.recipient import Recipient
from enclave_compute.kms.signing import Credentials, signed_headers
from protos.formats import limits
from protos.formats.calls import Refusal
from protos.formats.errors import FormatError
from protos.formats.kms import KeyService

DATA_KEY_BYTES: Final = 32
_HTTPS_PORT: Final = 443
_OK: Final = 200
_DENIED: Final = "AccessDeniedException"


@dataclass(frozen=True)
class KeyRequest:
    """One call to KMS that has a Recipient."""

    operation: Literal["Decrypt", "GenerateDataKey"]
    service: KeyService
    party: str
    """Whose KMS it is."""
    subject: str
    """What the key is for: a dataset's id, or `STATE_SUBJECT`."""
    key_id: str
    """ARN of the key; for GenerateDataKey it may be that of an alias."""
    context: dict[str, str]
    ciphertext: bytes | None
    """What to decrypt."""

    def http(self, document: bytes, *, credentials: Credentials, now: datetime) -> bytes:
        """The whole request, signed."""
        members: dict[str, Any] = {
            "KeyId": self.key_id,
            "EncryptionContext": self.context,
            "Recipient": {
                "AttestationDocument": base64.b64encode(document).decode(),
                "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
            },
        }
        if self.operation == "GenerateDataKey":
            members["KeySpec"] = "AES_256"
        else:
            members["CiphertextBlob"] = base64.b64encode(self.ciphertext or b"").decode()
        body = json.dumps(members).encode()
        service = self.service
        headers = {
            "content-type": "application/x-amz-json-1.1",
            "host": service.host if service.port == _HTTPS_PORT else service.endpoint,
            "x-amz-target": f"TrentService.{self.operation}",
        }
        signed = signed_headers(headers, body, credentials=credentials, region=service.region, now=now)
        lines = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
        return f"POST / HTTP/1.1\r\n{lines}content-length: {len(body)}\r\n\r\n".encode() + body


@dataclass(frozen=True)
class KeyAnswer:
    """A data key, opened."""

    plaintext: bytes = field(repr=False)
    ciphertext: bytes | None
    """The same key under the KMS key: of GenerateDataKey."""
    key_arn: str


def read_answer_untrusted(answer: HttpAnswer, request: KeyRequest, recipient: Recipient) -> KeyAnswer:
    """The data key in `answer` to `request`. Raises `RefusedError`."""
    members = _object_untrusted(answer.body)
    if answer.status != _OK:
        kind = members.get("__type")
        # A name, or a namespace and a name.
        if isinstance(kind, str) and kind.rpartition("#")[2] == _DENIED:
            raise RefusedError(Refusal.KMS_DENIED, "KMS lets go of no key")
        raise _failed(f"status {answer.status}")
    if members.get("Plaintext"):
        raise _failed("a key in clear, which everybody has read who carried it")
    key_arn = members.get("KeyId")
    if not isinstance(key_arn, str) or not _is_asked_for(key_arn, request):
        raise _failed("of another key than was asked for")
    ciphertext = None
    if request.operation == "GenerateDataKey":
        ciphertext = _base64_untrusted(members, "CiphertextBlob", limits.KMS_CIPHERTEXT_MAX_BYTES)
    message = _base64_untrusted(members, "CiphertextForRecipient", limits.KMS_MESSAGE_MAX_BYTES)
    plaintext = open_enveloped(message, recipient)
    if len(plaintext) != DATA_KEY_BYTES:
        raise _failed("a key of another length")
    return KeyAnswer(plaintext, ciphertext, key_arn)


def _is_asked_for(key_arn: str, request: KeyRequest) -> bool:
    if ":alias/" not in request.key_id:
        return key_arn == request.key_id
    try:
        request.service.require_key_arn(key_arn)
    except FormatError:
        return False
    return True


def _object_untrusted(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body, object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:
        raise _failed("not JSON") from error
    if type(value) is not dict:
        raise _failed("no JSON object")
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _base64_untrusted(members: dict[str, Any], name: str, max_bytes: int) -> bytes:
    text = members.get(name)
    if not isinstance(text, str):
        raise _failed(f"no {name}")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _failed(f"{name}: not base 64") from error
    if not 1 <= len(data) <= max_bytes:
        raise _failed(f"{name}: got {len(data)} bytes, expected 1 to {max_bytes}")
    return data


def _failed(what: str) -> RefusedError:
    return RefusedError(Refusal.KMS_FAILED, f"answer of KMS: {what}")
