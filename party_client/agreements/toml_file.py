"""Reads a TOML file that a person wrote: its encoding, its syntax, and where in it a mistake is.

The file may come from another organisation; it is bounded and only parsed. Raises `AgreementFileError` for
what is not text, `AgreementSyntaxError` with line and column for what is not TOML 1.0.
"""

from __future__ import annotations

import codecs
import re
import tomllib
from pathlib import Path
from typing import Any, Final

from party_client import files
from party_client.agreements.errors import AgreementFileError, AgreementSyntaxError
from protos.formats import limits

_PLACE: Final = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")
_WIDE_MARKS: Final = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SAVE_AS_UTF_8: Final = 'save the file as "UTF-8" in your editor'
_SHOWN_CHARACTERS: Final = 80


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of the file at `path`, of at most `limits.AGREEMENT_MAX_BYTES`."""
    text = _text(files.read(path, max_bytes=limits.AGREEMENT_MAX_BYTES, private=False), path)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax_error(str(error), text, path) from error
    except ValueError as error:  # a number of thousands of digits
        raise AgreementSyntaxError(f"{path}: a value that cannot be read ({error})") from error
    except RecursionError as error:
        raise AgreementSyntaxError(f"{path}: nested too deeply to be read") from error


def _text(data: bytes, path: Path) -> str:
    if data.startswith(_WIDE_MARKS):
        raise AgreementFileError(f"{path}: is text in UTF-16 or UTF-32, expected UTF-8", hint=_SAVE_AS_UTF_8)
    # Some editors put a byte order mark in front of UTF-8 as well; it says nothing and is dropped.
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise AgreementFileError(
            f"{path}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8", hint=_SAVE_AS_UTF_8
        ) from error


def _syntax_error(complaint: str, text: str, path: Path) -> AgreementSyntaxError:
    place = _PLACE.search(complaint)
    if place is None or place["line"] is None:
        what = complaint[: place.start()] if place else complaint
        return AgreementSyntaxError(
            f"{path}, at its end: {what}", hint="look for a quote or bracket that is never closed"
        )
    line = int(place["line"])
    shown = text.splitlines()[line - 1].strip()[:_SHOWN_CHARACTERS] if line <= text.count("\n") + 1 else ""
    return AgreementSyntaxError(
        f"{path}, line {line}, column {place['column']}: {complaint[: place.start()]}",
        hint=f"that line is: {shown}" if shown else "that line is empty",
    )
