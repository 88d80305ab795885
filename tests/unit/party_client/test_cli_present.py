"""Presentation: JSON that parses, tables that are text, progress that keeps quiet where nobody looks."""

from __future__ import annotations

import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.text import Text

from party_client.cli.present import (
    console,
    counted,
    emit,
    note,
    printable,
    progress,
    say,
    show_error,
    size,
    table,
    time,
)


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
    console().print(table(["name"], [["[bold]x[/bold]"], ["y\x1b[31m"], [":smile:"]]))
    shown = capsys.readouterr().out
    assert "[bold]x[/bold]" in shown
    assert "y\\x1b[31m" in shown
    assert ":smile:" in shown


def test_cells_that_are_to_be_compared_are_never_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    rows = [["weather_service", "2026-11-23 17:56:10 UTC", "nieh-spxg-qzl2-2tpk"]]
    console().print(table(["party", "signed", "fingerprint"], rows, whole={"fingerprint"}))
    shown = capsys.readouterr().out
    assert "nieh-spxg-qzl2-2tpk" in shown
    assert "2026-11-23 17:56:10 UTC" not in shown


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


DIGEST = "0123456789abcdef" * 6


def narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """From here on standard output and error of a terminal of 40 columns without colours."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    return stream


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            "a sentence that goes on for longer than it should",
            ["a sentence that goes on for longer than", "it should"],
        ),
        (
            "    - one of several bullets, with many words",
            ["    - one of several bullets, with many", "      words"],
        ),
        (
            "  runs on     some machine or other that is local",
            ["  runs on     some machine or other that", " " * 14 + "is local"],
        ),
        (f"  digest      {DIGEST}", [f"  digest      {DIGEST}"]),
        (f"the digest {DIGEST} is not whole", ["the digest", DIGEST, "is not whole"]),
        ("short\nlines", ["short", "lines"]),
    ],
    ids=["sentence", "bullet", "label", "digest", "digest in a sentence", "lines"],
)
def test_lines_fit_a_terminal_and_digests_stay_whole(
    monkeypatch: pytest.MonkeyPatch, text: str, lines: list[str]
) -> None:
    narrow = narrow_terminal(monkeypatch)
    say(console(), text)
    assert narrow.getvalue().splitlines() == lines


def test_errors_fit_a_terminal_and_are_two_lines_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    narrow = narrow_terminal(monkeypatch)
    message, hint = "something happened that is told at some length", "do something about it"
    show_error(message, hint)
    shown = Text.from_ansi(narrow.getvalue()).plain
    assert max(map(len, shown.splitlines())) <= 40
    assert " ".join(shown.split()) == f"error: {message} hint: {hint}"
    plain = io.StringIO()
    monkeypatch.setattr(sys, "stderr", plain)
    show_error(message, hint)
    assert plain.getvalue() == f"error: {message}\nhint: {hint}\n"


def test_numbers_have_words() -> None:
    assert [counted(number, "row") for number in (0, 1, 3000)] == ["0 rows", "1 row", "3,000 rows"]
    assert [size(size_bytes) for size_bytes in (1, 96, 1_700_000)] == ["1 byte", "96 bytes", "1.7 MB"]
