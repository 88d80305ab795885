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
from scenarios.place import SIMULATED, Place, emulated
from scenarios.presentation import Telling
from scenarios.runner import Outcome, play
from scenarios.stage import Stage
from scenarios.tokens.acts import TOKENS, TokenActs


@click.command(name="scenario")
@click.argument("name", type=click.Choice(sorted([*SCENARIOS, TOKENS.name, HOSTILE])))
@click.option(
    "--rows", type=click.IntRange(min=1), help="Rows of the large datasets; default: as its page says."
)
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Play in this folder, which must be empty or new, and leave everything there.",
)
@click.option(
    "--image",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Boot this enclave image in the emulator, in place of a SIMULATED enclave.",
)
@click.option(
    "--emulator",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="CONCORDAT_EMULATOR",
    metavar="DIR",
    help="Folder of the emulator (make emulator); default: CONCORDAT_EMULATOR.",
)
@json_option
def command(
    *,
    name: str,
    rows: int | None,
    keep: Path | None,
    image: Path | None,
    emulator: Path | None,
    as_json: bool,
) -> None:
    """Play a joint computation on this machine, from making keys to checking the receipt.

    Every role has a home of its own and does everything by its own commands. The enclave is SIMULATED, or an
    image in an emulator that signs nothing. The exit status is 0 only if the released result is exactly what
    pandas computes from the same files in clear. With hostile-coordinator it is 0 only if every treachery was
    refused as it should be.

    \b
    Examples:
      concordat scenario flights --keep flights
      concordat scenario flights --image concordat.eif --emulator emulator
    """
    signal.signal(signal.SIGTERM, _leave)
    place = _place(image, emulator)
    if name == HOSTILE:
        if rows is not None or image is not None:
            raise click.UsageError(
                f"{HOSTILE} has its own few rows and enclaves; leave --rows and --image away"
            )
        with ExitStack() as held:
            play_hostile(_folder(keep, held), as_json=as_json)
        return
    scenario, kind = (TOKENS, TokenActs) if name == TOKENS.name else (SCENARIOS[name], None)
    with ExitStack() as held:
        folder = _folder(keep, held)
        stage = held.enter_context(Stage(folder, scenario.people, place=place))
        telling = Telling(Console(quiet=True) if as_json else console())
        held.callback(telling.interrupted)
        telling.opening(scenario, place)
        outcome = play(scenario, stage, telling, rows=rows, kind=kind)
        telling.closing(outcome)
    if as_json:
        emit(as_json, _facts(scenario, outcome, keep, place), lambda _: None)
    elif keep is not None:
        click.echo(f"Everything is in {folder}.")


def _folder(keep: Path | None, held: ExitStack) -> Path:
    if keep is None:
        return Path(held.enter_context(tempfile.TemporaryDirectory(prefix="concordat-scenario-")))
    if keep.exists() and any(keep.iterdir()):
        raise click.UsageError(f"{keep} is not empty; give a new folder with --keep")
    return keep.absolute()


def _place(image: Path | None, emulator: Path | None) -> Place:
    if image is None:
        return SIMULATED
    if emulator is None:
        raise click.UsageError(
            "--image needs --emulator DIR, or CONCORDAT_EMULATOR; `make emulator` makes one"
        )
    return emulated(image.absolute(), emulator.absolute())


def _leave(_number: int, _frame: FrameType | None) -> Never:
    """SIGTERM is Ctrl-C: the stage is left in order."""
    raise KeyboardInterrupt


def _facts(scenario: Scenario, outcome: Outcome, keep: Path | None, place: Place) -> dict[str, Any]:
    columns = [str(name) for name in outcome.released.columns]
    return {
        "scenario": scenario.name,
        "simulated": place.simulated,
        "unsigned_emulator": not place.simulated,
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
