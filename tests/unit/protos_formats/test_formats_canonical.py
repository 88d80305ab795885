"""Deterministic CBOR: one value has one encoding, and nothing else is read."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from protos.formats import canonical
from protos.formats.errors import FormatError, LimitExceededError
from protos.formats.wellformed import MAX_DEPTH, MAX_ITEMS, require_well_formed_untrusted


def decode(data: bytes, max_bytes: int = 100) -> object:
    return canonical.decode_untrusted(data, max_bytes=max_bytes, what="thing")


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (None, "f6"),
        (False, "f4"),
        (True, "f5"),
        (0, "00"),
        (23, "17"),
        (24, "1818"),
        (255, "18ff"),
        (256, "190100"),
        (2**16, "1a00010000"),
        (2**32, "1b0000000100000000"),
        (2**63 - 1, "1b7fffffffffffffff"),
        (-1, "20"),
        (-(2**63), "3b7fffffffffffffff"),
        (b"", "40"),
        ("", "60"),
        ("ü", "62c3bc"),
        ([], "80"),
        ({}, "a0"),
        ({"b": 1, "aa": 2, "a": 3}, "a3616103616201626161" + "02"),
    ],
)
def test_encoding(value: object, encoded: str) -> None:
    assert canonical.encode(value).hex() == encoded
    assert decode(bytes.fromhex(encoded)) == value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1.0, "a value of type float"),
        ((), "a value of type tuple"),
        (bytearray(b"a"), "a value of type bytearray"),
        ({1: 2}, "a map key of type int, expected text"),
        ({b"a": 2}, "a map key of type bytes, expected text"),
        (2**63, "an integer outside 64 bits"),
        (-(2**63) - 1, "an integer outside 64 bits"),
        (["\ud800"], "half of a surrogate pair"),
        ({"\udfff": 0}, "half of a surrogate pair"),
    ],
)
def test_what_has_no_encoding(value: object, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        canonical.encode(value)


def nested(levels: int) -> object:
    value: object = 0
    for _ in range(levels - 1):
        value = [value]
    return value


def test_depth_is_the_same_on_both_sides() -> None:
    assert decode(canonical.encode(nested(MAX_DEPTH))) == nested(MAX_DEPTH)
    with pytest.raises(FormatError, match="nested deeper than 16"):
        canonical.encode(nested(MAX_DEPTH + 1))
    with pytest.raises(FormatError, match="thing: nested deeper than 16"):
        decode(b"\x81" * MAX_DEPTH + b"\x00")


def test_length_limit_is_inclusive() -> None:
    assert decode(b"\x43abc", max_bytes=4) == b"abc"
    with pytest.raises(LimitExceededError, match="thing: got 4 bytes, expected at most 3"):
        decode(b"\x43abc", max_bytes=3)


def test_item_limit_is_inclusive() -> None:
    most = b"\x9a" + (MAX_ITEMS - 1).to_bytes(4, "big") + bytes(MAX_ITEMS - 1)
    require_well_formed_untrusted(most, what="thing")
    more = b"\x9a" + MAX_ITEMS.to_bytes(4, "big") + bytes(MAX_ITEMS)
    with pytest.raises(LimitExceededError, match="thing: more than 262144 values"):
        require_well_formed_untrusted(more, what="thing")


@pytest.mark.parametrize(
    ("encoded", "message"),
    [
        ("c000", "a CBOR tag, expected none"),
        ("f90000", "a float or a simple value"),
        ("f8ff", "a float or a simple value"),
        ("9fff", "an indefinite or reserved length"),
        ("1f", "an indefinite or reserved length"),
        ("1801", "written longer than it has to be"),
        ("b80161" + "6100", "written longer than it has to be"),
        ("19ff", "ends in the middle of a value"),
        ("43", "ends in the middle of a value"),
        ("828100", "ends in the middle of a value"),
        ("bb7fffffffffffffff", "ends in the middle of a value"),
        ("", "ends in the middle of a value"),
        ("f600", "got 1 bytes after the value, expected none"),
        ("a1f600", "a map key that is not a text"),
        ("a261610000" + "00", "a map key that is not a text"),
    ],
)
def test_what_is_not_well_formed(encoded: str, message: str) -> None:
    with pytest.raises(FormatError, match=f"^thing: .*{message}"):
        require_well_formed_untrusted(bytes.fromhex(encoded), what="thing")


@pytest.mark.parametrize(
    ("encoded", "message"),
    [
        ("61ff", "not canonical CBOR"),
        ("a2616100616100", "not canonical CBOR"),
        ("a2616200616100", "decoding and encoding again changes the bytes"),
        ("1b8000000000000000", "an integer outside 64 bits"),
    ],
)
def test_what_is_well_formed_and_still_refused(encoded: str, message: str) -> None:
    data = bytes.fromhex(encoded)
    require_well_formed_untrusted(data, what="thing")
    with pytest.raises(FormatError, match=message):
        decode(data)


LABELLED = canonical.encode({"label": "x/v1", "a": 1})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1], "x/v1: got list, expected a map"),
        ({"label": "y/v1", "a": 1}, "got a map labelled 'y/v1', expected 'x/v1'"),
        ({"a": 1}, "got a map labelled None, expected 'x/v1'"),
        ({"label": "x/v1"}, r"missing keys \['a'\], unknown keys \[\]"),
        ({"label": "x/v1", "a": 1, "b": 2}, r"missing keys \[\], unknown keys \[\"'b'\"\]"),
        ({"label": "y" * 1000}, "labelled 'y{59}, expected"),
    ],
)
def test_labelled_map(value: object, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        canonical.decode_map_untrusted(
            canonical.encode(value), label="x/v1", keys=frozenset({"a"}), max_bytes=2000
        )


def test_labelled_map_comes_without_its_label() -> None:
    keys = frozenset({"a"})
    assert canonical.decode_map_untrusted(LABELLED, label="x/v1", keys=keys, max_bytes=100) == {"a": 1}


def test_an_error_shows_a_few_unknown_keys_and_not_a_thousand() -> None:
    with pytest.raises(FormatError) as caught:
        canonical.require_fields({f"{n:04}" * 50: 0 for n in range(1000)}, frozenset(), what="thing")
    assert len(caught.value.message) < 500


@pytest.mark.parametrize(
    ("require", "value", "message"),
    [
        ({"length": 3}, "abc", "thing: got str, expected bytes"),
        ({"length": 3}, b"ab", "thing: got 2 bytes, expected 3"),
        ({"max_length": 3}, b"", "thing: got 0 bytes, expected 1 to 3"),
        ({"max_length": 3}, b"abcd", "thing: got 4 bytes, expected 1 to 3"),
    ],
)
def test_require_bytes(require: dict[str, int], value: object, message: str) -> None:
    assert canonical.require_bytes(b"abc", what="thing", **require) == b"abc"
    with pytest.raises(FormatError, match=message):
        canonical.require_bytes(value, what="thing", **require)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (True, "thing: got bool, expected an integer"),
        ("2", "thing: got str, expected an integer"),
        (1, "thing: got 1, expected 2 to 4"),
        (5, "thing: got 5, expected 2 to 4"),
    ],
)
def test_require_int(value: object, message: str) -> None:
    assert [canonical.require_int(bound, what="thing", low=2, high=4) for bound in (2, 4)] == [2, 4]
    with pytest.raises(FormatError, match=message):
        canonical.require_int(value, what="thing", low=2, high=4)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"a", "thing: got bytes, expected text"),
        ("", "thing: got 0 characters, expected 1 to 9"),
        ("a" * 10, "thing: got 10 characters, expected 1 to 9"),
        *((f"a{character}b", "a character that cannot be shown") for character in "\x00\t\r\x1b\x7f\x85"),
        *((f"a{character}b", "a character that cannot be shown") for character in "\u200b\u202e\u2028\ufeff"),
    ],
)
def test_require_text(value: object, message: str) -> None:
    assert canonical.require_text("a ü\n漢 🛫"[:9], what="thing", max_characters=9)
    with pytest.raises(FormatError, match=message):
        canonical.require_text(value, what="thing", max_characters=9)


def test_require_list() -> None:
    bounds: dict[str, Any] = {"what": "thing", "min_items": 1, "max_items": 2}
    assert canonical.require_list([1], **bounds) == [1]
    assert canonical.require_list([1, 2], **bounds) == [1, 2]
    with pytest.raises(FormatError, match="thing: got tuple, expected a list"):
        canonical.require_list((1, 2), **bounds)
    with pytest.raises(FormatError, match="thing: got 0 items, expected at least 1"):
        canonical.require_list([], **bounds)
    with pytest.raises(LimitExceededError, match="thing: got 3 items, expected at most 2"):
        canonical.require_list([1, 2, 3], **bounds)


@pytest.mark.parametrize("value", [["b", "a"], ["a", "a"]])
def test_a_set_is_written_in_one_way(value: list[str]) -> None:
    assert canonical.require_sorted_texts(["a", "b"], what="thing", max_items=2) == ["a", "b"]
    with pytest.raises(FormatError, match="thing: must be in ascending order without repeats"):
        canonical.require_sorted_texts(value, what="thing", max_items=2)


def test_digest_separates_labels_and_parts() -> None:
    digests = {
        canonical.digest("a", b"bc"),
        canonical.digest("a", b"b", b"c"),
        canonical.digest("a", b"", b"bc"),
        canonical.digest("ab", b"c"),
        canonical.digest("a"),
    }
    assert len(digests) == 5
    assert canonical.digest("a", b"bc") == hashlib.sha384(bytes.fromhex("826161426263")).digest()
