"""`concordat image verify`: builds the image again and says whether it is the one that was published.

Which build that is, is handed in. Exit status: 0 the same, 1 something differs, 2 wrong usage.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click

from enclave_compute.image.build import build_image
from enclave_compute.image.checkout import look_at, version_of
from enclave_compute.image.commands.build import commit_of, say, source_option
from enclave_compute.image.published import (
    Build,
    Difference,
    Rebuilt,
    conclusion,
    differences,
    inputs_of,
    read_measurements,
)

DIFFERENT: Final = 1


def verify_command_with(build: Build) -> click.Command:
    """The command, for a `build` of the image."""

    @click.command("verify")
    @click.argument("file", type=click.Path(path_type=Path), metavar="MEASUREMENTS")
    @source_option
    @click.option("--json", "as_json", is_flag=True, help="As JSON.")
    def command(file: Path, source: Path, as_json: bool) -> None:
        """Build the image again and compare it with published MEASUREMENTS.

        Says which registers and which inputs differ, and what that means. Who signed the file is not looked
        at: that is `concordat release verify`. Sign only what comes out the same here.

        \b
        Examples:
          concordat image verify measurements.json
          concordat image verify measurements.json --source checkout
        """
        stated = read_measurements(file)
        with tempfile.TemporaryDirectory(prefix="concordat-verify-") as folder:
            rebuilt = build(Path(folder, "rebuilt.eif"), source.absolute())
        found = differences(stated, rebuilt)
        if as_json:
            value = {
                "version": stated.version,
                "same": not found,
                "conclusion": conclusion(found),
                "differences": [asdict(difference) for difference in found],
            }
            click.echo(json.dumps(value, indent=2))
        else:
            _show(stated.version, found)
        if found:
            raise click.exceptions.Exit(DIFFERENT)

    return command


def build_again(path: Path, source: Path) -> Rebuilt:
    """Builds here, as `concordat image build` does."""
    inputs = inputs_of(source, commit=commit_of(look_at(source)))
    built = build_image(path, source_root=source, version=version_of(source), say=say)
    return Rebuilt(built.measurements, inputs)


verify_command = verify_command_with(build_again)


def _show(version: str, found: list[Difference]) -> None:
    click.echo(f"version {version}: {conclusion(found)}")
    for difference in found:
        click.echo(f"{difference.what} differs ({difference.meaning})")
        click.echo(f"  published  {difference.published or 'not there'}")
        click.echo(f"  built here {difference.built or 'not there'}")
