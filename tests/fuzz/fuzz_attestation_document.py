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
from tests.conformance.nitro.generate import VECTORS
from tests.fuzz.runner import run

ROOTS = TrustedRoots.aws() | TrustedRoots.from_pem((VECTORS / "root.pem").read_bytes(), name="vectors")
LENIENT = AllOf([AnyMeasurementUnsafe(), AllowDebugUnsafe()])


def one_input(data: bytes) -> None:
    """Reads `data` as a document, as a payload, and all the way to the chain."""
    for parse in (parse_untrusted, parse_payload_untrusted):
        try:
            parse(data)
        except AttestationError:
            continue
    try:
        verify_replay(data, roots=ROOTS, policy=LENIENT)
    except AttestationError:
        explain(data).to_text()


def seeds() -> list[bytes]:
    """Our vectors, good and refused, and the payloads inside those that have one."""
    documents = [path.read_bytes() for path in sorted(VECTORS.glob("*.cbor"))]
    payloads = []
    for document in documents:
        with contextlib.suppress(AttestationError):
            payloads.append(parse_cose_untrusted(document).payload)
    return documents + payloads


if __name__ == "__main__":
    run(one_input, seeds=seeds())
