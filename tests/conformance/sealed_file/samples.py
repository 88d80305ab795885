"""A small sealed file, the same in every run, and the pieces that it is made of."""

from __future__ import annotations

import io
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from party_client.sealed_files import SealedFileWriter
from protos.formats import cose
from protos.formats.sealed import HEADER_LABEL, MANIFEST_LABEL, ChunkSealer, Manifest
from tests.conformance.formats.samples import AIRLINE, DATA_KEY, envelope_header

CHUNKS = (b"the first chunk", b"another one", b"last")
ROWS = 7


def header() -> bytes:
    """Signed."""
    return cose.sign(envelope_header().encode(), typ=HEADER_LABEL, key=AIRLINE.signing)


def sealed_chunks(plaintexts: tuple[bytes, ...] = CHUNKS) -> tuple[list[bytes], Manifest]:
    """The chunks and what the owner says of them."""
    sealer = ChunkSealer(DATA_KEY, envelope_header().digest())
    last = len(plaintexts) - 1
    chunks = [sealer.seal(one, last=number == last) for number, one in enumerate(plaintexts)]
    manifest = Manifest(
        envelope_header().digest(), ROWS, sealer.plaintext_bytes, sealer.chunks, sealer.tags_digest()
    )
    return chunks, manifest


def sealed_file(
    *,
    signed_header: bytes | None = None,
    chunks: list[bytes] | None = None,
    manifest: Manifest | None = None,
    manifest_key: Ed25519PrivateKey | None = None,
    end_key: Ed25519PrivateKey | None = None,
) -> bytes:
    """The file, as the airline makes it, or with something else in its place."""
    right_chunks, right_manifest = sealed_chunks()
    file = io.BytesIO()
    writer = SealedFileWriter(file, signed_header or header())
    for chunk in right_chunks if chunks is None else chunks:
        writer.add(chunk)
    signed = cose.sign(
        (manifest or right_manifest).encode(),
        typ=MANIFEST_LABEL,
        key=manifest_key or AIRLINE.signing,
    )
    writer.finish(signed, end_key or AIRLINE.signing)
    return file.getvalue()


def other_manifest(**changes: object) -> Manifest:
    """What the airline does not say of these chunks."""
    return replace(sealed_chunks()[1], **changes)  # type: ignore[arg-type]
