"""Fuzz target: a key bundle is refused with a `FormatError`, or it is exactly the bytes that were read."""

from __future__ import annotations

from protos.formats.binding import KeyBundle
from protos.formats.errors import FormatError
from tests.conformance.formats.refused import messages_of
from tests.fuzz.runner import run

SEEDS = messages_of("key-bundle")


def one_input(data: bytes) -> None:
    """Decodes; what is accepted encodes to the same bytes."""
    try:
        bundle = KeyBundle.decode_untrusted(data)
    except FormatError:
        return
    assert bundle.encode() == data


if __name__ == "__main__":
    run(one_input, seeds=SEEDS)
