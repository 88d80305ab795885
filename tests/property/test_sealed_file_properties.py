"""Whatever is sealed into a file comes out of it, and no damage to it goes unseen."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from party_client.sealed_files import SealedFileError, read_sealed_untrusted
from party_client.sealed_files.reading import chunks_of
from protos.formats.errors import FormatError, SignatureError
from protos.formats.sealed import ChunkOpener
from tests.conformance.formats.samples import DATA_KEY, agreement, envelope_header
from tests.conformance.sealed_file.samples import sealed_chunks, sealed_file

PARTIES = agreement().parties
GOOD = sealed_file()
_REFUSED = (FormatError, SignatureError)


def read(data: bytes) -> None:
    read_sealed_untrusted(io.BytesIO(data), signers=PARTIES)


@given(st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=8))
def test_what_was_sealed_opens(plaintexts: list[bytes]) -> None:
    chunks, manifest = sealed_chunks(tuple(plaintexts))
    data = sealed_file(chunks=chunks, manifest=manifest)
    found = read_sealed_untrusted(io.BytesIO(data), signers=PARTIES)
    opener = ChunkOpener(DATA_KEY, envelope_header().digest())
    last = found.manifest.chunks - 1
    opened = [
        opener.open(chunk, last=number == last) for number, chunk in enumerate(chunks_of(io.BytesIO(data)))
    ]
    assert opened == plaintexts
    assert (opener.tags_digest(), opener.plaintext_bytes) == (
        found.manifest.tags_digest,
        found.manifest.plaintext_bytes,
    )


def test_damage_to_any_byte_is_refused() -> None:
    """Without the data key: ciphertext is covered by the owner's signature over the whole file."""
    read(GOOD)
    for at in range(len(GOOD)):
        for bit in (0x01, 0x80):
            with pytest.raises(_REFUSED):
                read(GOOD[:at] + bytes([GOOD[at] ^ bit]) + GOOD[at + 1 :])


def test_a_file_that_ends_anywhere_else_is_refused() -> None:
    for end in range(len(GOOD)):
        with pytest.raises(SealedFileError):
            read(GOOD[:end])


@given(st.integers(0, len(GOOD)), st.integers(0, len(GOOD)), st.binary(max_size=40))
def test_nothing_can_be_cut_out_or_put_in(start: int, end: int, between: bytes) -> None:
    start, end = sorted((start, end))
    changed = GOOD[:start] + between + GOOD[end:]
    if changed != GOOD:
        with pytest.raises(_REFUSED):
            read(changed)
