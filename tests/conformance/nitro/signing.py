"""Writes attestation documents, right ones and wrong ones, the way an NSM does.

A payload is a list of pairs, so that keys can repeat and stand in any order; a `Raw` value goes in unchanged.
The default is what the NSM writes: indefinite-length map, unused fields null, untagged, r || s.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.conformance.nitro.pki import INSTANCE, MODULE_ID, Chain, Issued

AT = datetime(2026, 1, 15, 12, 0, 0, 125000, tzinfo=UTC)
"""When the documents in `vectors/` were signed, by their own account."""
ES384 = bytes.fromhex("a1013822")
Pairs = list[tuple[Any, Any]]


@dataclass(frozen=True)
class Raw:
    """Bytes that are CBOR, or nearly."""

    encoded: bytes


def pcr(label: str) -> bytes:
    """48 bytes that look like a measurement."""
    return hashlib.sha384(label.encode()).digest()


def pcr_bank(**changes: bytes) -> dict[int, bytes]:
    """Registers 0 to 15 as a production enclave shows them; `changes` are named `pcr16` and so on."""
    bank = dict.fromkeys(range(16), bytes(48)) | {index: pcr(f"code {index}") for index in (0, 1, 2)}
    bank[4] = hashlib.sha384(bytes(48) + INSTANCE.encode()).digest()
    return bank | {int(name.removeprefix("pcr")): value for name, value in changes.items()}


def fields(chain: Chain, at: datetime, **changes: Any) -> Pairs:
    """The nine fields in the NSM's order."""
    plain = {
        "module_id": MODULE_ID,
        "digest": "SHA384",
        "timestamp": round(at.timestamp() * 1000),
        "pcrs": pcr_bank(),
        "certificate": chain.leaf.der,
        "cabundle": chain.cabundle,
        "public_key": None,
        "user_data": None,
        "nonce": None,
    }
    return list((plain | changes).items())


def encode_map(pairs: Pairs, *, indefinite: bool = True) -> bytes:
    """A CBOR map of `pairs` in their order."""
    body = b"".join(encode(key) + encode(value) for key, value in pairs)
    if indefinite:
        return b"\xbf" + body + b"\xff"
    assert len(pairs) < 24
    return bytes([0xA0 + len(pairs)]) + body


def encode(value: Any) -> bytes:
    return value.encoded if isinstance(value, Raw) else cbor2.dumps(value)


def raw_signature(signer: Issued, payload: bytes, *, protected: bytes = ES384) -> bytes:
    """r || s over the Sig_structure of `payload`."""
    size = (signer.key.curve.key_size + 7) // 8
    r, s = decode_dss_signature(der_signature(signer, payload, protected=protected))
    return r.to_bytes(size) + s.to_bytes(size)


def der_signature(
    signer: Issued, payload: bytes, *, protected: bytes = ES384, hashed: hashes.HashAlgorithm | None = None
) -> bytes:
    """The same in ASN.1, as COSE does not have it."""
    signed = cbor2.dumps(["Signature1", protected, b"", payload])
    return signer.key.sign(signed, ec.ECDSA(hashed or hashes.SHA384(), deterministic_signing=True))


def sign(signer: Issued, payload: bytes, *, protected: bytes = ES384, unprotected: Any = None) -> bytes:
    """The document over `payload`."""
    signature = raw_signature(signer, payload, protected=protected)
    return cbor2.dumps([protected, unprotected or {}, payload, signature])


def document(chain: Chain, at: datetime, *, indefinite: bool = True, **changes: Any) -> bytes:
    """A document whose fields are the usual ones but for `changes`, truly signed."""
    return sign(chain.leaf, encode_map(fields(chain, at, **changes), indefinite=indefinite))
