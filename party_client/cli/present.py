"""How anything is shown to a person: plain text, tables, JSON, progress, errors.

Text goes through rich without markup, so that no text can pretend to be formatting, and with control
characters shown as what they are, because names and errors may come from other organisations. Colours and
progress appear at a terminal only (and never with NO_COLOR), and only there lines are broken to fit:
elsewhere a sentence is one line. Nothing here sees a row of anybody's data.
"""

from __future__ import annotations

import functools
import json
import os
import re
import sys
import textwrap
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from rich import filesize
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

WIDTH_WITHOUT_TERMINAL: Final = 110
_LABEL: Final = re.compile(r"\s*(?:[-\d]+\s+|\S+(?: \S+)*\s{2,})?")
"""What a line begins with: spaces, and a dash, a number, or a name with at least two spaces after it."""
_Command = TypeVar("_Command", bound=Callable[..., Any])


def console(*, stderr: bool = False) -> Console:
    """Where to print: standard output, or standard error for what is not the answer itself."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else WIDTH_WITHOUT_TERMINAL
    return Console(file=stream, markup=False, highlight=False, emoji=False, width=width)


def printable(text: str) -> str:
    """`text` with every character that could move the cursor or hide something written as an escape."""
    return "".join(
        character if character.isprintable() or character == "\n" else ascii(character)[1:-1]
        for character in text
    )


def say(out: Console, text: str, *, style: str = "", lead: str = "", lead_style: str = "") -> None:
    """Prints `lead` and `text`; at a terminal, lines are broken between words, below what they begin with."""
    shown = printable(lead + text)
    if out.is_terminal:
        shown = "\n".join(_fitted(line, out.width) for line in shown.split("\n"))
    made = Text(shown, style=style)
    made.stylize(lead_style, 0, len(lead))
    out.print(made, soft_wrap=True)


def _fitted(line: str, width: int) -> str:
    label = _LABEL.match(line)
    hanging = label.end() if label and label.end() <= width // 2 else len(line) - len(line.lstrip())
    if len(line[hanging:].split()) <= 2:  # such as a name and a digest, which stays whole to be copied
        return line
    return textwrap.fill(
        line,
        width,
        subsequent_indent=" " * hanging,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )


def counted(number: int, thing: str) -> str:
    """`1 row`, `3,000 rows`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def size(size_bytes: int) -> str:
    """`96 bytes`, `1.7 kB`, in powers of ten, as progress shows it."""
    return filesize.decimal(size_bytes)


def show_error(message: str, hint: str | None) -> None:
    """Two lines on standard error: what went wrong, and what to do next."""
    out = console(stderr=True)
    say(out, message, lead="error: ", lead_style="bold red")
    if hint:
        say(out, hint, lead="hint: ", lead_style="bold cyan")


def note(text: str) -> None:
    """One line on standard error that is not part of the answer."""
    say(console(stderr=True), text)


def warn(out: Console, warning: str | None) -> None:
    """What nobody must overlook, if there is any."""
    if warning:
        say(out, warning, style="bold yellow")


def json_option(command: _Command) -> _Command:
    """Adds `--json`, given to the command as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")(command)


def emit(as_json: bool, value: Any, render: Callable[[Console], None]) -> None:
    """The answer on standard output: `value` as JSON, or what `render` prints."""
    if as_json:
        click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=_plain))
    else:
        render(console())


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, whole: Collection[str] = ()) -> Table:
    """A table without frames that still reads well in a file or a mail. Cells are plain text.

    Cells of the columns named in `whole` are never broken.
    """
    made = Table(box=None, pad_edge=False)
    for column in columns:
        made.add_column(column, header_style="dim", overflow="fold", no_wrap=column in whole)
    for row in rows:
        made.add_row(*(Text(printable(cell)) for cell in row))
    return made


@contextmanager
def progress(
    description: str, *, total_bytes: int | None, as_json: bool = False
) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, moved by calling what is yielded with the number of further bytes.

    Without a terminal, or with `as_json`, nothing is shown and the calls do nothing.
    """
    if as_json or not sys.stderr.isatty():
        yield lambda _: None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(printable(description), total=total_bytes)
        yield functools.partial(bar.advance, task)


def time(value: datetime) -> str:
    """An aware time as people and machines read it: 2026-01-01 00:00:00 UTC."""
    return value.strftime("%Y-%m-%d %H:%M:%S UTC")


def _plain(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in JSON output")
