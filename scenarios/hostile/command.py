"""What `concordat scenario hostile-coordinator` does: plays all of it, and fails if anything went through."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from party_client.cli.present import console, emit
from scenarios.errors import ScenarioError
from scenarios.hostile.play import prepared
from scenarios.hostile.presentation import facts, tell


class TreacheryError(ScenarioError):
    """A coordinator cheated, and was not refused as it should have been."""

    code = "scenario/treachery"


def play_hostile(folder: Path, *, as_json: bool) -> None:
    """Plays in `folder`. Raises `TreacheryError` unless everything was refused as it should be."""
    with prepared(folder) as play:
        attempts = tell(play.attempts(), Console(quiet=True) if as_json else console())
    if as_json:
        emit(as_json, facts(attempts), lambda _: None)
    surprises = [attempt.mischief.name for attempt in attempts if not attempt.as_expected]
    if surprises:
        raise TreacheryError(
            f"not refused as expected: {', '.join(surprises)}", hint="see the lines about them above"
        )
