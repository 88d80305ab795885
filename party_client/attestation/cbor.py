"""Reads one CBOR item of somebody else's making: well formed, bounded, untagged, unambiguous.

The payload of an attestation document is not canonical, and since August 2025 the NSM writes its map with
indefinite length, so both have to be accepted. What would let two readers see two things is refused:
duplicate keys, trailing bytes, tags (cbor2 resolves built-in tags silently, a bignum becomes an int and tag
55799 vanishes). Only `AttestationError`s leave. Followed: RFC 8949 sections 3 and 5.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import cbor2

from party_client.attestation.errors import (
    DuplicateKeyError,
    MalformedCborError,
    TagError,
    TrailingBytesError,
)

MAX_DEPTH: Final = 8
"""The deepest genuine item is a byte string in a map in a map: 3."""


class _TagSeenError(Exception):
    """Raised inside cbor2 by the decoder of any tag."""


class _EveryTag(Mapping[int, Callable[[Any, bool], Any]]):
    """Decoders for all tags there can be, built-in ones included: each of them gives up."""

    def __init__(self) -> None:
        self.first_seen: int | None = None

    def __getitem__(self, tag: int) -> Callable[[Any, bool], Any]:
        self.first_seen = tag if self.first_seen is None else self.first_seen
        return self._refuse

    def __iter__(self) -> Iterator[int]:
        return iter(())

    def __len__(self) -> int:
        return 1  # an empty mapping would be taken for none

    @staticmethod
    def _refuse(_tagged: Any, _frozen: bool) -> Any:
        raise _TagSeenError


def decode_untrusted(data: bytes, *, what: str, allow_indefinite: bool) -> Any:
    """The item that `data` is. `what` names it in errors. Raises `MalformedCborError` or a subclass."""
    tags = _EveryTag()
    stream = io.BytesIO(data)
    try:
        item = _decoder(stream, tags, allow_indefinite=allow_indefinite, allow_duplicate_keys=False).decode()
    except Exception as error:  # cbor2 raises many types on hostile input; one may leave here
        raise _named(data, tags, what=what, allow_indefinite=allow_indefinite) from error
    if stream.tell() != len(data):
        extra = len(data) - stream.tell()
        raise TrailingBytesError(f"{what}: got {extra} bytes after the end of the CBOR item, expected none")
    return item


def _decoder(
    stream: io.BytesIO, tags: _EveryTag, *, allow_indefinite: bool, allow_duplicate_keys: bool
) -> cbor2.CBORDecoder:
    return cbor2.CBORDecoder(
        stream,
        semantic_decoders=tags,
        max_depth=MAX_DEPTH,
        allow_indefinite=allow_indefinite,
        allow_duplicate_keys=allow_duplicate_keys,
    )


def _named(data: bytes, tags: _EveryTag, *, what: str, allow_indefinite: bool) -> MalformedCborError:
    """The name of a refusal that is already decided. Duplicates are told by what decodes without the rule."""
    if tags.first_seen is not None:
        return TagError(f"{what}: got CBOR tag {tags.first_seen}, expected no tag")
    try:
        _decoder(
            io.BytesIO(data), _EveryTag(), allow_indefinite=allow_indefinite, allow_duplicate_keys=True
        ).decode()
    except Exception as error:  # as above
        return MalformedCborError(f"{what}: not well-formed CBOR ({type(error).__name__})")
    return DuplicateKeyError(f"{what}: a map has the same key twice, expected each key once")
