"""Every command explains itself: whole sentences in lists, an example, and nothing wider than a terminal."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from party_client.cli.main import CommandGroups, _first_line, cli

WIDTH = 80
GROUPS = (
    *("agreement", "attestation", "coordinator", "dataset", "identity", "image", "job", "keys", "kms"),
    *("receipt", "release", "result", "tls"),
)


def commands(command: click.Command, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    """`command` and everything below it, each with its context."""
    yield command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from commands(child, click.Context(child, info_name=name, parent=context))


def options_of(command: click.Command) -> set[str]:
    """Every spelling of every option."""
    return {name for parameter in command.params for name in parameter.opts}


TOP = click.Context(cli, info_name="concordat", terminal_width=WIDTH)
EVERYTHING = {context.command_path: (command, context) for command, context in commands(cli, TOP)}
SINGLE = {path: found for path, found in EVERYTHING.items() if not isinstance(found[0], click.Group)}


def test_everything_is_looked_at() -> None:
    assert {f"concordat {name}" for name in GROUPS} <= set(EVERYTHING)


@pytest.mark.parametrize("path", EVERYTHING)
def test_help_fits_a_terminal(path: str) -> None:
    command, context = EVERYTHING[path]
    usage, *lines = command.get_help(context).splitlines()
    assert [line for line in [usage, *lines] if len(line) > WIDTH] == []
    assert [line for line in lines if line.endswith("...")] == []


def test_every_group_says_in_a_line_what_it_is_for() -> None:
    assert isinstance(cli, CommandGroups)
    assert [name for name, entry in cli._entries.items() if not _first_line(entry)] == []


@pytest.mark.parametrize("path", SINGLE)
def test_help_shows_an_example_that_can_be_typed(path: str) -> None:
    command, context = SINGLE[path]
    text = command.get_help(context)
    assert f"\n    {path}" in text, "no example"
    options = options_of(command)
    _, _, example = text.partition("Example")
    words = example.partition("Options:")[0].split()
    assert [word for word in words if word.startswith("-") and word != "-" and word not in options] == []


def test_a_root_of_trust_is_given_only_where_it_makes_a_difference() -> None:
    takes_root = {path for path, (command, _) in SINGLE.items() if "--root" in options_of(command)}
    verifies = {
        *("dataset deposits", "dataset send", "job budget", "job run", "job verify", "job witness"),
        *("attestation verify", "kms explain", "receipt verify", "result get"),
        *("keys public", "keys verify", "keys sign", "keys encrypt", "keys decrypt", "keys hmac"),
        "keys tokenise",
    }
    says_who_vouches = {"agreement check", "agreement sign"}
    assert takes_root == {f"concordat {name}" for name in verifies | says_who_vouches}


@pytest.mark.parametrize("path", SINGLE)
def test_options_are_explained_and_alike(path: str) -> None:
    command, _ = SINGLE[path]
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    assert [option.name for option in options if not option.help] == []
    folders = [
        option for option in options if isinstance(option.type, click.Path) and not option.type.file_okay
    ]
    assert [option.name for option in folders if option.metavar != "DIR"] == []
