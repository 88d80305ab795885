"""Sealed headers, manifests and the bounds of chunks. What attackers do to them: `tests/adversarial`."""

from __future__ import annotations

from typing import Any

import pytest

from protos.formats.canonical import decode_untrusted, encode
from protos.formats.errors import FormatError, LimitExceededError, SealError
from protos.formats.limits import CHUNK_PLAINTEXT_MAX_BYTES, CHUNKS_MAX
from protos.formats.sealed import ChunkOpener, ChunkSealer, Manifest, SealedHeader
from tests.conformance.formats.samples import DATA_KEY, ENCLAVE, manifest, sealed_header

HEADER = decode_untrusted(sealed_header().encode(), max_bytes=8192, what="header")
MANIFEST = decode_untrusted(manifest().encode(), max_bytes=8192, what="manifest")
DIGEST = sealed_header().digest()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"compression": "gzip"}, r"compression: got 'gzip', expected one of \['none', 'zstd'\]"),
        ({"compression": "z" * 11}, "compression: got 11 characters"),
        ({"agreement": bytes(32)}, "agreement digest: got 32 bytes, expected 48"),
        ({"enclave": b""}, "enclave id: got 0 bytes, expected 16"),
        ({"party": "Airline"}, "party: got 'Airline'"),
        ({"dataset": "../flights"}, "dataset: got '../flights'"),
        ({"schema": None}, "schema digest: got NoneType, expected bytes"),
        ({"upload": bytes(17)}, "upload id: got 17 bytes, expected 16"),
        ({"wrapped_key": bytes(1167)}, "wrapped key: got 1167 bytes, expected 1168"),
        ({"label": "concordat/manifest/v1"}, "labelled 'concordat/manifest/v1'"),
        ({"rows": 1}, "unknown keys"),
    ],
)
def test_header_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        SealedHeader.decode_untrusted(encode({**HEADER, **changes}))


def test_header_has_a_limit() -> None:
    with pytest.raises(LimitExceededError, match="got 8193 bytes, expected at most 8192"):
        SealedHeader.decode_untrusted(bytes(8193))


@pytest.mark.parametrize(
    "name", ["agreement", "enclave", "party", "dataset", "schema", "upload", "compression"]
)
def test_the_wrapped_key_opens_in_its_own_context_only(name: str) -> None:
    context = sealed_header().context
    assert ENCLAVE.receiving.open(sealed_header().wrapped_key, info=context.info()) == DATA_KEY
    other = {"party": "weather", "dataset": "wind", "compression": "none"}.get(name, bytes(len(HEADER[name])))
    moved = SealedHeader.decode_untrusted(encode({**HEADER, name: other}))
    assert moved.digest() != DIGEST
    with pytest.raises(SealError):
        ENCLAVE.receiving.open(moved.wrapped_key, info=moved.context.info())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"header": bytes(47)}, "header digest: got 47 bytes, expected 48"),
        ({"rows": -1}, "rows: got -1, expected 0"),
        ({"rows": True}, "rows: got bool"),
        ({"plaintext_bytes": "1"}, "plaintext_bytes: got str"),
        ({"chunks": 0}, "chunks: got 0, expected 1 to 16777216"),
        ({"chunks": CHUNKS_MAX + 1}, "chunks: got 16777217"),
        ({"tags": bytes(16)}, "tags digest: got 16 bytes, expected 48"),
        ({"sha256": b""}, "unknown keys"),
    ],
)
def test_manifest_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        Manifest.decode_untrusted(encode({**MANIFEST, **changes}))


def test_digests_name_header_and_manifest() -> None:
    again = SealedHeader.decode_untrusted(sealed_header().encode())
    assert (again, again.digest()) == (sealed_header(), DIGEST)
    moved = Manifest.decode_untrusted(encode({**MANIFEST, "rows": 4}))
    assert moved.digest() != manifest().digest()


@pytest.mark.parametrize("stream", [ChunkSealer, ChunkOpener])
def test_a_data_key_of_another_length(stream: type[ChunkSealer | ChunkOpener]) -> None:
    with pytest.raises(FormatError, match="data key: got 16 bytes, expected 32"):
        stream(bytes(16), DIGEST)


@pytest.mark.parametrize("length", [0, CHUNK_PLAINTEXT_MAX_BYTES + 1])
def test_chunk_lengths_that_are_not_sealed(length: int) -> None:
    with pytest.raises(LimitExceededError, match=f"chunk: got {length} bytes, expected 1 to 1048576"):
        ChunkSealer(DATA_KEY, DIGEST).seal(bytes(length), last=True)


@pytest.mark.parametrize("length", [0, 16, CHUNK_PLAINTEXT_MAX_BYTES + 17])
def test_chunk_lengths_that_are_not_opened(length: int) -> None:
    with pytest.raises(LimitExceededError, match=f"chunk: got {length} bytes, expected 17 to 1048592"):
        ChunkOpener(DATA_KEY, DIGEST).open(bytes(length), last=True)


@pytest.mark.parametrize("length", [1, CHUNK_PLAINTEXT_MAX_BYTES])
def test_the_shortest_and_the_longest_chunk(length: int) -> None:
    sealed = ChunkSealer(DATA_KEY, DIGEST).seal(bytes(length), last=True)
    opener = ChunkOpener(DATA_KEY, DIGEST)
    assert opener.open(sealed, last=True) == bytes(length)
    assert (opener.chunks, opener.plaintext_bytes, opener.finished) == (1, length, True)


def test_nothing_is_sealed_after_the_last_chunk() -> None:
    sealer = ChunkSealer(DATA_KEY, DIGEST)
    sealer.seal(b"a", last=True)
    with pytest.raises(SealError, match="a chunk after the last one"):
        sealer.seal(b"b", last=True)


def test_no_more_chunks_than_the_limit() -> None:
    sealer = ChunkSealer(DATA_KEY, DIGEST)
    sealer.chunks = CHUNKS_MAX - 1
    sealer.seal(b"a", last=False)
    with pytest.raises(LimitExceededError, match="more than 16777216 chunks"):
        sealer.seal(b"b", last=True)
