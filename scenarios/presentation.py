"""How a scenario looks while it is played: calm at a terminal, plain in a file.

Text goes through rich without markup. What kind of enclave it was
stands where somebody could otherwise take this for evidence.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pandas as pd
from rich.console import Console
from rich.padding import Padding
from rich.status import Status
from rich.table import Table
from rich.text import Text

from scenarios.catalogue import Scenario
from scenarios.place import Place
from scenarios.runner import Outcome, Step

_INDENT = 4


class Telling:
    """An observer that tells people step by step."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._number = 0
        self._status: Status | None = None

    def opening(self, scenario: Scenario, place: Place) -> None:
        """Who asks what, and what this is not."""
        self._out.print(Text.assemble((scenario.name, "bold"), f"  {scenario.question}"))
        self._out.print(
            Text.assemble(
                (f"{place.label}  ", "bold yellow"),
                place.notice,
            )
        )

    def begins(self, title: str) -> None:
        """Shows what is going on, at a terminal."""
        self._number += 1
        self._out.print()
        self._status = self._out.status(Text(title, style="dim"))
        self._status.start()

    def ends(self, step: Step) -> None:
        """Says what was found out, and how long it took."""
        self.interrupted()
        heading = Table.grid(expand=True)
        heading.add_column()
        heading.add_column(justify="right", style="dim")
        heading.add_row(Text(f"{self._number:2}  {step.title}", style="bold"), f"{step.duration_s:.1f} s")
        self._out.print(heading)
        self._indented(_grid((note.who, note.what) for note in step.notes))

    def interrupted(self) -> None:
        """Takes away what `begins` shows."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def closing(self, outcome: Outcome) -> None:
        """The released rows, and what was held back."""
        self._out.print()
        self._indented(result_table(outcome.released))
        self._out.print()
        self._indented(_grid(("held back", rule) for rule in outcome.suppressed))
        self._out.print()
        total_s = sum(step.duration_s for step in outcome.steps)
        said = (
            "What was released is as close to what pandas computes in clear as its noise allows. "
            if outcome.is_noisy
            else "What was released is exactly what pandas computes in clear. "
        )
        self._out.print(
            Text.assemble(
                (said, "bold green"),
                (f"{total_s:.1f} s in all.", "dim"),
            )
        )

    def _indented(self, shown: Table) -> None:
        self._out.print(Padding(shown, (0, 0, 0, _INDENT), expand=False))


def _grid(rows: Iterable[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="cyan", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, text in rows:
        grid.add_row(label, Text(text))
    return grid


def result_table(table: pd.DataFrame) -> Table:
    """`table` for people: numbers to the right, a dash where there is no value."""
    shown = Table(box=None, pad_edge=False, header_style="dim")
    for name in table.columns:
        is_number = all(isinstance(cell, int | float | Decimal) for cell in table[name].dropna().tolist())
        shown.add_column(str(name), justify="right" if is_number else "left")
    for row in table.itertuples(index=False):
        shown.add_row(*map(_cell, row))
    return shown


def _cell(value: Any) -> Text:
    if pd.isna(value):
        return Text("-", style="dim")
    if isinstance(value, bool):
        return Text("true" if value else "false")
    if isinstance(value, float):
        return Text(f"{value:,.4f}")
    return Text(str(value) if isinstance(value, str) else f"{value:,}")
