"""Fuzz target: the document parser raises nothing but `AttestationError`, and `explain` nothing at all.

    python tests/fuzz/fuzz_attestation_document.py -max_total_time=60 tests/conformance/nitro/vectors

needs atheris, which is installed separately. The test suite runs `one_input` over every vector without it.
"""

from __future__ import annotations

import sys

from party_client.attestation import (
    AllOf,
    AllowDebugUnsafe,
    AnyMeasurementUnsafe,
    AttestationError,
    TrustedRoots,
    explain,
    verify_replay,
)
from party_client.attestation.document import parse_payload_untrusted, parse_untrusted

ROOTS = TrustedRoots.aws()
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


def main() -> None:
    """Runs until stopped; arguments are libFuzzer's."""
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
