"""Fuzz target: a receipt and its claims are exactly the bytes that were read, or refused."""

from __future__ import annotations

from protos.formats.errors import FormatError
from protos.formats.receipt import Claims, Receipt
from tests.conformance.formats.refused import messages_of
from tests.fuzz.runner import run

SEEDS = messages_of("receipt", "claims")


def one_input(data: bytes) -> None:
    """Reads `data` as claims, as a receipt, and the claims inside that."""
    claims = data
    try:
        receipt = Receipt.decode_untrusted(data)
        assert receipt.encode() == data
        claims = receipt.claims
    except FormatError:
        pass
    try:
        assert Claims.decode_untrusted(claims).encode() == claims
    except FormatError:
        return


if __name__ == "__main__":
    run(one_input, seeds=SEEDS)
