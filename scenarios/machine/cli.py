"""`concordat simulator`: what the SIMULATED machine would measure, and the root its documents end at."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from enclave_compute.image.release import release_toml
from scenarios.machine.measure import measure
from scenarios.machine.pki import fingerprint, load_or_create_root, root_path

_RELEASE_NAME = "simulated-local"
_NOTICE = "SIMULATED: for this computer alone; whoever owns it can read the enclave's memory"


def default_state() -> Path:
    """`$CONCORDAT_HOME/simulator`, or `~/.concordat/simulator`."""
    home = os.environ.get("CONCORDAT_HOME")
    return (Path(home) if home else Path.home() / ".concordat") / "simulator"


def default_source() -> Path:
    """The folder that holds the packages this one was imported from."""
    return Path(__file__).resolve().parents[2]


_state_option = click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    default=default_state,
    metavar="DIR",
    help="Folder of the simulator's root and images; default: $CONCORDAT_HOME/simulator.",
)


@click.group("simulator")
def group() -> None:
    """The SIMULATED Nitro machine and KMS: for trying things out without AWS."""


@group.command("measure")
@_state_option
@click.option(
    "--source",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=default_source,
    metavar="DIR",
    help="Folder that holds enclave_compute and protos; default: the installed ones.",
)
@click.option("--name", default=_RELEASE_NAME, show_default=True, help="What to call the release.")
@click.option("--json", "form", flag_value="json", help="As JSON, with the path of the root.")
@click.option("--toml", "form", flag_value="toml", help="As a [[releases]] entry for an agreement.")
def measure_command(state: Path, source: Path, name: str, form: str | None) -> None:
    """Show the release that the enclave's files here amount to.

    \b
    Example:
      concordat simulator measure --toml > release.toml
    """
    release = release_of(state, source, name)
    if form == "json":
        shown = {**release, "root_pem": str(root_path(state)), "simulated": True}
        click.echo(json.dumps(shown, indent=2))
    elif form == "toml":
        click.echo(f"# {_NOTICE}\n{release_toml(release)}", nl=False)
    else:
        click.echo(_NOTICE)
        for key, value in {**release, "root_pem": root_path(state)}.items():
            click.echo(f"{key:12} {value}")


@group.command("root")
@_state_option
@click.option("--pem", is_flag=True, help="The certificate itself instead of its path.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, with its SHA-256.")
def root_command(state: Path, pem: bool, as_json: bool) -> None:
    """Show where the simulator's root certificate is.

    It is made on first use.

    \b
    Example:
      concordat simulator root --pem > simulated-root.pem
    """
    root, path = load_or_create_root(state), root_path(state)
    if as_json:
        shown = {"root_pem": str(path), "sha256": fingerprint(root.certificate).hex(), "simulated": True}
        click.echo(json.dumps(shown, indent=2))
    else:
        click.echo(path.read_text() if pem else str(path), nl=not pem)


def release_of(state: Path, source: Path, name: str) -> dict[str, str]:
    """Name, pcr0, pcr1, pcr2 and root_sha256 as an agreement names them, in lower-case hex."""
    root = load_or_create_root(state)
    measured = {key: value.hex() for key, value in vars(measure(source)).items()}
    return {"name": name, **measured, "root_sha256": fingerprint(root.certificate).hex()}
