"""Reads the console blocks of a Markdown page and runs them as a reader would: in order, in one shell.

A fence tagged `console` stands directly below a comment that says what happens to it:

    <!-- test: NAME -->              its commands are run; each must succeed
    <!-- test: NAME, exits 1 -->     its commands are run; each must end with that status
    <!-- not run: REASON -->         it is for the reader only

Lines that start with `$ ` are commands (`> ` goes on with one). Lines below a command are what it prints:
compared as doctest does, so `...` stands for anything and runs of blanks are one. A command shown without
output may print what it likes.
"""

from __future__ import annotations

import contextlib
import doctest
import os
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_FENCE: Final = re.compile(
    r"(?:^<!-- (?P<note>[^\n]*?) -->\n)?^```console\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)
_TEST: Final = re.compile(r"test: (?P<name>[\w -]+?)(?:, exits (?P<status>\d+))?")
_NOT_RUN: Final = re.compile(r"not run: \S.*")
_COMPARE: Final = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
_END_OF_COMMAND: Final = "\x1e"


@dataclass(frozen=True)
class Command:
    """One command of a page: which block it is in, the status it must end with and what it must print."""

    block: str
    line: str
    status: int
    output: str


def commands(page: str) -> list[Command]:
    """The commands of `page` that are to be run. Raises `ValueError` for a block that does not say."""
    found: list[Command] = []
    for fence in _FENCE.finditer(page):
        note = fence["note"] or ""
        if _NOT_RUN.fullmatch(note):
            continue
        test = _TEST.fullmatch(note)
        if test is None:
            raise ValueError(f"expected `test: NAME` or `not run: REASON` above, got {note!r}:\n{fence[0]}")

        found += _commands_of_block(fence["body"], name=test["name"], status=int(test["status"] or 0))
    return found


def _commands_of_block(body: str, *, name: str, status: int) -> list[Command]:
    found: list[Command] = []
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        first, *rest = part.splitlines(keepends=True)
        while rest and (rest[0].startswith("> ") or rest[0] == ">\n"):
            first += rest.pop(0)[1:].removeprefix(" ")
        found.append(Command(name, first.rstrip("\n"), status, "".join(rest).rstrip() + "\n" if rest else ""))
    if not body.startswith("$ ") or not found:
        raise ValueError(f"block {name!r} must start with a command (`$ ...`)")
    return found


def require_page_works(page: str, *, folder: Path, timeout_s: float) -> None:
    """Runs the commands of `page` in `folder`. Raises `AssertionError` at the first that differs."""
    planned = commands(page)
    results = _run(planned, folder=folder, timeout_s=timeout_s)
    for command, (status, output) in zip(planned, results, strict=False):
        shown = f"block {command.block!r}: $ {command.line}\n{output}"
        assert status == command.status, f"got status {status}, expected {command.status}\n{shown}"
        if command.output:
            same = doctest.OutputChecker().check_output(command.output, output, _COMPARE)
            assert same, f"expected this output:\n{command.output}\ngot, in {shown}"
    assert len(results) == len(planned), f"did not end within {timeout_s} s: $ {planned[len(results)].line}"


def _run(planned: list[Command], *, folder: Path, timeout_s: float) -> list[tuple[int, str]]:
    """(status, output) of each command that ended, up to the first with another status than planned."""
    script = "".join(
        f"eval {shlex.quote(command.line)}\n"
        f"status=$?; printf '{_END_OF_COMMAND}%d{_END_OF_COMMAND}' $status\n"
        f"[ $status -eq {command.status} ] || exit 1\n"
        for command in planned
    )
    transcript = folder / ".transcript"
    with transcript.open("wb") as output:
        shell = subprocess.Popen(
            ["bash", "-c", script],
            cwd=folder,
            env=_readers_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            shell.wait(timeout=timeout_s)
        # What the page started in the background ends with the page.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGTERM)
        shell.wait(timeout=10)
    parts = transcript.read_text(encoding="utf-8", errors="replace").split(_END_OF_COMMAND)
    return [(int(status), text) for text, status in zip(parts[0::2], parts[1::2], strict=False)]


def _readers_environment(folder: Path) -> dict[str, str]:
    """A new user's shell with this project installed: its own home, nothing inherited."""
    scripts = Path(sys.executable).parent
    return {
        "PATH": f"{scripts}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "COLUMNS": "110",
        "NO_COLOR": "1",
    }
