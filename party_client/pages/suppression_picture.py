"""Draws what a threshold does, on groups that are made up: which would leave, and which are held back.

An illustration, and it says so: the sizes are multiples of the threshold and come from no data. Every dataset
has a bar of its own in every group, because each owner's units are counted for themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from party_client.leak_report.report import Stake
from party_client.pages import svg
from party_client.pages.markup import Child, Markup, element

WIDTH: Final = 820
_HEIGHT: Final = 290
_LEFT, _RIGHT, _FLOOR, _CEILING = 54, 806, 206, 26
_GROUPS: Final = (3.0, 2.2, 1.8, 1.25, 1.0, 0.6, 0.25)
"""Sizes of groups, in thresholds."""
_NAMES: Final = "ABCDEFG"
_SHARES: Final = ((1.0,) * 7, (0.8, 0.7, 0.45, 0.9, 1.0, 1.4, 1.2), (0.6, 1.1, 0.9, 1.0, 1.1, 0.7, 0.9))
"""How many units the first, second and third dataset have in each, as a part of that."""
DRAWN_MOST: Final = len(_SHARES)
_TOP: Final = 3.2


def suppression_picture(stakes: Sequence[Stake], query: str, owners: Mapping[str, int]) -> Markup:
    """The picture for a query with these stakes; of more than three datasets, the first three are drawn."""
    shown = stakes[:DRAWN_MOST]
    required = stakes[0].required_units
    sizes = [[_units(required, number, bar) for bar in range(len(shown))] for number in range(len(_GROUPS))]
    leaving = [min(group) >= required for group in sizes]
    step = (_RIGHT - _LEFT) / len(_GROUPS)
    marks = [_mark(query, stake, owners) for stake in shown]
    drawn: list[Child] = [_patterns(query, shown, owners), _axis(required)]
    above: list[Child] = [svg.line(_LEFT, _y(1), _RIGHT, _y(1), kind="limit")]
    for number, (group, leaves) in enumerate(zip(sizes, leaving, strict=True)):
        middle = _LEFT + step * (number + 0.5)
        bars, numbers = _group(group, leaves, middle, required, marks)
        drawn += bars
        above += numbers
        drawn.append(svg.text(middle, _FLOOR + 20, f"group {_NAMES[number]}", anchor="middle"))
        verdict = "leaves" if leaves else "held back"
        kind = "label" if leaves else "label limit-text"
        drawn.append(svg.text(middle, _FLOOR + 38, verdict, kind=kind, anchor="middle"))
    held = ", ".join(_NAMES[number] for number, leaves in enumerate(leaving) if not leaves)
    return svg.picture(
        WIDTH,
        _HEIGHT,
        title=f"Illustration: groups of different size against the threshold of {required:,} units",
        description=f"Seven made-up groups. Held back: {held or 'none'}. All others leave.",
        kind="middle",
        content=[drawn, above, _legend(shown, owners)],
    )


def _units(required: int, number: int, bar: int) -> int:
    return max(1, round(required * _GROUPS[number] * _SHARES[bar][number]))


def _y(thresholds: float) -> float:
    return _FLOOR - (_FLOOR - _CEILING) * min(thresholds, _TOP) / _TOP


def _axis(required: int) -> list[Child]:
    return [
        svg.text(0, 12, "different units behind a row", kind="note"),
        svg.line(_LEFT, _FLOOR, _RIGHT, _FLOOR, kind="axis"),
        svg.text(_LEFT - 8, _FLOOR + 4, "0", kind="note", anchor="end"),
        svg.text(_LEFT - 8, _y(1) + 4, f"{required:,}", kind="label limit-text", anchor="end"),
    ]


def _group(
    sizes: Sequence[int], leaves: bool, middle: float, required: int, marks: Sequence[tuple[str, str]]
) -> tuple[list[Child], list[Child]]:
    """The bars of a group, and the numbers above them, which nothing may cover."""
    width, gap = 22.0, 5.0
    left = middle - (len(sizes) * (width + gap) - gap) / 2
    bars: list[Child] = []
    numbers: list[Child] = []
    for bar, (size, (kind, hatch)) in enumerate(zip(sizes, marks, strict=True)):
        x, top = left + bar * (width + gap), _y(size / required)
        place: dict[str, str | float] = {"x": x, "y": top, "width": width, "height": _FLOOR - top, "rx": 3}
        style = {"class": "solid"} if leaves else {"class": "held", "fill": f"url(#{hatch})"}
        bars.append(svg.group(kind, element("rect", {**place, **style})))
        numbers.append(svg.text(x + width / 2, top - 5, _short(size), kind="note number", anchor="middle"))
    return bars, numbers


def _short(units: int) -> str:
    return f"{units:,}" if units < 1_000 else f"{units / 1_000:.3g}k"


def _mark(query: str, stake: Stake, owners: Mapping[str, int]) -> tuple[str, str]:
    """(Class of the owner's colour, name of its hatching)."""
    return svg.colour(owners[stake.owner]), f"hatch-{query}-{stake.dataset}"


def _patterns(query: str, stakes: Sequence[Stake], owners: Mapping[str, int]) -> Markup:
    made = []
    for stake in stakes:
        kind, name = _mark(query, stake, owners)
        tile: dict[str, str | float] = {"id": name, "width": 6, "height": 6, "class": kind}
        stripe = svg.line(0, 0, 0, 6, kind="hatch")
        made.append(
            element(
                "pattern",
                {**tile, "patternUnits": "userSpaceOnUse", "patternTransform": "rotate(45)"},
                stripe,
            )
        )
    return element("defs", None, *made)


def _legend(stakes: Sequence[Stake], owners: Mapping[str, int]) -> list[Child]:
    drawn: list[Child] = []
    x = float(_LEFT)
    for stake in stakes:
        name = svg.cut(f"{stake.dataset}.{stake.unit} of {stake.owner}", 250)
        drawn.append(
            svg.group(svg.colour(owners[stake.owner]), svg.box(x, 262, 12, 12, kind="solid", radius=3))
        )
        drawn.append(svg.text(x + 18, 272, name, kind="note"))
        x += 30 + 6.6 * len(name)
    return drawn
