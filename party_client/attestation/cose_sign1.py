"""Takes a COSE_Sign1 message apart, without believing it (verification steps 1 and 2).

Reads the document as the coordinator handed it over. What returns has the one shape that the NSM writes:
[h'a1013822', {}, payload, r || s], untagged or with tag 18. The payload is kept as the bytes that were
received, because the signature is over those and no re-encoding of them. Followed: RFC 9052 section 4.2 and
4.4, RFC 9053 section 2.1, AWS "attestation_process.md" section 2.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cbor2

from party_client.attestation.cbor import decode_untrusted
from party_client.attestation.errors import (
    AlgorithmError,
    CoseShapeError,
    DocumentSizeError,
    SignatureEncodingError,
    UnprotectedHeaderError,
)
from protos.formats.limits import ATTESTATION_DOCUMENT_MAX_BYTES

PROTECTED_ES384: Final = bytes.fromhex("a1013822")
"""{1: -35}: the algorithm is ES384, and nothing else is said."""
SIGNATURE_BYTES: Final = 96
_TAG_18: Final = b"\xd2"


@dataclass(frozen=True, slots=True)
class CoseSign1:
    """A message of the right shape; nothing about it is verified."""

    payload: bytes
    """As received: what the signature is over."""
    signature: bytes
    """r || s, 48 bytes each, big-endian."""

    @property
    def signed_bytes(self) -> bytes:
        """The Sig_structure: ["Signature1", protected, h'', payload]."""
        return cbor2.dumps(["Signature1", PROTECTED_ES384, b"", self.payload])


def parse_cose_untrusted(document: bytes) -> CoseSign1:
    """The parts of `document` (at most 12 KiB, what an NSM can answer). Raises `AttestationError`s."""
    # Step 1. Size, and CBOR shape.
    require_document_size(document)
    untagged = document[1:] if document.startswith(_TAG_18) else document
    protected, unprotected, payload, signature = four_parts_untrusted(untagged)
    # Step 2. ES384 and only ES384; no unprotected header; r || s and not DER.
    if protected != PROTECTED_ES384:
        raise AlgorithmError(
            f"got protected header h'{protected[:16].hex()}', expected h'{PROTECTED_ES384.hex()}' (ES384)"
        )
    if unprotected:
        raise UnprotectedHeaderError(f"got {len(unprotected)} unprotected header fields, expected none")
    if len(signature) != SIGNATURE_BYTES:
        raise SignatureEncodingError(
            f"got a signature of {len(signature)} bytes, expected {SIGNATURE_BYTES} (r || s)"
        )
    # Such a message has one shortest encoding, and every genuine one is in it. Another would only serve to
    # make two files out of one document. (This belongs to step 1, but needs the header to be empty.)
    if cbor2.dumps([protected, unprotected, payload, signature]) != untagged:
        raise CoseShapeError("COSE_Sign1: got a length in more bytes than it needs, expected the shortest")
    return CoseSign1(payload=payload, signature=signature)


def require_document_size(document: bytes) -> None:
    """Raises `DocumentSizeError` for what no NSM can have made."""
    if not 1 <= len(document) <= ATTESTATION_DOCUMENT_MAX_BYTES:
        raise DocumentSizeError(
            f"got a document of {len(document)} bytes, expected 1 to {ATTESTATION_DOCUMENT_MAX_BYTES}"
        )


def four_parts_untrusted(untagged: bytes) -> tuple[bytes, dict[Any, Any], bytes, bytes]:
    """Protected and unprotected header, payload, signature: of these types, with whatever is in them."""
    parts = decode_untrusted(untagged, what="COSE_Sign1", allow_indefinite=False)
    if type(parts) is not list or len(parts) != 4:
        got = f"{len(parts)} elements" if type(parts) is list else type(parts).__name__
        raise CoseShapeError(f"COSE_Sign1: got {got}, expected an array of 4")
    protected, unprotected, payload, signature = parts
    if type(unprotected) is not dict:
        raise CoseShapeError(f"unprotected header: got {type(unprotected).__name__}, expected a map")
    for name, part in (("protected header", protected), ("payload", payload), ("signature", signature)):
        if type(part) is not bytes:
            raise CoseShapeError(f"{name}: got {type(part).__name__}, expected a byte string")
    return protected, unprotected, payload, signature
