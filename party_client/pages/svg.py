"""The shapes of pictures: text that is cut where its room ends, boxes, curves, and the colour of an owner.

Names are set in a font whose letters are equally wide, so what fits is counted in letters. A text that is cut
stands whole in the picture's description or in a `title` that a browser shows.
"""

from __future__ import annotations

from typing import Final

from party_client.pages.markup import Child, Markup, element, plain

LETTER_WIDTH: Final = 7.3
"""Of the 12 px fonts in which names stand."""
OWNER_COLOURS: Final = 8


def picture(
    width: float, height: float, *, title: str, description: str, kind: str, content: Child
) -> Markup:
    """An SVG that says what it shows to those who cannot see it."""
    box = {"viewBox": f"0 0 {width:g} {height:g}", "role": "img", "class": kind, "aria-label": title}
    return element("svg", box, element("title", None, title), element("desc", None, description), content)


def text(x: float, y: float, shown: str, *, kind: str = "", room: float = 0, anchor: str = "start") -> Markup:
    """A line of text; with `room`, cut to that width."""
    attributes: dict[str, str | float] = {"x": x, "y": y}
    if kind:
        attributes["class"] = kind
    if anchor != "start":
        attributes["text-anchor"] = anchor
    whole = " ".join(plain(shown).split())
    fitting = cut(whole, room) if room else whole
    if fitting == whole:
        return element("text", attributes, whole)
    return element("text", attributes, fitting, element("title", None, whole))


def cut(shown: str, room: float) -> str:
    """As much of `shown` as has room, with an ellipsis where it was cut."""
    letters = max(1, int(room / LETTER_WIDTH))
    return shown if len(shown) <= letters else f"{shown[: letters - 1]}…"


def box(x: float, y: float, width: float, height: float, *, kind: str, radius: float = 6) -> Markup:
    """A rectangle with round corners."""
    place: dict[str, str | float] = {"x": x, "y": y, "width": width, "height": height, "rx": radius}
    return element("rect", {**place, "class": kind})


def line(x1: float, y1: float, x2: float, y2: float, *, kind: str) -> Markup:
    """A straight line."""
    return element("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "class": kind})


def curve(x1: float, y1: float, x2: float, y2: float, *, kind: str) -> Markup:
    """A curve from left to right that leaves and arrives level."""
    bend = (x2 - x1) / 2
    path = f"M{x1:g} {y1:g} C{x1 + bend:g} {y1:g} {x2 - bend:g} {y2:g} {x2:g} {y2:g}"
    return element("path", {"d": path, "class": kind})


def dot(x: float, y: float, *, kind: str, radius: float = 3) -> Markup:
    """Where a curve leaves or arrives."""
    return element("circle", {"cx": x, "cy": y, "r": radius, "class": kind})


def group(kind: str, *content: Child) -> Markup:
    """Several shapes with one class, such as an owner's colour."""
    return element("g", {"class": kind}, *content)


def colour(number: int) -> str:
    """The class that gives the colour of the owner with this number; colours repeat after eight."""
    return f"o{number % OWNER_COLOURS}"
