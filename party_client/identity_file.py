"""Whether a JSON file is an identity file of ours: the label, exactly the expected keys, well-formed values.

Reads files that came from another organisation, or that somebody edited. Nothing but `IdentityFileError`
leaves; no message shows a value that may be secret.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final, TypeAlias

from protos.formats.errors import ConcordatError

PUBLIC_LABEL: Final = "concordat/identity-public/v1"
PRIVATE_LABEL: Final = "concordat/identity-private/v1"
FILE_MAX_BYTES: Final = 16 * 1024

Fields: TypeAlias = dict[str, Any]


class IdentityFileError(ConcordatError):
    """A file is not an identity, or not the kind of identity that was asked for."""

    code = "identity/file"


def to_json(fields: Fields) -> bytes:
    """The file's bytes: indented, in the order given, ending in a newline."""
    return (json.dumps(fields, indent=2, ensure_ascii=False) + "\n").encode()


def fields_untrusted(data: bytes, *, path: Path, label: str) -> Fields:
    """The file's fields without the label, which must be `label`."""
    try:
        fields = json.loads(data, object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:
        raise IdentityFileError(
            f"{path}: is not an identity file (not JSON, or a key stands twice)"
        ) from error
    got = fields.get("label") if isinstance(fields, dict) else None
    if got == PRIVATE_LABEL and label == PUBLIC_LABEL:
        raise IdentityFileError(
            f"{path}: is a private key, expected a public identity",
            hint="give the file that ends in .pub, and never send this one to anybody",
        )
    if got == PUBLIC_LABEL and label == PRIVATE_LABEL:
        raise IdentityFileError(
            f"{path}: is a public identity, expected a private key", hint="give the file that ends in .key"
        )
    if got != label:
        raise IdentityFileError(
            f"{path}: got a file labelled {str(got)[:60]!r}, expected {label!r}",
            hint="private identities end in .key, public ones in .pub",
        )
    return {key: value for key, value in fields.items() if key != "label"}


def require_keys(fields: Fields, expected: Collection[str], *, path: Path) -> None:
    """Exactly the `expected` keys."""
    missing = [key for key in expected if key not in fields]
    unknown = [key[:40] for key in fields if key not in expected]
    if missing or unknown:
        raise IdentityFileError(f"{path}: missing keys {missing}, unknown keys {unknown}")


def text_field(fields: Fields, key: str, *, path: Path) -> str:
    """A text; what it may contain is checked where it is used."""
    value = fields[key]
    if not isinstance(value, str):
        raise IdentityFileError(f"{path}: {key} is not text")
    return value


def base64_field(fields: Fields, key: str, *, path: Path) -> bytes:
    """Bytes written in base64."""
    try:
        return base64.b64decode(text_field(fields, key, path=path), validate=True)
    except ValueError as error:
        raise IdentityFileError(f"{path}: {key} is not base64") from error


def hex_field(fields: Fields, key: str, *, length: int, path: Path) -> bytes:
    """Exactly `length` bytes in hexadecimal."""
    try:
        value = bytes.fromhex(text_field(fields, key, path=path))
    except ValueError as error:
        raise IdentityFileError(f"{path}: {key} is not hexadecimal") from error
    if len(value) != length:
        raise IdentityFileError(f"{path}: {key} has {len(value)} bytes, expected {length}")
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> Fields:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)
