"""Names and hexadecimal, and that every error and limit is what its name says."""

from __future__ import annotations

import pytest

from protos.formats import errors, identifiers, limits
from protos.formats.calls import Op, Refusal


@pytest.mark.parametrize("name", ["a", "flight_id", "a" * 63, "z9_"])
def test_a_name(name: str) -> None:
    assert identifiers.require_slug(name, what="name") == name


@pytest.mark.parametrize(
    "name", ["", "A", "9a", "_a", "a-b", "a b", "a\n", "ä", "a" * 64, "a;drop", None, 1, b"a", ["a"]]
)
def test_what_is_not_a_name(name: object) -> None:
    with pytest.raises(errors.FormatError, match=r"name: got .*, expected a name like 'flight_id'") as caught:
        identifiers.require_slug(name, what="name")
    assert len(caught.value.message) < 300


def test_from_hex() -> None:
    assert identifiers.from_hex("00ff", length=2, what="id") == b"\x00\xff"


@pytest.mark.parametrize("text", ["", "00f", "00FF", "00ff00", "0 ff", "0x00", "00fg", "\u0660" * 4])
def test_what_is_not_hexadecimal(text: str) -> None:
    with pytest.raises(errors.FormatError, match=r"id: got .*, expected 4 lower-case hexadecimal digits"):
        identifiers.from_hex(text, length=2, what="id")


def test_an_error_keeps_its_message_its_hint_and_its_code() -> None:
    error = errors.LimitExceededError("got 2, expected 1", hint="send less")
    assert (str(error), error.message, error.hint) == ("got 2, expected 1", "got 2, expected 1", "send less")
    assert (error.code, isinstance(error, errors.FormatError)) == ("format/limit-exceeded", True)
    assert errors.SealError("x").hint is None


def test_a_chunk_and_the_largest_result_fit_a_frame() -> None:
    assert limits.CHUNK_CIPHERTEXT_MAX_BYTES <= limits.FRAME_BODY_MAX_BYTES
    assert limits.RECEIPT_MAX_BYTES <= limits.FRAME_BODY_MAX_BYTES


def test_operations_and_refusals_are_lower_case_words() -> None:
    for name in (*Op, *Refusal):
        assert name.value == name.name.lower().replace("_", "-")
