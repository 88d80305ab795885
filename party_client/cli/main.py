"""The `concordat` command: finds the group that was asked for, runs it, and says plainly what went wrong.

Groups are entry points named in `concordat.commands`; each is imported only when it is called, so `--help`
stays fast and a group whose packages are not installed costs nothing until then. Help texts of groups are
read from their source without running it. Exit status: 0 done, 1 refused or failed, 2 wrong usage, 130
interrupted. An error is two lines on standard error, `error:` and `hint:`.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import errno
import os
import sys
from functools import cached_property
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from protos.formats.errors import ConcordatError

PROGRAM: Final = "concordat"
ENTRY_POINTS: Final = "concordat.commands"
TRACEBACK_VARIABLE: Final = "CONCORDAT_TRACEBACK"
REFUSED, USAGE, INTERRUPTED = 1, 2, 130
_EXTRAS: Final = {
    "coordinator": "coordinator",
    "enclave_compute": "party",  # of the enclave's folder only what looks into images, which a party does
    "party_client": "party",
    "scenarios": "scenarios",
}


class MissingExtraError(ConcordatError):
    """A group was called whose packages are not installed."""

    code = "command/missing-extra"


class CommandGroups(click.Group):
    """The groups of all roles, looked up by name."""

    @cached_property
    def _entries(self) -> dict[str, metadata.EntryPoint]:
        return {entry.name: entry for entry in metadata.entry_points(group=ENTRY_POINTS)}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Names of all installed groups; nothing is imported."""
        return sorted(self._entries)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        cmd_name: str,
    ) -> click.Command | None:
        """Imports the group. Raises `MissingExtraError` when a package that it needs is not installed."""
        entry = self._entries.get(cmd_name)
        return None if entry is None else _load(entry)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As in click, with a suggestion for a mistyped name."""
        name = args[0]
        if name not in self._entries and not name.startswith("-"):
            close = difflib.get_close_matches(name, self._entries, n=1)
            raise click.UsageError(
                f"there is no command {name!r}" + (f"; did you mean {close[0]!r}?" if close else ""), ctx
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One line for each group, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _first_line(self._entries[name])) for name in self.list_commands(ctx)])


@click.group(cls=CommandGroups, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="concordat", message="%(prog)s %(version)s")
def cli() -> None:
    """Agree on one computation with other organisations, and let an attested enclave carry it out.

    Nothing but the agreed result leaves; `concordat agreement check` says what that is.
    """


def main(arguments: list[str] | None = None) -> int:
    """Runs one command (default: this process's arguments) and returns its exit status."""
    try:
        status = cli.main(args=arguments, prog_name=PROGRAM, standalone_mode=False)
    except ConcordatError as error:
        _show_error(error.message, error.hint)
        # A command that keeps what it had done so far turns Ctrl-C into an error that says so.
        return INTERRUPTED if isinstance(error.__cause__, KeyboardInterrupt) else REFUSED
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else PROGRAM
        _show_error(error.format_message(), f"{command} --help")
        return USAGE
    except click.ClickException as error:
        _show_error(error.format_message(), None)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _show_error("interrupted", None)
        return INTERRUPTED
    except Exception as error:
        return _unexpected(error)
    return status if isinstance(status, int) else 0


def _show_error(message: str, hint: str | None) -> None:
    from party_client.cli.present import show_error  # noqa: PLC0415 - rich costs what `--help` need not pay

    show_error(message, hint)


def _unexpected(error: Exception) -> int:
    """An error that nobody foresaw. Its text may quote data, so it is shown only to those who ask for it."""
    if os.environ.get(TRACEBACK_VARIABLE):
        raise error
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        hint = "free some space and try again" if error.errno == errno.ENOSPC else None
        _show_error(f"{where}{error.strerror}", hint)
    else:
        _show_error(
            f"an error inside this program ({type(error).__name__})",
            f"set {TRACEBACK_VARIABLE}=1 to see where; what is then printed may quote your data",
        )
    return REFUSED


def _load(entry: metadata.EntryPoint) -> click.Command:
    try:
        command: Any = entry.load()
    except ModuleNotFoundError as error:
        package = entry.module.partition(".")[0]
        missing = (error.name or "").partition(".")[0]
        if missing in {*_EXTRAS, "protos", ""} or package not in _EXTRAS:
            raise
        extra = _EXTRAS[package]
        raise MissingExtraError(
            f"`{PROGRAM} {entry.name}` needs the {extra} extra ({missing} is not installed)",
            hint=f"pip install '{PROGRAM}[{extra}]'",
        ) from error
    if not isinstance(command, click.Command):
        raise TypeError(f"entry point {entry.name} is not a click command")
    return command


def _first_line(entry: metadata.EntryPoint) -> str:
    """The first line of the group's docstring, read from the source; empty when there is none to read."""
    top, *rest = entry.module.split(".")
    spec = find_spec(top)  # of a top-level package: imports nothing
    for folder in (spec.submodule_search_locations or []) if spec else []:
        module = Path(folder, *rest)
        for source in (module.with_suffix(".py"), module / "__init__.py"):
            if source.is_file():
                tree = ast.parse(source.read_bytes())
                names = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
                text = ast.get_docstring(names[entry.attr]) if entry.attr in names else None
                return (text or "").partition("\n")[0].rstrip(".")
    return ""


def program() -> NoReturn:
    """The `concordat` command: `main`, and then gone.

    Python's own way out takes the interpreter down while threads of native libraries may still be in it: one
    that reads ahead in a large file then ends the process with a crash, after everything has been said.
    """
    status = main()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # a pipe that nobody reads any more, or closed
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    program()
