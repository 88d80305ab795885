"""Reads a JSON object from anybody: bounded, no name twice, no number that JSON does not have.

Bodies of requests and texts of policies come from whoever can reach the server. What returns holds plain
Python values only; everything else leaves as the one error that the caller names. (RFC 8259; two parsers
that disagree about a name given twice would read two policies.)
"""

from __future__ import annotations

import json
from typing import Any, Final

from scenarios.kms.errors import KmsError

DEPTH_MAX: Final = 16
Json = dict[str, Any]


class _NotAcceptedError(ValueError):
    """Ends the reading; says why."""


def parse_object_untrusted(text: bytes, *, what: str, max_bytes: int, refusal: type[KmsError]) -> Json:
    """The object in `text`, UTF-8, at most `max_bytes`. Raises `refusal`, nothing else."""
    if len(text) > max_bytes:
        raise refusal(f"{what}: got {len(text)} bytes, expected at most {max_bytes}")
    try:
        _require_shallow(text)
        found = json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_once_each,
            parse_constant=_no_such_number,
            parse_float=_no_fraction,
            parse_int=_small_number,
        )
        json.dumps(found, ensure_ascii=False).encode("utf-8")  # a lone surrogate is no text
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, _NotAcceptedError) else "not JSON in UTF-8"
        raise refusal(f"{what}: {reason}") from error
    if type(found) is not dict:
        raise refusal(f"{what}: got {type(found).__name__}, expected an object")
    return found


def _require_shallow(text: bytes) -> None:
    """Counts brackets outside strings, before a parser that recurses sees them."""
    depth, inside, escaped = 0, False, False
    for byte in text:
        if inside:
            inside = escaped or byte != ord('"')
            escaped = not escaped and byte == ord("\\")
        elif byte == ord('"'):
            inside = True
        elif byte in b"[{":
            depth += 1
            if depth > DEPTH_MAX:
                raise _NotAcceptedError(f"nested deeper than {DEPTH_MAX}")
        elif byte in b"]}":
            depth -= 1


def _once_each(pairs: list[tuple[str, Any]]) -> Json:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _NotAcceptedError("a name stands twice in one object")
    return found


def _no_such_number(text: str) -> None:
    raise _NotAcceptedError(f"{text} is no JSON")


def _no_fraction(text: str) -> None:
    raise _NotAcceptedError(f"got the number {text[:20]}, expected a whole one")


def _small_number(text: str) -> int:
    if len(text) > 18:
        raise _NotAcceptedError("got a number of more than 18 digits")
    return int(text)
