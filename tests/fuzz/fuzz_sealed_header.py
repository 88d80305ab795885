"""Fuzz target: a sealed header is exactly the bytes that were read, and no altered key in it opens."""

from __future__ import annotations

from protos.formats import cose, limits
from protos.formats.errors import FormatError, SealError, SignatureError
from protos.formats.sealed import HEADER_LABEL, SealedHeader
from tests.conformance.formats.refused import messages_of
from tests.conformance.formats.samples import AIRLINE, DATA_KEY, ENCLAVE, sealed_header
from tests.fuzz.runner import run

SEEDS = messages_of("sealed-header", "signed-header")
RECEIVING = ENCLAVE.receiving


def one_input(data: bytes) -> None:
    """Reads `data` as a header by a party, and as a signed one by anybody."""
    try:
        header = SealedHeader.decode_untrusted(data)
        assert header.encode() == data
        assert RECEIVING.open(header.wrapped_key, info=header.context.info()) == DATA_KEY
        assert header == sealed_header()
    except (FormatError, SealError):
        pass
    try:
        payload = cose.verify_untrusted(
            data,
            typ=HEADER_LABEL,
            public_key=AIRLINE.signing_key,
            max_bytes=limits.SEALED_HEADER_MAX_BYTES,
        )
    except (FormatError, SignatureError):
        return
    assert payload == sealed_header().encode()


if __name__ == "__main__":
    run(one_input, seeds=SEEDS)
