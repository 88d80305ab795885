"""Every command that the pages show works as shown."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from tests.meta.console_blocks import commands, require_page_works
from tests.meta.repository import ROOT, files

PAGES = [path for path in files(".md") if "```console" in (ROOT / path).read_text(encoding="utf-8")]


def test_the_readme_shows_commands_that_are_run() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert commands(readme), "no block is marked `<!-- test: NAME -->`"


def on_a_free_port(page: str) -> str:
    """The page with its own port on this machine exchanged: somebody else may be listening there."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return re.sub(r"\b127\.0\.0\.1:7443\b", f"127.0.0.1:{free.getsockname()[1]}", page)


@pytest.mark.parametrize("path", PAGES, ids=str)
def test_page_works_as_shown(path: Path, tmp_path: Path) -> None:
    shown = (ROOT / path).read_text(encoding="utf-8")
    require_page_works(on_a_free_port(shown), folder=tmp_path, timeout_s=240)


def page(*lines: str, note: str = "<!-- test: example -->") -> str:
    return "\n".join([note, "```console", *lines, "```", ""])


@pytest.mark.parametrize(
    "text",
    [
        page("$ echo one; echo two", "one", "two"),
        page("$ echo version 1.2.3", "version ..."),
        page("$ mkdir here && cd here") + page("$ pwd", "...here"),
        page("$ echo a \\", "> b", "a b"),
        page("$ sh -c 'echo error: no >&2; exit 3'", "error: no", note="<!-- test: refused, exits 3 -->"),
        page("$ sleep 60 &", "$ echo started", "started"),
        page("$ no-such-command", note="<!-- not run: for the reader only -->"),
    ],
)
def test_page_that_tells_the_truth_is_accepted(text: str, tmp_path: Path) -> None:
    require_page_works(text, folder=tmp_path, timeout_s=10)


@pytest.mark.parametrize(
    "text",
    [
        page("$ echo one", "two"),
        page("$ false"),
        page("$ true", note="<!-- test: refused, exits 1 -->"),
        page("$ no-such-command"),
        page("$ exit 0", "$ echo never reached"),
    ],
)
def test_page_that_does_not_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        require_page_works(text, folder=tmp_path, timeout_s=10)


@pytest.mark.parametrize("note", ["", "<!-- tested -->", "<!-- not run: -->"])
def test_block_that_does_not_say_is_refused(note: str) -> None:
    with pytest.raises(ValueError, match="expected `test: NAME`"):
        commands(page("$ true", note=note))
