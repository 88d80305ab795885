"""The last value that is accepted and the first that is not, where a format has a bound of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from protos.formats import cose
from protos.formats.canonical import (
    decode_untrusted,
    encode,
    require_list,
    require_sorted_texts,
    require_text,
)
from protos.formats.errors import FormatError, LimitExceededError
from protos.formats.wellformed import MAX_DEPTH


@pytest.mark.parametrize("text", ["a", "a" * 7, "é" * 7, "line\n"])
def test_text_of_one_to_so_many_characters(text: str) -> None:
    assert require_text(text, what="it", max_characters=7) == text


@pytest.mark.parametrize("text", ["", "a" * 8])
def test_text_of_none_or_too_many_characters(text: str) -> None:
    with pytest.raises(FormatError, match="expected 1 to 7"):
        require_text(text, what="it", max_characters=7)


def test_lists_of_so_many_items() -> None:
    for items in ([1, 2], [1, 2, 3]):
        assert require_list(items, what="it", min_items=2, max_items=3) == items
    with pytest.raises(FormatError, match="at least 2"):
        require_list([1], what="it", min_items=2, max_items=3)
    with pytest.raises(LimitExceededError, match="at most 3"):
        require_list([1, 2, 3, 4], what="it", min_items=2, max_items=3)


def test_a_set_of_texts_has_texts_in_it() -> None:
    longest = "a" * 256
    assert require_sorted_texts([longest, "b"], what="it", max_items=2) == [longest, "b"]
    wrong: list[list[Any]] = [[""], ["a\0"], ["a" * 257], [1], [b"a"], ["b", "a"], ["a", "a"]]
    for items in wrong:
        with pytest.raises(FormatError):
            require_sorted_texts(items, what="it", max_items=2)


@pytest.mark.parametrize(
    "value", [5, None, True, "four", b"four", {"a": 1, "b": 2, "c": 3, "d": 4}, [], [b""] * 5]
)
def test_a_message_is_an_array_of_four(value: Any) -> None:
    with pytest.raises(FormatError, match="not a COSE_Sign1 array of four"):
        cose.signer_untrusted(encode(value), max_bytes=100, what="it")


@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"a": inner}], ids=["lists", "maps"])
def test_values_nest_so_deep_and_no_deeper(wrap: Callable[[Any], Any]) -> None:
    value: Any = None
    for _ in range(MAX_DEPTH - 1):
        value = wrap(value)
    assert decode_untrusted(encode(value), max_bytes=1000, what="it") == value
    with pytest.raises(FormatError, match="nested deeper"):
        encode(wrap(value))
