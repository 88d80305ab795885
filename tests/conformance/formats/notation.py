"""How a CBOR value is written in `vectors.json`: as JSON, with byte strings as h'…' (RFC 8949 section 8)."""

from __future__ import annotations

import re

from protos.formats.canonical import Value

_BYTES = re.compile(r"h'([0-9a-f]*)'")


def to_json(value: Value) -> Value:
    """`value` as JSON can hold it."""
    if isinstance(value, bytes):
        return f"h'{value.hex()}'"
    if isinstance(value, list):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    assert not (isinstance(value, str) and _BYTES.fullmatch(value)), "a text that looks like a byte string"
    return value


def from_json(value: Value) -> Value:
    """Inverse of `to_json`."""
    if isinstance(value, str) and (match := _BYTES.fullmatch(value)):
        return bytes.fromhex(match[1])
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if isinstance(value, dict):
        return {key: from_json(item) for key, item in value.items()}
    return value
