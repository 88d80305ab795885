"""Options that several groups share: whose identity to use, and where this party keeps its state."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import click

from party_client import files
from party_client.identity import Identity, is_locked

PASSPHRASE_MAX_BYTES: Final = 1024
_Command = TypeVar("_Command", bound=Callable[..., Any])


def state_option(command: _Command) -> _Command:
    """Adds `--state`, given to the command as `state: Path`; the folder need not exist yet."""
    option = click.option(
        "--state",
        type=click.Path(file_okay=False, path_type=Path),
        envvar="CONCORDAT_HOME",
        default=lambda: Path.home() / ".concordat",
        metavar="DIR",
        help="Where unfinished uploads, release changes and what was seen of states are remembered.  "
        "[env: CONCORDAT_HOME; default: ~/.concordat]",
    )
    return option(command)


def passphrase_file_option(command: _Command) -> _Command:
    """Adds `--passphrase-file`, given to the command as `passphrase_file: Path | None`."""
    option = click.option(
        "--passphrase-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Read the passphrase of the identity from this file.",
    )
    return option(command)


def identity_option(command: _Command) -> _Command:
    """Adds `--identity KEY` and `--passphrase-file`; gives the command the loaded `identity: Identity`."""

    @functools.wraps(command)
    def with_identity(*args: Any, identity_file: Path, passphrase_file: Path | None, **options: Any) -> Any:
        return command(*args, identity=load_identity(identity_file, passphrase_file), **options)

    option = click.option(
        "--identity",
        "identity_file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        required=True,
        metavar="KEY",
        help="Your private identity (NAME.key).",
    )
    return cast(_Command, option(passphrase_file_option(with_identity)))


def load_identity(path: Path, passphrase_file: Path | None) -> Identity:
    """The identity in `path`; a locked one asks for its passphrase at a terminal if no file has it."""
    passphrase = None
    if is_locked(path):
        if passphrase_file is not None:
            passphrase = read_passphrase(passphrase_file)
        elif sys.stdin.isatty():
            passphrase = click.prompt(f"Passphrase of {path}", hide_input=True, err=True)
    return Identity.load(path, passphrase)


def read_passphrase(path: Path) -> str:
    """The first line of a file that only its owner can read."""
    data = files.read(path, max_bytes=PASSPHRASE_MAX_BYTES, private=True)
    try:
        return data.decode().splitlines()[0] if data else ""
    except UnicodeDecodeError as error:
        raise files.FileAccessError(f"{path}: the passphrase is not UTF-8 text") from error
