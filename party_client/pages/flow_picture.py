"""Draws one query from left to right: datasets, what is done with their columns, the threshold, who receives.

A line has the colour of the owner whose column it carries. Boxes in the middle stand in the order in which
the query works: what decides which rows count comes above what is made of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from party_client.leak_report.flow import Flow, FlowColumn, FlowDataset, FlowStep
from party_client.pages import svg
from party_client.pages.markup import Child, Markup, element

WIDTH: Final = 1060
_ROW: Final = 26
_HEAD: Final = 34
_GAP: Final = 22
_TOP: Final = 30
_DATA_X, _DATA_WIDTH = 1, 226
_STEP_X, _STEP_WIDTH = 316, 286
_GATE_X, _GATE_WIDTH = 656, 34
_OUT_X, _OUT_WIDTH = 744, 150
_TO_X, _TO_WIDTH = 946, 112
_HEADINGS: Final = {
    "opt_out": "Left out is whoever stands in",
    "join": "Rows are matched where",
    "filter": "Only rows count where",
    "group": "Rows are put in groups by",
    "aggregate": "Figures are made of each group",
    "listed": "Values are listed row by row",
}


def flow_picture(flow: Flow, query: str, owners: Mapping[str, int]) -> Markup:
    """The picture; `owners` gives every owner the number of its colour."""
    blocks = _blocks(flow)
    height = 2 * _TOP + max(
        _stacked([_HEAD + _ROW * (len(item.columns) + (item.others > 0)) for item in flow.datasets]),
        _stacked([_HEAD + _ROW * len(steps) for _, steps in blocks]),
        _HEAD + _ROW * len(flow.outputs),
        _ROW * 2 * len(flow.receivers),
    )
    left, columns = _datasets(flow, owners, height)
    middle, steps = _steps(blocks, height)
    right, outputs = _outputs(flow, height)
    colours = {item.dataset: svg.colour(owners[item.owner]) for item in flow.datasets}
    lines = [
        svg.group(
            colours[column.dataset],
            svg.curve(_DATA_X + _DATA_WIDTH, columns[column], _STEP_X, at, kind="edge"),
            svg.dot(_STEP_X, at, kind="dot"),
        )
        for step, at in steps.items()
        for column in step.columns
        if column in columns
    ]
    leaving = [
        svg.group(
            _one_colour(step, colours),
            svg.curve(_STEP_X + _STEP_WIDTH, at, _GATE_X, outputs[step.output], kind="edge"),
            svg.line(_GATE_X, outputs[step.output], _OUT_X, outputs[step.output], kind="edge"),
            svg.dot(_OUT_X, outputs[step.output], kind="dot"),
        )
        for step, at in steps.items()
        if step.output
    ]
    return svg.picture(
        WIDTH,
        height,
        title=f"Where columns flow in query {query}",
        description=_in_words(flow),
        kind="wide",
        content=[_lanes(), lines, leaving, left, middle, _gate(flow, outputs), right],
    )


def _blocks(flow: Flow) -> list[tuple[str, list[FlowStep]]]:
    """Steps of one kind stand in one box; the last two make the result."""
    order = ("opt_out", "join", "filter", "group", "aggregate", "listed")
    kinds = dict.fromkeys(step.kind for step in flow.steps)
    others = [kind for kind in kinds if kind not in order]
    wanted = [*(kind for kind in order[:3] if kind in kinds), *others, *(k for k in order[3:] if k in kinds)]
    return [(kind, [step for step in flow.steps if step.kind == kind]) for kind in wanted]


def _stacked(heights: list[int]) -> int:
    return sum(heights) + _GAP * (len(heights) - 1)


def _lanes() -> list[Markup]:
    names = ((_DATA_X, "DATA OF EACH OWNER"), (_STEP_X, "INSIDE THE ENCLAVE"), (_OUT_X, "RESULT"))
    return [svg.text(x, 12, name, kind="note") for x, name in (*names, (_TO_X, "RECEIVED BY"))]


def _datasets(
    flow: Flow, owners: Mapping[str, int], height: int
) -> tuple[list[Markup], dict[FlowColumn, float]]:
    """The boxes of the datasets, and the height of every column in them."""
    heights = [_HEAD + _ROW * (len(item.columns) + (item.others > 0)) for item in flow.datasets]
    at = (height - _stacked(heights)) / 2
    drawn: list[Markup] = []
    places: dict[FlowColumn, float] = {}
    for item, size in zip(flow.datasets, heights, strict=True):
        rows = [_HEAD + _ROW * (number + 0.5) for number in range(len(item.columns))]
        places |= {
            FlowColumn(item.dataset, name): at + row for name, row in zip(item.columns, rows, strict=True)
        }
        drawn.append(svg.group(svg.colour(owners[item.owner]), _dataset(item, at, size)))
        at += size + _GAP
    return drawn, places


def _dataset(item: FlowDataset, at: float, size: int) -> list[Child]:
    room = _DATA_WIDTH - 24
    shapes: list[Child] = [
        svg.box(_DATA_X, at, _DATA_WIDTH, size, kind="box"),
        svg.box(_DATA_X, at, 5, size, kind="solid", radius=2.5),
        svg.text(_DATA_X + 16, at + 21, f"{item.owner}: {item.dataset}", kind="label", room=room),
    ]
    for number, name in enumerate(item.columns):
        y = at + _HEAD + _ROW * (number + 0.5)
        shapes.append(svg.line(_DATA_X + 5, y - _ROW / 2, _DATA_X + _DATA_WIDTH, y - _ROW / 2, kind="rule"))
        is_unit = name == item.unit
        shapes.append(svg.text(_DATA_X + 16, y + 4, name, room=room - 52 * is_unit))
        if is_unit:
            shapes.append(svg.text(_DATA_X + _DATA_WIDTH - 10, y + 4, "unit", kind="note", anchor="end"))
        shapes.append(svg.dot(_DATA_X + _DATA_WIDTH, y, kind="dot"))
    if item.others:
        unused = f"and {item.others:,} more, not used here"
        shapes.append(svg.text(_DATA_X + 16, at + size - 9, unused, kind="note"))
    return shapes


def _steps(
    blocks: list[tuple[str, list[FlowStep]]], height: int
) -> tuple[list[Child], dict[FlowStep, float]]:
    heights = [_HEAD + _ROW * len(steps) for _, steps in blocks]
    at = (height - _stacked(heights)) / 2
    drawn: list[Child] = []
    places = {}
    for number, ((kind, steps), size) in enumerate(zip(blocks, heights, strict=True)):
        heading = _HEADINGS.get(kind, f"On the way: used for {kind}")
        drawn += [
            svg.box(_STEP_X, at, _STEP_WIDTH, size, kind="box"),
            svg.box(_STEP_X + 1, at + 1, _STEP_WIDTH - 2, _HEAD - 6, kind="band", radius=5),
            svg.text(_STEP_X + 12, at + 20, heading, kind="label"),
        ]
        for row, step in enumerate(steps):
            y = at + _HEAD + _ROW * (row + 0.5)
            places[step] = y
            drawn.append(svg.text(_STEP_X + 12, y + 2, step.text, room=_STEP_WIDTH - 20))
        if number + 1 < len(blocks):
            x = _STEP_X + _STEP_WIDTH / 2
            drawn += [svg.line(x, at + size, x, at + size + _GAP, kind="then")]
        at += size + _GAP
    return drawn, places


def _outputs(flow: Flow, height: int) -> tuple[list[Child], dict[str, float]]:
    names = [output.partition(" ")[0] for output in flow.outputs]
    size = _HEAD + _ROW * len(names)
    at = (height - size) / 2
    places = {name: at + _HEAD + _ROW * (number + 0.5) for number, name in enumerate(names)}
    drawn: list[Child] = [
        svg.box(_OUT_X, at, _OUT_WIDTH, size, kind="box"),
        svg.text(_OUT_X + 14, at + 21, _shape(flow), kind="label"),
    ]
    for name, y in places.items():
        drawn += [
            svg.line(_OUT_X, y - _ROW / 2, _OUT_X + _OUT_WIDTH, y - _ROW / 2, kind="rule"),
            svg.text(_OUT_X + 14, y + 4, name, room=_OUT_WIDTH - 22),
        ]
    for number, receiver in enumerate(flow.receivers):
        y = height / 2 + _ROW * 1.6 * (number - (len(flow.receivers) - 1) / 2)
        drawn += [
            svg.curve(_OUT_X + _OUT_WIDTH, height / 2, _TO_X, y, kind="edge"),
            svg.box(_TO_X, y - 15, _TO_WIDTH, 30, kind="box", radius=15),
            svg.text(_TO_X + _TO_WIDTH / 2, y + 4, receiver, room=_TO_WIDTH - 16, anchor="middle"),
        ]
    return drawn, places


def _shape(flow: Flow) -> str:
    kinds = {step.kind for step in flow.steps}
    return "A list" if "listed" in kinds else "One row per group" if "group" in kinds else "One row"


def _one_colour(step: FlowStep, colours: Mapping[str, str]) -> str:
    """The colour of the owner whose columns alone make an output; none where several do, or none."""
    owners = {colours[column.dataset] for column in step.columns}
    return owners.pop() if len(owners) == 1 else "mixed"


def _gate(flow: Flow, outputs: Mapping[str, float]) -> list[Child]:
    first, last = min(outputs.values()), max(outputs.values())
    size = max(last - first + 60, 210)
    middle = (first + last) / 2
    x = _GATE_X + _GATE_WIDTH / 2
    turned = element(
        "g",
        {"transform": f"rotate(-90 {x:g} {middle:g})"},
        svg.text(x, middle + 4, flow.gate, kind="label", anchor="middle"),
    )
    return [svg.box(_GATE_X, middle - size / 2, _GATE_WIDTH, size, kind="gate", radius=17), turned]


def _in_words(flow: Flow) -> str:
    steps = (
        f"{_HEADINGS.get(step.kind, step.kind)}: {step.text}"
        + (f", which becomes {step.output}" if step.output else "")
        for step in flow.steps
    )
    return f"{'. '.join(steps)}. {flow.passing} The result goes to {', '.join(flow.receivers)}."
