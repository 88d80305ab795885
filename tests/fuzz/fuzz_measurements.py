"""Fuzz target: published measurements are refused with a `FormatError`, or are exactly the bytes read."""

from __future__ import annotations

from protos.formats.errors import FormatError, SignatureError
from protos.release.measurements import PublishedMeasurements, verify_measurements_untrusted
from tests.conformance.formats.samples import AIRLINE
from tests.conformance.release.refused import messages_of
from tests.conformance.release.samples import measurements_signature
from tests.fuzz.runner import run

SEEDS = [*messages_of("measurements"), measurements_signature(AIRLINE)]
SIGNERS = [AIRLINE.participant()]


def one_input(data: bytes) -> None:
    """Reads `data` as the file, and as a signature of a file that is good."""
    try:
        found = PublishedMeasurements.decode_untrusted(data)
    except FormatError:
        pass
    else:
        assert found.encode() == data
        assert all(any(pcr) for pcr in found.registers().values())
    try:
        verify_measurements_untrusted(SEEDS[0], [data], signers=SIGNERS, needed=1)
    except (FormatError, SignatureError):
        return
    assert data == measurements_signature(AIRLINE)


if __name__ == "__main__":
    run(one_input, seeds=SEEDS)
