"""Whether bytes have the shape of our CBOR at all, decided before a general decoder sees them.

Reads anybody's bytes, one head at a time, and allocates nothing. cbor2 resolves tags while it decodes, and a
few of them are weapons: shared values (28, 29) and string references (25, 256) make a kilobyte stand for
terabytes, bignums (2, 4, 5) burn minutes of processor time, lists as map keys collide. None of them has a
place in our formats, so nothing that contains one gets as far as cbor2. Raises `FormatError`. RFC 8949
section 3 and appendix C.
"""

from __future__ import annotations

from typing import Final

from protos.formats.errors import FormatError, LimitExceededError

MAX_DEPTH: Final = 16
"""Of any value, where the outermost one is at depth 1."""
MAX_ITEMS: Final = 2**18
"""Values in one message, keys included: an item of one byte in takes some sixty in memory."""

_BYTES, _TEXT, _LIST, _MAP, _TAG, _SIMPLE = 2, 3, 4, 5, 6, 7
_FALSE_TRUE_NULL: Final = frozenset({0xF4, 0xF5, 0xF6})
_SMALLEST_OF_WIDTH: Final = {1: 24, 2: 2**8, 4: 2**16, 8: 2**32}


def require_well_formed_untrusted(data: bytes, *, what: str) -> None:
    """One item and nothing after it: no tags, floats, indefinite or overlong lengths; map keys are texts."""
    at, items, due = 0, 0, 1
    open_items = [1]  # of `due`, how many are in each list or map that is open; a pair is two items
    is_map = [False]
    while open_items:
        if at + due > len(data):  # each item takes at least one byte
            raise FormatError(f"{what}: ends in the middle of a value")
        if open_items[-1] == 0:
            open_items.pop()
            is_map.pop()
            continue
        items += 1
        if len(open_items) > MAX_DEPTH:
            raise FormatError(f"{what}: nested deeper than {MAX_DEPTH}")
        if items > MAX_ITEMS:
            raise LimitExceededError(f"{what}: more than {MAX_ITEMS} values in one message")
        major, argument, at = _head(data, at, what)
        if is_map[-1] and open_items[-1] % 2 == 0 and major != _TEXT:
            raise FormatError(f"{what}: a map key that is not a text")
        due -= 1
        open_items[-1] -= 1
        if major in (_BYTES, _TEXT):
            at += argument
        elif major in (_LIST, _MAP):
            inside = argument * (major - _LIST + 1)
            due += inside
            open_items.append(inside)
            is_map.append(major == _MAP)
    if at != len(data):
        raise FormatError(f"{what}: got {len(data) - at} bytes after the value, expected none")


def _head(data: bytes, at: int, what: str) -> tuple[int, int, int]:
    """(major type, argument, where its content starts) of the item that starts at `at`."""
    first = data[at]
    major, short = first >> 5, first & 31
    if major == _TAG:
        raise FormatError(f"{what}: a CBOR tag, expected none")
    if major == _SIMPLE and first not in _FALSE_TRUE_NULL:
        raise FormatError(f"{what}: a float or a simple value, expected only false, true and null")
    if short < 24:
        return major, short, at + 1
    if short > 27:
        raise FormatError(f"{what}: an indefinite or reserved length")
    width = 1 << (short - 24)
    content = at + 1 + width
    argument = int.from_bytes(data[at + 1 : content], "big")
    if content > len(data):
        raise FormatError(f"{what}: ends in the middle of a value")
    if argument < _SMALLEST_OF_WIDTH[width]:
        raise FormatError(f"{what}: an integer or a length that is written longer than it has to be")
    return major, argument, content
