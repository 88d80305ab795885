"""`concordat tls`: certificates for trying things out, and for machines of one's own."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console

from party_client.cli.present import emit, json_option
from party_client.tls import make_development_certificates


@click.group(name="tls")
def group() -> None:
    """Make certificates for the connection to a coordinator."""


@group.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), metavar="DIR")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="HOST",
    help="Another name or IP address of the coordinator; once for each.",
)
@json_option
def dev(*, folder: Path, names: tuple[str, ...], hosts: tuple[str, ...], as_json: bool) -> None:
    """Make a certificate and a key in DIR for each NAME.

    Names are the ids of parties, analysts and operators.
    The first time, DIR also gets an authority that vouches for them and the certificate of the server, called
    `coordinator`. Later names are added under the same authority. Nothing is overwritten.

    \b
    Example:
      concordat tls dev tls airline weather_service analyst
    """
    written = make_development_certificates(folder, names, hosts=hosts, now=datetime.now(UTC))

    def render(out: Console) -> None:
        for path in written:
            secret = "  (keep it private)" if path.name.endswith(".key.pem") else ""
            out.print(f"{path}{secret}", soft_wrap=True)

    emit(as_json, {"written": written}, render)
