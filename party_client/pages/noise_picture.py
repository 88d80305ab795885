"""Draws how far off the figures of a query are under smaller and larger budgets: one small chart a column.

From the agreement alone. Charts share the axis of epsilon, in even steps of its logarithm, with the agreed
budget in the middle.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from party_client.cli.noise_text import figure
from party_client.leak_report.noise_preview import AGREED, BudgetChoice, NoisePreview
from party_client.pages import svg
from party_client.pages.markup import Child, Markup, element

DRAWN_MOST: Final = 6
_PER_LINE: Final = 3
_PANEL_WIDTH, _PANEL_HEIGHT, _GAP = 250, 178, 35
_TOP, _FLOOR, _INSET = 46, 134, 30
_MARKED: Final = (AGREED / 4, AGREED / 2, AGREED, AGREED * 2, AGREED * 4)


def noise_picture(found: NoisePreview) -> Markup:
    """A chart for each of the first columns with noise."""
    columns = found.agreed.columns[:DRAWN_MOST]
    panels = [
        _panel(
            found, number, (number % _PER_LINE) * (_PANEL_WIDTH + _GAP), number // _PER_LINE * _PANEL_HEIGHT
        )
        for number in range(len(columns))
    ]
    lines = math.ceil(len(columns) / _PER_LINE)
    words = (
        f"{column.column}: within {figure(column.half_width_95)} with the agreed budget" for column in columns
    )
    return svg.picture(
        _PER_LINE * (_PANEL_WIDTH + _GAP) - _GAP,
        lines * _PANEL_HEIGHT,
        title=f"Error of query {found.query} under smaller and larger budgets",
        description=f"{'. '.join(words)}. Half of every epsilon about doubles it.",
        kind="middle",
        content=panels,
    )


def _panel(found: NoisePreview, number: int, left: float, top: float) -> list[Child]:
    errors = {choice.factor: choice.columns[number].half_width_95 for choice in found.choices}
    most = max(errors.values()) or 1.0
    furthest = max(abs(math.log2(factor)) for factor in errors) or 1.0

    def place(factor: float) -> tuple[float, float]:
        x = left + _PANEL_WIDTH / 2 + (_PANEL_WIDTH / 2 - _INSET) * math.log2(factor) / furthest
        return x, top + _FLOOR - (_FLOOR - _TOP) * errors[factor] / most

    path = "M" + " L".join(f"{x:g} {y:g}" for x, y in map(place, errors))
    agreed_x, agreed_y = place(AGREED)
    drawn: list[Child] = [
        svg.text(left, top + 14, found.agreed.columns[number].column, kind="label", room=_PANEL_WIDTH),
        svg.line(left, top + _FLOOR, left + _PANEL_WIDTH, top + _FLOOR, kind="axis"),
        svg.line(agreed_x, top + _FLOOR, agreed_x, agreed_y, kind="limit"),
        element("path", {"d": path, "class": "curve"}),
    ]
    for choice in found.choices:
        if choice.factor in _MARKED:
            x, y = place(choice.factor)
            drawn += [
                svg.dot(x, y, kind="point"),
                svg.text(x, y - 8, f"± {_short(errors[choice.factor])}", kind="note number", anchor="middle"),
                svg.text(x, top + _FLOOR + 17, _epsilon(choice), kind="note", anchor="middle"),
            ]
    return drawn


def _short(value: float) -> str:
    """Three digits, and thousands, millions and so on as letters: there is little room."""
    for power, letter in ((9, "G"), (6, "M"), (3, "k")):
        if value >= 10**power:
            return f"{value / 10**power:.3g}{letter}" if value < 10 ** (power + 3) else f"{value:.2g}"
    return figure(value)


def _epsilon(choice: BudgetChoice) -> str:
    """The smallest epsilon, which decides how much noise there is when the deltas are alike."""
    return f"{min(cost.epsilon for cost in choice.costs):g}"


def picture_caption(found: NoisePreview, owners: Sequence[str]) -> str:
    """What the picture shows, in words."""
    whose = owners[0] if len(owners) == 1 else f"{', '.join(owners)}: the smallest of theirs is written"
    caption = (
        f"At least 95 of 100 figures are off by no more than this, for other values of epsilon ({whose}); "
        f"the dashed line is the agreed one. Averages are of groups of {found.rows:,} rows. Made from the "
        "agreement alone."
    )
    if len(found.agreed.columns) > DRAWN_MOST:
        caption += f" Here are the first {DRAWN_MOST} of {len(found.agreed.columns):,} columns."
    return caption
