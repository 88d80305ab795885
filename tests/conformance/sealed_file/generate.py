"""Writes `vectors.json`: run `python -m tests.conformance.sealed_file.generate` after the format has changed.

Everything is deterministic, so an unchanged format gives an unchanged file, and a test compares them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from protos.formats import cose
from protos.formats.sealed import HEADER_LABEL
from tests.conformance.formats.sample_people import Person
from tests.conformance.formats.samples import AIRLINE, STRANGER, WEATHER, envelope_header
from tests.conformance.sealed_file.samples import (
    CHUNKS,
    ROWS,
    header,
    other_manifest,
    sealed_chunks,
    sealed_file,
)

VECTORS = Path(__file__).parent / "vectors.json"
SOURCE = "made for this repository by tests/conformance/sealed_file/generate.py; keys from public labels"
_LENGTH = 4


def refused() -> Iterator[tuple[str, str, bytes]]:
    """(what is wrong, the error expected, the file): one for each rule."""
    good = sealed_file()
    chunks, _ = sealed_chunks()
    first_line = good.index(b"\n") + 1
    after_header = first_line + _LENGTH + len(header())
    yield "another first line", "SealedFileError", good.replace(b"v1\n", b"v2\n", 1)
    yield "nothing but the first line", "SealedFileError", good[:first_line]
    yield "half of it", "SealedFileError", good[: len(good) // 2]
    yield "one byte too few", "SealedFileError", good[:-1]
    yield "one byte too many", "SealedFileError", good + b"\0"
    huge = (2**32 - 1).to_bytes(_LENGTH, "big")
    yield "a header of 4 GiB", "SealedFileError", good[:first_line] + huge + good[first_line + _LENGTH :]
    yield "a chunk of 4 GiB", "SealedFileError", good[:after_header] + huge + good[after_header + _LENGTH :]
    short = (16).to_bytes(_LENGTH, "big")
    chunks_from = good[after_header + _LENGTH :]
    yield "a chunk of 16 bytes", "SealedFileError", good[:after_header] + short + chunks_from
    yield "no chunks", "SealedFileError", sealed_file(chunks=[])
    yield "a chunk is missing", "SealedFileError", sealed_file(chunks=chunks[:-1])
    yield "chunks in another order", "SealedFileError", sealed_file(chunks=[chunks[1], chunks[0], chunks[2]])
    other = other_manifest(header_digest=bytes(48))
    yield "a manifest of another header", "SealedFileError", sealed_file(manifest=other)
    other = other_manifest(plaintext_bytes=1)
    yield "a manifest of other sizes", "SealedFileError", sealed_file(manifest=other)
    at = good.index(chunks[0])
    altered = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
    yield "one bit of a chunk", "SealedFileError", altered
    yield "a header by a stranger", "SignatureError", sealed_file(signed_header=header_by(STRANGER))
    other_key = WEATHER.signing
    forged = sealed_file(signed_header=header_by(WEATHER), manifest_key=other_key, end_key=other_key)
    yield "the data of a party, all of it signed by another", "SignatureError", forged
    yield "a manifest by another party", "SignatureError", sealed_file(manifest_key=WEATHER.signing)
    yield "an end by another party", "SignatureError", sealed_file(end_key=WEATHER.signing)


def header_by(signer: Person) -> bytes:
    """The airline's words, signed by somebody else."""
    return cose.sign(envelope_header().encode(), typ=HEADER_LABEL, key=signer.signing)


def vectors() -> dict[str, Any]:
    """All of `vectors.json`."""
    return {
        "source": SOURCE,
        "specification": "protos/README.md",
        "signer": {"id": AIRLINE.id, "signing_key": AIRLINE.signing_key.hex()},
        "plaintexts": [chunk.hex() for chunk in CHUNKS],
        "rows": ROWS,
        "file": sealed_file().hex(),
        "refused": [{"what": what, "expect": expect, "file": data.hex()} for what, expect, data in refused()],
    }


def main() -> None:
    """Replaces the vectors."""
    VECTORS.write_text(json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
