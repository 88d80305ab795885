"""What must not be there when a round is over: processes, sockets, spools, journals, half-written files."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final

from tests.chaos.premises import Premises, until

GONE_WITHIN_S: Final = 20.0
_STATE: Final = frozenset(
    {"lock", "consoles", "spool", "coordinator.sqlite", "coordinator.sqlite-shm", "coordinator.sqlite-wal"}
)


def leftovers(premises: Premises) -> list[str]:
    """Sentences about what was left behind; none if all is as it should be. All jobs are over by now."""
    return [*_processes(premises), *_files(premises), *_damage(premises)]


def _processes(premises: Premises) -> Iterator[str]:
    try:
        until(lambda: not premises.strangers(), "all processes end", within_s=GONE_WITHIN_S)
    except AssertionError:
        yield from (f"still running: {command}" for command in premises.strangers())


def _files(premises: Premises) -> Iterator[str]:
    unknown = {path.name for path in premises.state.iterdir()} - _STATE
    places = {
        "a file that nobody knows in the coordinator's state": unknown,
        "a spool of a job that is over": {path.name for path in premises.state.glob("spool/*")},
        "an enclave's folder": {path.name for path in premises.sockets.iterdir()},
        "a journal of an upload": {path.name for path in premises.folder.glob("*/state/uploads/*")},
        "a half-made image": {path.name for path in premises.simulator.glob("images/new-*")},
    }
    yield from (f"left behind, {what}: {name}" for what, names in places.items() for name in sorted(names))


def _damage(premises: Premises) -> Iterator[str]:
    database = premises.state / "coordinator.sqlite"
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        found = [row[0] for row in connection.execute("PRAGMA integrity_check")]
    finally:
        connection.close()
    if found != ["ok"]:
        yield f"the coordinator's state is damaged: {found}"
