"""Fuzz target: the document parser raises nothing but `AttestationError`, and `explain` nothing at all.

Starts from our own vectors and from the payloads inside them. The test suite runs `one_input` over every
vector without a fuzzer.
"""

from __future__ import annotations

import contextlib

from party_client.attestation import (
    AllOf,
    AllowDebugUnsafe,
    AnyMeasurementUnsafe,
    AttestationError,
    TrustedRoots,
    explain,
    verify_replay,
)
from party_client.attestation.cose_sign1 import parse_cose_untrusted
from party_client.attestation.document import parse_payload_untrusted, parse_untrusted
from party_client.attestation.emulator import parse_unsigned_untrusted
from tests.conformance.nitro.emulated import emulated_document, wrapped
from tests.conformance.nitro.generate import VECTORS
from tests.conformance.nitro.signing import AT
from tests.fuzz.runner import run

ROOTS = TrustedRoots.aws() | TrustedRoots.from_pem((VECTORS / "root.pem").read_bytes(), name="vectors")
LENIENT = AllOf([AnyMeasurementUnsafe(), AllowDebugUnsafe()])


def one_input(data: bytes) -> None:
    """Reads `data` as a document, as a payload, as the emulator's, and all the way to the chain."""
    for parse in (parse_untrusted, parse_payload_untrusted, parse_unsigned_untrusted):
        try:
            parse(data)
        except AttestationError:
            continue
    try:
        verify_replay(data, roots=ROOTS, policy=LENIENT)
    except AttestationError:
        explain(data).to_text()


def seeds() -> list[bytes]:
    """Our vectors, good and refused, the payloads inside those that have one, and these unsigned."""
    documents = [path.read_bytes() for path in sorted(VECTORS.glob("*.cbor"))]
    payloads = []
    for document in documents:
        with contextlib.suppress(AttestationError):
            payloads.append(parse_cose_untrusted(document).payload)
    return [*documents, *payloads, *(wrapped(payload) for payload in payloads), emulated_document(AT)]


if __name__ == "__main__":
    run(one_input, seeds=seeds())
