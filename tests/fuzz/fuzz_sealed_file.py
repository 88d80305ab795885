"""Fuzz target: of a sealed file, only what its owner signed is read; all else is an error of ours.

Each input is read as it is, and as the chunks of a file whose manifest and end fit them, so that changes get
past the signatures. What is accepted is written again, byte for byte.
"""

from __future__ import annotations

import contextlib
import io

from party_client.sealed_files import read_sealed_untrusted
from party_client.sealed_files.layout import FIRST_LINE, LENGTH_BYTES
from party_client.sealed_files.reading import chunks_of
from protos.formats.errors import FormatError, SignatureError
from tests.conformance.formats.samples import agreement
from tests.conformance.sealed_file.samples import header, sealed_chunks, sealed_file
from tests.fuzz.runner import run

PARTIES = agreement().parties
GOOD = sealed_file()
SEEDS = [GOOD, sealed_file(chunks=sealed_chunks()[0][:1]), FIRST_LINE, GOOD[:200]]


def one_input(data: bytes) -> None:
    """Reads `data` as a file, and its beginning as chunks."""
    with contextlib.suppress(FormatError, SignatureError):
        found = read_sealed_untrusted(io.BytesIO(data), signers=PARTIES)
        assert found.size_bytes == len(data)
        chunks = list(chunks_of(io.BytesIO(data)))
        assert len(chunks) == found.manifest.chunks
        assert sealed_file(signed_header=found.signed_header, chunks=chunks, manifest=found.manifest) == data
    with contextlib.suppress(FormatError):
        begun = FIRST_LINE + len(header()).to_bytes(LENGTH_BYTES, "big") + header() + data
        assert sum(map(len, chunks_of(io.BytesIO(begun)))) <= len(data)


if __name__ == "__main__":
    run(one_input, seeds=SEEDS)
