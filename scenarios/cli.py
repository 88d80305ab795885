"""`concordat scenario`: plays a joint computation on this machine, every role in processes of its own."""

from __future__ import annotations

import signal
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any, Never

import click
from rich.console import Console

from party_client.cli.present import console, emit, json_option
from scenarios.catalogue import SCENARIOS, Scenario
from scenarios.comparison import rows_of
from scenarios.hostile.command import play_hostile
from scenarios.hostile.presentation import NAME as HOSTILE
from scenarios.presentation import Telling
from scenarios.runner import Outcome, play
from scenarios.stage import Stage


@click.command(name="scenario")
@click.argument("name", type=click.Choice(sorted([*SCENARIOS, HOSTILE])))
@click.option(
    "--rows", type=click.IntRange(min=1), help="Rows of the large datasets; default: as its page says."
)
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Play in this folder, which must be empty or new, and leave everything there.",
)
@json_option
def command(*, name: str, rows: int | None, keep: Path | None, as_json: bool) -> None:
    """Play a joint computation on this machine, from making keys to checking the receipt.

    Every role has a home of its own and does everything by its own commands. The enclave is SIMULATED. The
    exit status is 0 only if the released result is exactly what pandas computes from the same files in clear.
    With hostile-coordinator it is 0 only if every treachery was refused as it should be.

    \b
    Example:
      concordat scenario flights --keep flights
    """
    signal.signal(signal.SIGTERM, _leave)
    if name == HOSTILE:
        if rows is not None:
            raise click.UsageError(f"{HOSTILE} has its own few rows; leave --rows away")
        with ExitStack() as held:
            play_hostile(_folder(keep, held), as_json=as_json)
        return
    scenario = SCENARIOS[name]
    with ExitStack() as held:
        folder = _folder(keep, held)
        stage = held.enter_context(Stage(folder, scenario.people))
        telling = Telling(Console(quiet=True) if as_json else console())
        held.callback(telling.interrupted)
        telling.opening(scenario)
        outcome = play(scenario, stage, telling, rows=rows)
        telling.closing(outcome)
    if as_json:
        emit(as_json, _facts(scenario, outcome, keep), lambda _: None)
    elif keep is not None:
        click.echo(f"Everything is in {folder}.")


def _folder(keep: Path | None, held: ExitStack) -> Path:
    if keep is None:
        return Path(held.enter_context(tempfile.TemporaryDirectory(prefix="concordat-scenario-")))
    if keep.exists() and any(keep.iterdir()):
        raise click.UsageError(f"{keep} is not empty; give a new folder with --keep")
    return keep.absolute()


def _leave(_number: int, _frame: FrameType | None) -> Never:
    """SIGTERM is Ctrl-C: the stage is left in order."""
    raise KeyboardInterrupt


def _facts(scenario: Scenario, outcome: Outcome, keep: Path | None) -> dict[str, Any]:
    columns = [str(name) for name in outcome.released.columns]
    return {
        "scenario": scenario.name,
        "simulated": True,
        "matches": True,  # nothing else comes to its end
        "noisy": outcome.is_noisy,
        "steps": [
            {
                "title": step.title,
                "duration_s": round(step.duration_s, 3),
                "notes": [{"who": note.who, "what": note.what} for note in step.notes],
            }
            for step in outcome.steps
        ],
        "rows": [dict(zip(columns, map(_plain, row), strict=True)) for row in rows_of(outcome.released)],
        "suppressed": list(outcome.suppressed),
        "folder": keep,
    }


def _plain(cell: Any) -> str | int | float | None:
    """Decimals as text, which loses no digit."""
    return cell if cell is None or isinstance(cell, str | int | float) else str(cell)
