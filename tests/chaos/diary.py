"""What a party's process saw and did, line by line in a file that its death does not take along.

A line is in the file as soon as it is noted: SIGKILL loses nothing that was written before.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

BEGUN: Final = "begun"
SENT: Final = "sent"
ACKNOWLEDGED: Final = "acknowledged"
ASKED: Final = "asked"
RELEASED: Final = "released"


@dataclass(frozen=True)
class Entry:
    """One line: what happened, to which upload or run, and with which number."""

    what: str
    subject: str
    number: int


class Diary:
    """An append-only file of entries. Several processes may write one after another."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path

    def note(self, what: str, subject: bytes, number: int = 0) -> None:
        """Adds a line, in one write."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, f"{what} {subject.hex()} {number}\n".encode())
        finally:
            os.close(descriptor)

    def entries(self) -> list[Entry]:
        """All whole lines so far."""
        if not self.path.exists():
            return []
        lines = self.path.read_text().splitlines(keepends=True)
        whole = [line.split() for line in lines if line.endswith("\n")]
        return [Entry(what, subject, int(number)) for what, subject, number in whole]

    def acknowledged(self) -> int:
        """Chunks of the upload begun last that the party knows to be stored; -1 before it began one."""
        found = -1
        for entry in self.entries():
            if entry.what in (BEGUN, ACKNOWLEDGED):
                found = entry.number
        return found

    def has(self, what: str) -> bool:
        """Whether there is such an entry."""
        return any(entry.what == what for entry in self.entries())


def faults(entries: list[Entry]) -> list[str]:
    """What must not have happened: acknowledged chunks that were lost, or were sent again."""
    found = []
    stored: dict[str, int] = {}
    for entry in entries:
        before = stored.get(entry.subject, 0)
        if entry.what in (BEGUN, ACKNOWLEDGED):
            if entry.number < before:
                found.append(f"{before} chunks were acknowledged, later only {entry.number} were there")
            stored[entry.subject] = max(before, entry.number)
        elif entry.what == SENT and entry.number < before:
            found.append(f"chunk {entry.number} was sent again although {before} had been acknowledged")
    return found


def resumptions(entries: list[Entry]) -> list[int]:
    """At which chunk each upload that was begun again went on, in order."""
    seen: set[str] = set()
    found = []
    for entry in entries:
        if entry.what == BEGUN:
            if entry.subject in seen:
                found.append(entry.number)
            seen.add(entry.subject)
    return found
