"""Golden vectors of sealed files: the bytes, what they hold, and what has to be refused."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from party_client.sealed_files import read_sealed_untrusted
from party_client.sealed_files.reading import chunks_of
from protos.formats.errors import ConcordatError
from protos.formats.sealed import ChunkOpener
from tests.conformance.formats.samples import DATA_KEY, agreement, envelope_header
from tests.conformance.sealed_file.generate import VECTORS, vectors

GOLDEN: dict[str, Any] = json.loads(VECTORS.read_text(encoding="utf-8"))
FILE = bytes.fromhex(GOLDEN["file"])


def test_the_generator_makes_the_same_file_again() -> None:
    assert vectors() == GOLDEN


def test_the_file_holds_what_it_says() -> None:
    found = read_sealed_untrusted(io.BytesIO(FILE), signers=agreement().parties)
    assert found.header == envelope_header()
    assert (found.manifest.rows, found.manifest.chunks) == (GOLDEN["rows"], len(GOLDEN["plaintexts"]))
    assert found.size_bytes == len(FILE)
    assert found.require_for(agreement()).id == "flights"
    opener = ChunkOpener(DATA_KEY, found.header.digest())
    chunks = list(chunks_of(io.BytesIO(FILE)))
    opened = [opener.open(chunk, last=number == len(chunks) - 1) for number, chunk in enumerate(chunks)]
    assert [plaintext.hex() for plaintext in opened] == GOLDEN["plaintexts"]


@pytest.mark.parametrize("entry", GOLDEN["refused"], ids=lambda entry: entry["what"])
def test_refused(entry: dict[str, Any]) -> None:
    with pytest.raises(ConcordatError) as caught:
        read_sealed_untrusted(io.BytesIO(bytes.fromhex(entry["file"])), signers=agreement().parties)
    assert type(caught.value).__name__ == entry["expect"], caught.value
    assert len(caught.value.message) < 500
