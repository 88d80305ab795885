"""Fuzz target: a manifest is refused with a `FormatError`, or it is exactly the bytes that were read."""

from __future__ import annotations

from protos.formats.errors import FormatError
from protos.formats.sealed import Manifest
from tests.conformance.formats.refused import messages_of
from tests.fuzz.runner import run

SEEDS = messages_of("manifest")


def one_input(data: bytes) -> None:
    """Decodes; what is accepted encodes to the same bytes."""
    try:
        manifest = Manifest.decode_untrusted(data)
    except FormatError:
        return
    assert manifest.encode() == data


if __name__ == "__main__":
    run(one_input, seeds=SEEDS)
