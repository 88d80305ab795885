"""Presentation: JSON that parses, tables that are text, progress that keeps quiet where nobody looks."""

from __future__ import annotations

import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from party_client.cli.present import console, emit, note, printable, progress, table, time


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_json_or_text_but_not_both(capsys: pytest.CaptureFixture[str]) -> None:
    value = {
        "digest": b"\x01\xff",
        "at": datetime(2026, 1, 1, tzinfo=UTC),
        "file": Path("a/b"),
        "name": "Zoë",
    }
    emit(True, value, lambda out: out.print("never"))
    assert json.loads(capsys.readouterr().out) == {
        "digest": "01ff",
        "at": "2026-01-01T00:00:00+00:00",
        "file": "a/b",
        "name": "Zoë",
    }
    emit(False, value, lambda out: out.print("text"))
    assert capsys.readouterr().out == "text\n"


def test_json_of_an_unknown_kind_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError, match="set"):
        emit(True, {"a": {1}}, lambda _: None)


def test_table_cells_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    console().print(table(["name"], [["[bold]x[/bold]"], ["y\x1b[31m"], [":smile:"]], title="People"))
    shown = capsys.readouterr().out
    assert "[bold]x[/bold]" in shown
    assert "y\\x1b[31m" in shown
    assert ":smile:" in shown


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colours_at_a_terminal_unless_asked_not_to(
    monkeypatch: pytest.MonkeyPatch, no_color: str, coloured: bool
) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", no_color)
    console().print("x", style="red")
    assert ("\x1b[31m" in stream.getvalue()) == coloured


def test_progress_is_for_terminals(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress("sending", total_bytes=10) as advance:
        advance(5)
    assert capsys.readouterr() == ("", "")
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with progress("sending [flights]", total_bytes=10) as advance:
        advance(10)
    assert "sending [flights]" in stream.getvalue()
    quiet = Terminal()
    monkeypatch.setattr(sys, "stderr", quiet)
    with progress("sending", total_bytes=10, as_json=True) as advance:
        advance(10)
    assert quiet.getvalue() == ""


def test_notes_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    note("SIMULATED")
    assert capsys.readouterr() == ("", "SIMULATED\n")


def test_printable_keeps_lines_and_letters() -> None:
    assert printable("Zoë\nline\ttab\x07") == "Zoë\nline\\ttab\\x07"
    assert time(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) == "2026-01-02 03:04:05 UTC"
