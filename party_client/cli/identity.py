"""`concordat identity`: make the keys of a party or an analyst, and show what to compare over the phone."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click
from rich.console import Console

from party_client import files
from party_client.cli.options import load_identity, passphrase_file_option, read_passphrase
from party_client.cli.present import emit, json_option, printable
from party_client.identity import Identity, PublicIdentity

PRIVATE_SUFFIX: Final = ".key"
PUBLIC_SUFFIX: Final = ".pub"


@click.group(name="identity")
def group() -> None:
    """Make and show the keys of a party or an analyst."""


@group.command()
@click.argument("id")
@click.option("--name", help="Name for people to read; default: ID.")
@click.option(
    "--out",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    metavar="DIR",
    help="Folder for the two files; default: this one.",
)
@passphrase_file_option
@json_option
def new(*, id: str, name: str | None, folder: Path, passphrase_file: Path | None, as_json: bool) -> None:
    """Make a new identity: ID.key (keep it) and ID.pub (give it away).

    ID is lower-case letters, digits and underscores, and stands in the agreement.

    \b
    Example:
      concordat identity new airline --name "Wright Airlines" --out keys
    """
    passphrase = None if passphrase_file is None else read_passphrase(passphrase_file)
    identity = Identity.generate(id, name if name is not None else id)
    private, public = folder / f"{id}{PRIVATE_SUFFIX}", folder / f"{id}{PUBLIC_SUFFIX}"
    files.make_folder(folder)
    files.require_absent(private, public)
    identity.save(private, passphrase)
    identity.public.save(public)
    facts = {**_facts(identity.public), "private_file": private, "public_file": public}

    def render(out: Console) -> None:
        _render(identity.public, out)
        locked = "locked with the passphrase" if passphrase is not None else "not locked"
        out.print(f"\nprivate      {private}  ({locked}; whoever has it can sign as you)", soft_wrap=True)
        out.print(f"public       {public}  (give it to the other parties)", soft_wrap=True)

    emit(as_json, facts, render)


@group.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@passphrase_file_option
@json_option
def show(*, file: Path, passphrase_file: Path | None, as_json: bool) -> None:
    """Show the public half of the identity in FILE (.pub or .key).

    Read the fingerprint to each other over the phone: a file that came by mail may have been exchanged.

    \b
    Example:
      concordat identity show keys/airline.pub
    """
    if file.suffix == PRIVATE_SUFFIX:
        public = load_identity(file, passphrase_file).public
    else:
        public = PublicIdentity.load(file)
    emit(as_json, _facts(public), lambda out: _render(public, out))


def _facts(public: PublicIdentity) -> dict[str, object]:
    return {
        "id": public.id,
        "name": public.name,
        "fingerprint": public.fingerprint(),
        "signing_key": public.signing_key,
        "receiving_key": public.receiving_key,
    }


def _render(public: PublicIdentity, out: Console) -> None:
    out.print(f"id           {public.id}")
    out.print(f"name         {printable(public.name)}", soft_wrap=True)
    out.print(f"fingerprint  {public.fingerprint()}", style="bold")
