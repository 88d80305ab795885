"""Deterministic CBOR: one value, one byte string (RFC 8949 section 4.2).

Everything that is hashed, signed or sealed goes through `encode`; everything of ours that comes back goes
through `decode_untrusted`, which accepts exactly what `encode` would have written: no duplicate keys, no
indefinite lengths, no long integers, no tags, no floats, no trailing bytes. (cbor2 alone accepts all of
these, so `wellformed` looks first.) Attestation documents are AWS's, not ours, and are not canonical: they
are parsed elsewhere.

Values are None, bool, int, str, bytes, list and dict with text keys, and nothing else.
"""

from __future__ import annotations

import hashlib
import io
from typing import Any, Final, TypeAlias

import cbor2

from protos.formats.errors import FormatError, LimitExceededError
from protos.formats.wellformed import MAX_DEPTH, require_well_formed_untrusted

Value: TypeAlias = Any
"""None | bool | int | str | bytes | list[Value] | dict[str, Value]."""

INT64_LOW: Final = -(2**63)
INT64_HIGH: Final = 2**63 - 1
_SET_ITEM_MAX_CHARACTERS: Final = 256
_KEYS_SHOWN_MAX: Final = 5


def encode(value: Value) -> bytes:
    """The one encoding of `value`. Raises `FormatError` for a type outside `Value`."""
    _require_plain(value, MAX_DEPTH)
    # cbor2's canonical order is length-first (RFC 7049). For text keys that is the bytewise order of
    # RFC 8949 as well, because the encoded key starts with its length.
    try:
        return cbor2.dumps(value, canonical=True)
    except UnicodeEncodeError as error:
        raise FormatError("a text with half of a surrogate pair, which is not Unicode") from error


def decode_untrusted(data: bytes, *, max_bytes: int, what: str) -> Value:
    """The value that `data` encodes, if and only if `encode` would give back exactly `data`.

    `what` names the thing in errors ("approval"). Raises `LimitExceededError` or `FormatError`.
    """
    if len(data) > max_bytes:
        raise LimitExceededError(f"{what}: got {len(data)} bytes, expected at most {max_bytes}")
    require_well_formed_untrusted(data, what=what)
    try:
        value = cbor2.CBORDecoder(
            io.BytesIO(data), max_depth=MAX_DEPTH + 1, allow_indefinite=False, allow_duplicate_keys=False
        ).decode()
    except Exception as error:  # cbor2 raises many types on hostile input; one may leave here
        raise FormatError(f"{what}: not canonical CBOR ({type(error).__name__})") from error
    if encode(value) != data:
        raise FormatError(f"{what}: not canonical CBOR (decoding and encoding again changes the bytes)")
    return value


def decode_map_untrusted(
    data: bytes, *, label: str, keys: frozenset[str], max_bytes: int
) -> dict[str, Value]:
    """A canonical map that carries `label` under "label" and exactly `keys` beside it.

    Raises `FormatError` naming the missing and the unknown keys.
    """
    value = decode_untrusted(data, max_bytes=max_bytes, what=label)
    return require_map(value, label=label, keys=keys)


def require_map(value: Value, *, label: str, keys: frozenset[str]) -> dict[str, Value]:
    """`value` as a map with "label": `label` and exactly `keys`; the label is dropped from what returns."""
    if isinstance(value, dict) and value.get("label") != label:
        raise FormatError(f"got a map labelled {_shown(value.get('label'))}, expected {label!r}")
    fields = require_fields(value, keys | {"label"}, what=label)
    return {key: item for key, item in fields.items() if key != "label"}


def require_fields(value: Value, keys: frozenset[str], *, what: str) -> dict[str, Value]:
    """`value` as a map with exactly `keys`."""
    if not isinstance(value, dict):
        raise FormatError(f"{what}: got {type(value).__name__}, expected a map")
    missing, unknown = sorted(keys - value.keys()), sorted(value.keys() - keys)
    if missing or unknown:
        shown = [_shown(key) for key in unknown[:_KEYS_SHOWN_MAX]]
        raise FormatError(f"{what}: missing keys {missing}, unknown keys {shown}")
    return value


def require_bytes(
    value: Value, *, what: str, length: int | None = None, max_length: int | None = None
) -> bytes:
    """`value` as a byte string of exactly `length`, or of 1..`max_length` bytes."""
    if not isinstance(value, bytes):
        raise FormatError(f"{what}: got {type(value).__name__}, expected bytes")
    if length is not None and len(value) != length:
        raise FormatError(f"{what}: got {len(value)} bytes, expected {length}")
    if max_length is not None and not 1 <= len(value) <= max_length:
        raise FormatError(f"{what}: got {len(value)} bytes, expected 1 to {max_length}")
    return value


def require_int(value: Value, *, what: str, low: int = 0, high: int = INT64_HIGH) -> int:
    """`value` as an integer in low..high (both inclusive); a bool is not an integer."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise FormatError(f"{what}: got {type(value).__name__}, expected an integer")
    if not low <= value <= high:
        raise FormatError(f"{what}: got {value}, expected {low} to {high}")
    return value


def require_text(value: Value, *, what: str, max_characters: int) -> str:
    """`value` as text of 1..`max_characters` printable characters."""
    if not isinstance(value, str):
        raise FormatError(f"{what}: got {type(value).__name__}, expected text")
    if not 1 <= len(value) <= max_characters:
        raise FormatError(f"{what}: got {len(value)} characters, expected 1 to {max_characters}")
    if not all(character.isprintable() or character == "\n" for character in value):
        raise FormatError(f"{what}: has a character that cannot be shown (control or format character)")
    return value


def require_list(value: Value, *, what: str, max_items: int, min_items: int = 0) -> list[Value]:
    """`value` as a list of `min_items` to `max_items` items."""
    if not isinstance(value, list):
        raise FormatError(f"{what}: got {type(value).__name__}, expected a list")
    if len(value) > max_items:
        raise LimitExceededError(f"{what}: got {len(value)} items, expected at most {max_items}")
    if len(value) < min_items:
        raise FormatError(f"{what}: got {len(value)} items, expected at least {min_items}")
    return value


def require_sorted_texts(value: Value, *, what: str, max_items: int) -> list[str]:
    """A list of short texts in ascending order without repeats: the one way to write a set."""
    items = [
        require_text(item, what=what, max_characters=_SET_ITEM_MAX_CHARACTERS)
        for item in require_list(value, what=what, max_items=max_items)
    ]
    if items != sorted(set(items)):
        raise FormatError(f"{what}: must be in ascending order without repeats")
    return items


def digest(label: str, *parts: bytes) -> bytes:
    """SHA-384 over the canonical encoding of [label, *parts]: 48 bytes, separated by `label`."""
    return hashlib.sha384(encode([label, *parts])).digest()


def _require_plain(value: Value, depth: int) -> None:
    if depth == 0:
        raise FormatError(f"nested deeper than {MAX_DEPTH}")
    if value is None or type(value) in (bool, str, bytes):
        return
    if type(value) is int:
        if not INT64_LOW <= value <= INT64_HIGH:
            raise FormatError("an integer outside 64 bits")
    elif type(value) is list:
        for item in value:
            _require_plain(item, depth - 1)
    elif type(value) is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise FormatError(f"a map key of type {type(key).__name__}, expected text")
            _require_plain(item, depth - 1)
    else:
        raise FormatError(f"a value of type {type(value).__name__} has no place in our formats")


def _shown(value: Value) -> str:
    return repr(value)[:60]
