"""A whole page around some content: one file that loads nothing, runs nothing and sends nothing.

The policy in it allows one thing, the style that stands in the page, by its digest; so a browser that meets
anything else there does not follow it, however it came in.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Final

from party_client.pages.markup import Child, Markup, element, join
from party_client.pages.style import STYLE

_STYLE_DIGEST: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY: Final = f"default-src 'none'; style-src 'sha256-{_STYLE_DIGEST}'; base-uri 'none'; form-action 'none'"


def page(title: str, *content: Child) -> str:
    """The page as text, in UTF-8 when it is written."""
    head = element(
        "head",
        None,
        element("meta", {"charset": "utf-8"}),
        element("meta", {"http-equiv": "Content-Security-Policy", "content": POLICY}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("meta", {"name": "referrer", "content": "no-referrer"}),
        element("meta", {"name": "color-scheme", "content": "light dark"}),
        element("title", None, title),
        element("style", None, Markup(STYLE)),
    )
    body = element("body", None, element("main", None, *content))
    return f"<!DOCTYPE html>\n{element('html', {'lang': 'en'}, head, body).text}\n"


def section(anchor: str, heading: str, *content: Child, level: int = 2) -> Markup:
    """A part of the page under a heading of `level`."""
    title = element(f"h{level}", {"id": anchor}, heading)
    return element("section", {"aria-labelledby": anchor, "class": f"level{level}"}, title, *content)


def bullets(sentences: Sequence[Child], kind: str = "") -> Markup:
    """A list; `kind` is a class of the style."""
    items = (element("li", None, sentence) for sentence in sentences)
    return element("ul", {"class": kind} if kind else None, *items)


def facts(rows: Sequence[tuple[str, Child]]) -> Markup:
    """Names and values, side by side where there is room."""
    pairs = (
        element("div", None, element("dt", None, name), element("dd", None, value)) for name, value in rows
    )
    return element("dl", {"class": "facts"}, *pairs)


def table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[Child]], kind: str = "") -> Markup:
    """A table whose rows begin with what they are about; it scrolls by itself where the screen is narrow."""
    head = element("tr", None, *(element("th", {"scope": "col"}, column) for column in columns))
    body = [
        element(
            "tr",
            None,
            element("th", {"scope": "row"}, row[0]),
            *(
                element("td", {"data-label": name}, element("div", None, cell))
                for name, cell in zip(columns[1:], row[1:], strict=True)
            ),
        )
        for row in rows
    ]
    made = element(
        "table",
        {"class": kind} if kind else None,
        element("caption", None, caption),
        element("thead", None, head),
        element("tbody", None, *body),
    )
    return element("div", {"class": "scroll", "role": "region", "aria-label": caption, "tabindex": 0}, made)


def figure(picture: Markup, caption: Child, label: str) -> Markup:
    """A picture with what it says in words; it scrolls by itself where the screen is narrow."""
    frame = element("div", {"class": "scroll", "role": "region", "aria-label": label, "tabindex": 0}, picture)
    return element("figure", None, frame, element("figcaption", None, caption))


def code(text: str) -> Markup:
    """A name or an expression as it stands in the agreement."""
    return element("code", None, text)


def listed(names: Sequence[str]) -> Markup:
    """Names with commas between."""
    parts: list[Child] = []
    for name in names:
        parts += [", ", code(name)] if parts else [code(name)]
    return join(parts)
