"""How every command is given an image file, and shows how far it has come with it.

Progress is for a person at a terminal, on standard error; elsewhere nothing is shown.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from enclave_compute.image.eif import ImageFileError

_Command = TypeVar("_Command", bound=Callable[..., Any])


def image_argument(command: _Command) -> _Command:
    """Adds FILE, given to the command as `file`."""
    return click.argument("file", type=click.Path(path_type=Path), metavar="FILE")(command)


@contextmanager
def progress(file: Path, doing: str, *, passes: int = 1) -> Iterator[Callable[[int], None]]:
    """A bar, moved by calling what is yielded with a number of further bytes; `passes` over the file."""
    try:
        length = max(1, file.stat().st_size * passes)
    except OSError as error:
        raise ImageFileError(
            f"{file}: cannot be read ({error.strerror})", hint="give the path of an image file"
        ) from error
    with click.progressbar(
        length=length, label=f"{doing} {file.name}", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:
        yield bar.update
