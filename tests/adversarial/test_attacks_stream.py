"""Attacks on a sealed dataset on its way, that the formats alone have to stop (rows 11 to 13).

The attacker is the relay: it holds every byte that ever went by, uploads to other enclave lives included, and
may hand any of it to any reader, in any order. It has no party's and no enclave's private key.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from protos.formats import cose
from protos.formats.canonical import decode_untrusted, encode
from protos.formats.errors import SealError, SignatureError
from protos.formats.limits import MIB
from protos.formats.sealed import ChunkOpener, ChunkSealer, SealedHeader
from tests.conformance.formats.readers import READERS
from tests.conformance.formats.sample_people import derived
from tests.conformance.formats.samples import (
    DATA_KEY,
    ENCLAVE,
    STRANGER,
    messages,
    sealed_chunks,
    sealed_header,
)

PLAINTEXTS = (b"zero", b"one", b"two", b"three")
CHUNKS = sealed_chunks(PLAINTEXTS)[0]
LAST = len(CHUNKS) - 1


def opener(*, key: bytes = DATA_KEY, header: SealedHeader | None = None) -> ChunkOpener:
    return ChunkOpener(key, (header or sealed_header()).digest())


def open_all(chunks: Sequence[bytes], *, into: ChunkOpener) -> list[bytes]:
    """The plaintexts, when the attacker calls the last one the last."""
    return [into.open(chunk, last=number == len(chunks) - 1) for number, chunk in enumerate(chunks)]


def test_the_honest_stream_opens() -> None:
    whole = opener()
    assert open_all(CHUNKS, into=whole) == list(PLAINTEXTS)
    assert whole.finished


@pytest.mark.parametrize(
    "order", [order for order in itertools.permutations(range(4)) if order != (0, 1, 2, 3)], ids=str
)
def test_attack_12_reordered_chunks(order: tuple[int, ...]) -> None:
    with pytest.raises(SealError, match="does not open"):
        open_all([CHUNKS[number] for number in order], into=opener())


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_attack_12_truncated_at_the_end(kept: int) -> None:
    with pytest.raises(SealError, match=f"chunk {kept - 1} does not open"):
        open_all(CHUNKS[:kept], into=opener())
    open_end = opener()
    for chunk in CHUNKS[:kept]:
        open_end.open(chunk, last=False)
    assert not open_end.finished


@pytest.mark.parametrize("left_out", range(4))
def test_attack_12_a_chunk_left_out(left_out: int) -> None:
    with pytest.raises(SealError, match=f"chunk {min(left_out, 2)} does not open"):
        open_all(CHUNKS[:left_out] + CHUNKS[left_out + 1 :], into=opener())


@pytest.mark.parametrize("doubled", range(4))
def test_attack_12_a_chunk_twice(doubled: int) -> None:
    with pytest.raises(SealError):
        open_all(CHUNKS[: doubled + 1] + CHUNKS[doubled:], into=opener())


def test_attack_12_a_chunk_after_the_last() -> None:
    whole = opener()
    open_all(CHUNKS, into=whole)
    for chunk, last in itertools.product(CHUNKS, (False, True)):
        with pytest.raises(SealError, match="a chunk after the last one"):
            whole.open(chunk, last=last)


def test_attack_12_the_last_flag_changed() -> None:
    with pytest.raises(SealError):
        opener().open(CHUNKS[0], last=True)
    at_the_end = opener()
    for chunk in CHUNKS[:LAST]:
        at_the_end.open(chunk, last=False)
    with pytest.raises(SealError):
        at_the_end.open(CHUNKS[LAST], last=False)


def test_attack_12_a_refused_chunk_changes_nothing() -> None:
    """The attacker cannot make an honest upload fail later by one bad chunk in between."""
    steady = opener()
    for number, chunk in enumerate(CHUNKS):
        before = (steady.chunks, steady.plaintext_bytes, steady.tags_digest())
        for bad in (CHUNKS[number - 1], chunk[:-1] + bytes([chunk[-1] ^ 1])):
            with pytest.raises(SealError):
                steady.open(bad, last=number == LAST)
        assert (steady.chunks, steady.plaintext_bytes, steady.tags_digest()) == before
        assert steady.open(chunk, last=number == LAST) == PLAINTEXTS[number]


@pytest.mark.parametrize("number", range(4))
def test_attack_12_every_bit_of_a_chunk(number: int) -> None:
    steady = opener()
    for chunk in CHUNKS[:number]:
        steady.open(chunk, last=False)
    for bit in range(8 * len(CHUNKS[number])):
        flipped = bytearray(CHUNKS[number])
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SealError):
            steady.open(bytes(flipped), last=number == LAST)


# The same party, the same dataset, the same key even: only where it belongs is another.
ELSEWHERE: dict[str, dict[str, Any]] = {
    "upload": {"upload_id": derived("another upload", 16)},
    "enclave life": {"enclave_id": derived("another enclave", 16)},
    "agreement": {"agreement_digest": derived("another agreement", 48)},
    "schema": {"schema_digest": derived("another schema", 48)},
    "dataset": {"dataset": "wind"},
    "party": {"party": "weather"},
}


def header_elsewhere(place: str) -> SealedHeader:
    return replace(sealed_header(), context=replace(sealed_header().context, **ELSEWHERE[place]))


@pytest.mark.parametrize("place", ELSEWHERE)
def test_attack_12_chunk_spliced_in_from_elsewhere(place: str) -> None:
    sealer = ChunkSealer(DATA_KEY, header_elsewhere(place).digest())
    foreign = [sealer.seal(plaintext, last=n == LAST) for n, plaintext in enumerate(PLAINTEXTS)]
    for number in range(len(CHUNKS)):
        with pytest.raises(SealError, match=f"chunk {number} does not open"):
            open_all([*CHUNKS[:number], foreign[number], *CHUNKS[number + 1 :]], into=opener())


@pytest.mark.parametrize("place", ELSEWHERE)
def test_attack_13_whole_upload_replayed_elsewhere(place: str) -> None:
    """Neither the chunks nor the wrapped key fit under a header that names another place."""
    header = header_elsewhere(place)
    with pytest.raises(SealError, match="chunk 0 does not open"):
        open_all(CHUNKS, into=opener(header=header))
    with pytest.raises(SealError, match="for another purpose"):
        ENCLAVE.receiving.open(header.wrapped_key, info=header.context.info())


def test_attack_13_wrapped_key_given_to_another_enclave() -> None:
    with pytest.raises(SealError, match="sealed to another key"):
        STRANGER.receiving.open(sealed_header().wrapped_key, info=sealed_header().context.info())


SIGNED = ("approval", "signed-header", "signed-manifest", "signed-run-request", "acceptance")


def parsed(message: bytes) -> Any:
    return decode_untrusted(message, max_bytes=MIB, what="sample")


def label_of(name: str) -> str:
    """The label inside the payload of a signed sample."""
    return str(parsed(parsed(messages()[name])[2])["label"])


@pytest.mark.parametrize("name", SIGNED)
def test_attack_11_message_that_the_relay_signs(name: str) -> None:
    payload = parsed(messages()[name])[2]
    with pytest.raises(SignatureError):
        READERS[name](cose.sign(payload, typ=label_of(name), key=STRANGER.signing))


@pytest.mark.parametrize(("name", "other"), [*itertools.permutations(SIGNED, 2)])
def test_attack_11_message_passed_off_as_another_kind(name: str, other: str) -> None:
    with pytest.raises(SignatureError):
        READERS[name](messages()[other])
    assert label_of(name) != label_of(other)


@pytest.mark.parametrize("key", ["rows", "plaintext_bytes", "chunks"])
def test_attack_11_signed_payload_changed_on_the_way(key: str) -> None:
    protected, _, payload, signature = parsed(messages()["signed-manifest"])
    fields = parsed(payload)
    more = encode({**fields, key: fields[key] + 1})
    with pytest.raises(SignatureError, match="does not fit the bytes"):
        READERS["signed-manifest"](encode([protected, {}, more, signature]))
