"""How a command reaches the coordinator: options shared by all.

The coordinator is trusted by nobody. TLS to it protects metadata and availability; data is sealed to a
verified enclave before it leaves, whatever stands here. Raises `click.UsageError` for options that do not fit
together, and the transport's errors.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from protos.formats.identifiers import require_slug

if TYPE_CHECKING:  # gRPC is imported when something is sent
    from party_client.transport import Coordinator

_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class Connection:
    """What the shared options said. Nothing has been opened yet."""

    address: str
    """HOST:PORT."""
    tls: Path | None
    """Folder with ca.pem, NAME.pem and NAME.key.pem; None with `plaintext`."""
    name: str | None
    """As whom to connect (`--as`); None: as the identity that the command uses."""
    plaintext: bool


def connect(connection: Connection, *, identity_id: str | None = None) -> Coordinator:
    """The coordinator to talk to, as `--as` says or else as `identity_id`; a context manager."""
    from party_client.transport import Coordinator  # noqa: PLC0415 - see above

    if connection.tls is None:
        return Coordinator.in_plaintext(connection.address)
    name = connection.name or identity_id
    if name is None:
        raise click.UsageError("--tls needs --as NAME here: whose certificate in that folder is to be used")
    return Coordinator.over_tls(connection.address, connection.tls, require_slug(name, what="--as"))


def connection_options(command: _Command) -> _Command:
    """Adds the options of a command that talks to the coordinator; gives it `connection: Connection`."""

    @functools.wraps(command)
    def with_connection(
        *args: Any,
        address: str,
        tls: Path | None,
        name: str | None,
        plaintext: bool,
        **options: Any,
    ) -> Any:
        if plaintext == (tls is not None):
            raise click.UsageError("give either --tls DIR or --plaintext (the latter on this machine only)")
        connection = Connection(address, tls, name, plaintext)
        return command(*args, connection=connection, **options)

    decorated: Any = with_connection
    for option in (
        click.option("--plaintext", is_flag=True, help="No TLS; for a coordinator on this machine only."),
        click.option(
            "--as",
            "name",
            metavar="NAME",
            help="Whose certificate to use; default: that of the identity, or of the party that approves.",
        ),
        click.option(
            "--tls",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            envvar="CONCORDAT_TLS",
            metavar="DIR",
            help="Folder with ca.pem, NAME.pem and NAME.key.pem.  [env: CONCORDAT_TLS]",
        ),
        click.option(
            "--coordinator",
            "address",
            envvar="CONCORDAT_COORDINATOR",
            required=True,
            metavar="HOST:PORT",
            help="Where the coordinator listens.  [env: CONCORDAT_COORDINATOR]",
        ),
    ):
        decorated = option(decorated)
    return cast(_Command, decorated)
