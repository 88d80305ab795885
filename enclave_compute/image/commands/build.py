"""`concordat image build`: the image from its locked inputs, the same bytes for everybody."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from enclave_compute.image.build import build_image, reasons
from enclave_compute.image.checkout import Checkout, look_at, version_of
from enclave_compute.image.published import inputs_of, published, write_measurements

_STRAYS_NAMED = 3


def checkout() -> Path:
    """The folder that holds the packages this one was imported from."""
    return Path(__file__).resolve().parents[3]


source_option = click.option(
    "--source",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=checkout,
    metavar="DIR",
    help="A checkout of the repository; default: the one this program runs from.",
)


def say(step: str) -> None:
    """One line for a person, on standard error."""
    click.echo(f"{step} ...", err=True)


def commit_of(found: Checkout | None) -> str | None:
    """The commit that the image is of, if it is; otherwise whoever builds hears what is in the way."""
    if found is None or not found.strays:
        return None if found is None else found.commit
    more = len(found.strays) - _STRAYS_NAMED
    named = ", ".join(found.strays[:_STRAYS_NAMED]) + (f" and {more} more" if more > 0 else "")
    click.echo(f"note: not as in commit {found.commit[:12]}: {named}", err=True)
    return None


@click.command("build")
@source_option
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("concordat.eif"),
    show_default=True,
    metavar="FILE",
    help="Where the image file goes.",
)
@click.option(
    "--measurements",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a statement of what this version measures here, unsigned, for publication.",
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def build_command(*, source: Path, output: Path, measurements: Path | None, as_json: bool) -> None:
    """Build the enclave's image.

    Needs Linux on x86_64, a Debian mirror and a Python package index; every file that is fetched has to have
    the hash in its lock. The first time the kernel is compiled, which takes minutes. The same source gives
    the same bytes, whoever builds.

    \b
    Examples:
      concordat image build
      concordat image build --source checkout -o build/image/concordat.eif
      concordat image build --measurements measurements.json
    """
    source, version = source.absolute(), version_of(source)
    inputs = inputs_of(source, commit=commit_of(look_at(source)))
    built = build_image(output.absolute(), source_root=source, version=version, say=say)
    if measurements is not None:
        today = datetime.now(UTC).date().isoformat()
        stated = published(version, built.measurements, inputs, built_on=today)
        write_measurements(measurements, stated)
    shown: dict[str, Any] = {
        "file": str(output),
        "size_bytes": output.stat().st_size,
        "unpacked_bytes": built.unpacked_bytes,
        "kernel": built.kernel_version,
        **built.measurements.as_hex(),
    }
    why = reasons()
    if as_json:
        parts = {name: {"bytes": size, "reason": why[name]} for name, size in built.parts.items()}
        click.echo(json.dumps({**shown, "parts": parts}, indent=2))
        return
    for key, value in shown.items():
        click.echo(f"{key:14} {value}")
    click.echo("")
    for name, size in built.parts.items():
        click.echo(f"{name:22}{size:>12,}  {why[name]}")
