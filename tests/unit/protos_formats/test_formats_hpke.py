"""Sealing to a public key: it opens with that key and for that purpose, and in no other way."""

from __future__ import annotations

import pytest

from protos.formats import hpke
from protos.formats.errors import FormatError, SealError
from tests.conformance.formats.samples import AIRLINE, WEATHER

KEY = AIRLINE.receiving
SEALED = hpke.seal(b"secret", public_key=KEY.public_key, info=b"purpose")


def test_sizes_are_those_of_the_specification() -> None:
    assert (len(KEY.public_key), len(SEALED)) == (1216, 1120 + 6 + 16)
    assert (hpke.PUBLIC_KEY_BYTES, hpke.OVERHEAD_BYTES) == (1216, 1136)


def test_it_opens() -> None:
    assert KEY.open(SEALED, info=b"purpose") == b"secret"
    assert hpke.seal(b"secret", public_key=KEY.public_key, info=b"purpose") != SEALED


@pytest.mark.parametrize("info", [b"", b"purposE", b"purpose\x00"])
def test_another_purpose(info: bytes) -> None:
    with pytest.raises(SealError, match="for another purpose"):
        KEY.open(SEALED, info=info)


def test_another_key() -> None:
    with pytest.raises(SealError, match="sealed to another key"):
        WEATHER.receiving.open(SEALED, info=b"purpose")


@pytest.mark.parametrize("sealed", [b"", SEALED[:1120], SEALED[:-1], SEALED + b"\x00", bytes(len(SEALED))])
def test_other_lengths(sealed: bytes) -> None:
    with pytest.raises(SealError):
        KEY.open(sealed, info=b"purpose")


@pytest.mark.parametrize("position", [0, 1087, 1088, 1119, 1120, -1])
def test_a_flipped_bit_in_each_part(position: int) -> None:
    sealed = bytearray(SEALED)
    sealed[position] ^= 1
    with pytest.raises(SealError):
        KEY.open(bytes(sealed), info=b"purpose")


def test_an_encapsulation_of_small_order() -> None:
    with pytest.raises(SealError):
        KEY.open(SEALED[:1088] + bytes(32) + SEALED[1120:], info=b"purpose")


@pytest.mark.parametrize("length", [0, 95, 97])
def test_a_seed_of_another_length(length: int) -> None:
    with pytest.raises(FormatError, match=f"HPKE seed: got {length} bytes, expected 96"):
        hpke.PrivateKey(bytes(length))


@pytest.mark.parametrize("length", [0, 32, 1184, 1217])
def test_a_public_key_of_another_length(length: int) -> None:
    with pytest.raises(FormatError, match=f"HPKE public key: got {length} bytes, expected 1216"):
        hpke.seal(b"", public_key=bytes(length), info=b"")


@pytest.mark.parametrize(
    "public_key", [b"\xff" * 1216, KEY.public_key[:1184] + bytes(32)], ids=["not reduced", "small order"]
)
def test_a_public_key_that_is_none(public_key: bytes) -> None:
    with pytest.raises(FormatError, match="not a valid MLKEM768-X25519 key"):
        hpke.seal(b"", public_key=public_key, info=b"")
