"""Writes attestation documents as QEMU's `nitro-enclave` machine does: AWS's shape, and nothing signed.

Byte for byte what its hw/virtio/virtio-nsm.c has libcbor write: an untagged array of four; protected header
{1: -1}; a map of nine fields of definite length, in AWS's order; the time in whole seconds, as milliseconds
in eight bytes; registers that are locked; 64 zero bytes for the certificate, for the one entry of cabundle
and for the signature.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import cbor2

from tests.conformance.nitro.pki import MODULE_ID
from tests.conformance.nitro.signing import Raw, encode_map, pcr

UNSIGNED: Final = bytes.fromhex("a10120")
NOTHING: Final = bytes(64)


def emulated_bank(**changes: bytes) -> dict[int, bytes]:
    """Registers 0 to 15 of a machine that was given no parent; `changes` are named `pcr16` and so on."""
    bank = dict.fromkeys(range(16), bytes(48)) | {index: pcr(f"code {index}") for index in (0, 1, 2)}
    return bank | {int(name.removeprefix("pcr")): value for name, value in changes.items()}


def emulated_payload(at: datetime, **changes: Any) -> bytes:
    """The payload of a document made at `at`."""
    plain = {
        "module_id": MODULE_ID,
        "digest": "SHA384",
        "timestamp": Raw(b"\x1b" + (int(at.timestamp()) * 1000).to_bytes(8)),
        "pcrs": emulated_bank(),
        "certificate": NOTHING,
        "cabundle": [NOTHING],
        "public_key": None,
        "user_data": None,
        "nonce": None,
    }
    return encode_map(list((plain | changes).items()), indefinite=False)


def emulated_document(at: datetime, **changes: Any) -> bytes:
    """A document made at `at`; `changes` are of the payload's fields."""
    return wrapped(emulated_payload(at, **changes))


def wrapped(
    payload: bytes, *, protected: bytes = UNSIGNED, unprotected: Any = None, signature: bytes = NOTHING
) -> bytes:
    """`payload` between what stands around it."""
    return cbor2.dumps([protected, unprotected or {}, payload, signature])
