"""An endpoint in memory that answers as KMS would, or as a test has it answer."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cbor2

from enclave_compute.kms.request import KeyRequest
from protos.formats.kms import KeyService
from scenarios.kms import recipient as kms_recipient
from scenarios.kms.enveloped import envelop
from tests.errands_world import KEY_ARN, Certified, MemoryServer, decrypting, endpoint, http

DATA_KEY = bytes(range(32))
Members = dict[str, Any]


@dataclass
class Kms:
    """An endpoint in memory that answers as KMS would, with changes."""

    folder: Path
    root: Certified
    change: Callable[[Members], Members] = lambda members: members
    raw: bytes | None = None
    """What it answers instead."""
    server: MemoryServer = field(init=False)

    def __post_init__(self) -> None:
        self.server = MemoryServer(self.folder, endpoint(self.root), self._respond)

    def _respond(self, request: Members) -> bytes:
        if self.raw is not None:
            return self.raw
        members = {"KeyId": KEY_ARN, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}
        if "KeySpec" in request:
            members["CiphertextBlob"] = base64.b64encode(b"another blob").decode()
        members["CiphertextForRecipient"] = sealed(request)
        return http(200, self.change(members))


def public_key_in(request: Members) -> bytes:
    document = base64.b64decode(request["Recipient"]["AttestationDocument"])
    found: bytes = cbor2.loads(cbor2.loads(document)[2])["public_key"]
    return found


def sealed(request: Members, plaintext: bytes = DATA_KEY) -> str:
    spki = public_key_in(request)
    recipient = kms_recipient.Recipient(kms_recipient._rsa_key(spki), spki, {})
    return base64.b64encode(envelop(plaintext, recipient)).decode()


def generating(where: KeyService, key_id: str = KEY_ARN) -> KeyRequest:
    """A request for a new data key."""
    return replace(decrypting(where, key_id), operation="GenerateDataKey", ciphertext=None)
