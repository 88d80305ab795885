"""Writes HTML and SVG elements: the one place where angle brackets are made, so that no text can make any.

Whatever is not `Markup` is text from anybody and is escaped: as content, and in every attribute. Characters
that could hide or reorder what a person reads are shown as what they are. Names of elements and attributes
are the program's own; a wrong one is a programming error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Final, TypeAlias

from party_client.cli.present import printable

_NAME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9:-]*")
_HANDLER: Final = re.compile(r"on|style$|src|srcset$|xlink:", re.IGNORECASE)
_VOID: Final = frozenset({"br", "hr", "meta"})


@dataclass(frozen=True)
class Markup:
    """Text that has been written by `element`, `join` or the program itself, and goes out as it is."""

    text: str


Child: TypeAlias = "Markup | str | Iterable[Child]"
Attributes: TypeAlias = Mapping[str, str | int | float]


def element(name: str, attributes: Attributes | None = None, *children: Child) -> Markup:
    """`<name …>children</name>`, everything escaped that is not `Markup`."""
    _require_name(name)
    written = "".join(_attribute(key, value) for key, value in (attributes or {}).items())
    if name in _VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{join(children).text}</{name}>")


def join(children: Iterable[Child]) -> Markup:
    """All children one after another."""
    return Markup("".join(map(_text, children)))


def plain(text: str) -> str:
    """`text` with whatever moves a cursor, hides or reorders shown as an escape."""
    return printable(text)


def _text(child: Child) -> str:
    if isinstance(child, Markup):
        return child.text
    if isinstance(child, str):
        return escape(plain(child))
    return join(child).text


def _attribute(name: str, value: str | float) -> str:
    _require_name(name)
    if _HANDLER.match(name):
        raise ValueError(f"attribute {name} could run or load something, so no page has it")
    shown = f"{value:g}" if isinstance(value, float) else str(value)
    return f' {name}="{escape(plain(shown))}"'


def _require_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of an element or attribute")
