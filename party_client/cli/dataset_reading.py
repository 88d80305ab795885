"""How a party's own file is read: options that commands about data share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])


def reading_options(command: _Command) -> _Command:
    """Adds `--dataset`, `--delimiter`, `--null` and `--ignore-extra`."""
    for option in (
        click.option("--ignore-extra", is_flag=True, help="Leave out columns that are not in the agreement."),
        click.option(
            "--null",
            "nulls",
            multiple=True,
            metavar="TEXT",
            help='Unquoted text that means "no value", once or more; default: the empty cell.',
        ),
        click.option(
            "--delimiter", metavar="CHARACTER", help="Between the cells of a CSV file; default: a comma."
        ),
        click.option(
            "--dataset", "dataset_id", required=True, metavar="ID", help="Which dataset of the agreement."
        ),
    ):
        command = option(command)
    return command


def csv_settings(file: Path, delimiter: str | None, nulls: tuple[str, ...]) -> Any:
    """What was said about a CSV file; None when nothing was, so that the file's name decides."""
    from party_client.datasets import CsvSettings  # noqa: PLC0415 - pyarrow

    if delimiter is None and not nulls:
        return None
    if delimiter is not None and len(delimiter.encode()) != 1:
        raise click.UsageError("--delimiter: expected one ASCII character")
    usual = "\t" if file.suffix.lower() == ".tsv" else ","
    return CsvSettings(delimiter or usual, nulls or ("",))
