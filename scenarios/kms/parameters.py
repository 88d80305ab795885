"""Reads the parameters of an operation, each with its type and bounds, from whoever signed the request.

A member that the operation does not have is refused by name: left unread, it could be the one that matters.
(AWS KMS API reference.)
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from scenarios.kms.errors import MarkerError, ParameterError

PLAINTEXT_MAX_BYTES: Final = 4096
CIPHERTEXT_MAX_BYTES: Final = 6144
DOCUMENT_MAX_BYTES: Final = 262_144
PUBLIC_KEY_MAX_BYTES: Final = 8192
CONTEXT_MAX_PAIRS: Final = 64
CONTEXT_MAX_CHARACTERS: Final = 8192
_LIST_MAX: Final = 100

Members = Mapping[str, Any]


def require_members(found: Any, known: set[str], *, where: str) -> Members:
    """`found` as an object that has nothing but `known`. Raises `ParameterError`."""
    if type(found) is not dict:
        raise ParameterError(f"{where}: expected an object")
    unknown = sorted(found.keys() - known)
    if unknown:
        raise ParameterError(f"{where}: {unknown[0][:80]!r} is unknown here")
    return found


def text(members: Members, name: str, *, max_characters: int = 2048) -> str:
    """A string of at least one character. Raises `ParameterError`."""
    found = optional_text(members, name, max_characters=max_characters)
    if not found:
        raise ParameterError(f"{name}: expected a string of 1 to {max_characters} characters")
    return found


def optional_text(members: Members, name: str, *, max_characters: int = 2048) -> str | None:
    """A string, or nothing. Raises `ParameterError`."""
    found = members.get(name)
    if found is not None and (type(found) is not str or len(found) > max_characters):
        raise ParameterError(f"{name}: expected a string of at most {max_characters} characters")
    return found


def flag(members: Members, name: str) -> bool:
    """True or false; false if absent. Raises `ParameterError`."""
    found = members.get(name, False)
    if type(found) is not bool:
        raise ParameterError(f"{name}: expected true or false")
    return found


def number(members: Members, name: str, *, least: int, most: int) -> int | None:
    """A whole number, or nothing. Raises `ParameterError`."""
    found = members.get(name)
    if found is not None and (type(found) is not int or not least <= found <= most):
        raise ParameterError(f"{name}: expected a whole number from {least} to {most}")
    return found


def texts(members: Members, name: str) -> tuple[str, ...]:
    """A list of strings, which may be absent. Raises `ParameterError`."""
    found = members.get(name, [])
    if type(found) is not list or len(found) > _LIST_MAX or not all(type(each) is str for each in found):
        raise ParameterError(f"{name}: expected a list of at most {_LIST_MAX} strings")
    return tuple(found)


def blob(members: Members, name: str, *, max_bytes: int) -> bytes:
    """Bytes, of which there is at least one, in base 64. Raises `ParameterError`."""
    found = members.get(name)
    try:
        decoded = base64.b64decode(found, validate=True) if type(found) is str else b""
    except (binascii.Error, ValueError) as error:
        raise ParameterError(f"{name}: expected base 64") from error
    if not 1 <= len(decoded) <= max_bytes:
        raise ParameterError(f"{name}: got {len(decoded)} bytes, expected 1 to {max_bytes} in base 64")
    return decoded


def encryption_context(members: Members, name: str = "EncryptionContext") -> dict[str, str]:
    """Names and values, all of them strings. Raises `ParameterError`.

    Two names that differ by case only are refused: condition keys do not tell them apart.
    """
    found = members.get(name, {})
    if type(found) is not dict or len(found) > CONTEXT_MAX_PAIRS:
        raise ParameterError(f"{name}: expected an object of at most {CONTEXT_MAX_PAIRS} pairs")
    if not all(key and type(value) is str for key, value in found.items()):
        raise ParameterError(f"{name}: expected strings")
    if sum(len(key) + len(value) for key, value in found.items()) > CONTEXT_MAX_CHARACTERS:
        raise ParameterError(f"{name}: expected at most {CONTEXT_MAX_CHARACTERS} characters in all")
    if len({key.lower() for key in found}) != len(found):
        raise ParameterError(f"{name}: two names differ by case only, which conditions cannot tell apart")
    return found


def page(members: Members, items: list[Any], *, usual: int = 100) -> tuple[list[Any], dict[str, Any]]:
    """The items that `Limit` and `Marker` ask for, and the members that say where the rest is."""
    limit = number(members, "Limit", least=1, most=1000) or usual
    marker = optional_text(members, "Marker")
    if marker is not None and not (
        marker.isascii() and marker.isdigit() and len(marker) < 10 and 0 < int(marker) < len(items)
    ):
        raise MarkerError("Marker: not one that this server gave")
    start = int(marker or 0)
    if start + limit < len(items):
        return items[start : start + limit], {"Truncated": True, "NextMarker": str(start + limit)}
    return items[start:], {"Truncated": False}
