"""Draws how quantities change with the number of runs: one small chart for each, side by side."""

from __future__ import annotations

from typing import Final

from party_client.leak_report.run_budget import RunBudget, Series
from party_client.pages import svg
from party_client.pages.markup import Child, Markup, element

_PANEL_WIDTH: Final = 250
_PANEL_GAP: Final = 35
_HEIGHT: Final = 180
_TOP, _FLOOR, _INSET = 42, 136, 10


def run_budget_picture(budget: RunBudget, query: str) -> Markup:
    """A chart for every series of `budget`."""
    step = _PANEL_WIDTH + _PANEL_GAP
    panels = [_panel(series, number * step) for number, series in enumerate(budget.series)]
    words = (
        f"{series.name}: {series.points[0][1]:,} before the first run, {series.points[-1][1]:,} after "
        f"{series.points[-1][0]:,}"
        for series in budget.series
    )
    return svg.picture(
        step * len(panels) - _PANEL_GAP,
        _HEIGHT,
        title=f"What runs of query {query} add up to",
        description=f"{'. '.join(words)}.",
        kind="middle",
        content=panels,
    )


def _panel(series: Series, left: float) -> list[Child]:
    last_run = max(1, series.points[-1][0])
    most = max(1, *(value for _, value in series.points))
    width = _PANEL_WIDTH - 2 * _INSET

    def place(run: int, value: int) -> tuple[float, float]:
        return left + _INSET + width * run / last_run, _FLOOR - (_FLOOR - _TOP) * value / most

    places = [place(*point) for point in series.points]
    path = "M" + " L".join(f"{x:g} {y:g}" for x, y in places)
    drawn: list[Child] = [
        svg.text(left, 14, series.name, kind="label"),
        svg.line(left, _FLOOR, left + _PANEL_WIDTH, _FLOOR, kind="axis"),
        element("path", {"d": path, "class": "curve"}),
        svg.text(left + _INSET, _FLOOR + 18, "0", kind="note", anchor="middle"),
        svg.text(left + _PANEL_WIDTH, _FLOOR + 18, f"{last_run:,} runs", kind="note", anchor="end"),
    ]
    if len(places) <= 13:
        drawn += [svg.dot(x, y, kind="point") for x, y in places]
    for (x, y), (run, value), anchor in (
        (places[0], series.points[0], "start"),
        (places[-1], series.points[-1], "end"),
    ):
        del run
        drawn.append(svg.text(x - 4 if anchor == "start" else x + 6, y - 9, f"{value:,}", anchor=anchor))
    return drawn
