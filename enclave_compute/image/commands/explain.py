"""`concordat image explain`: everything that stands in an image file, and which register covers what."""

from __future__ import annotations

import json
from pathlib import Path

import click

from enclave_compute.image.commands.image_file import image_argument, progress
from enclave_compute.image.eif import read_image
from enclave_compute.image.explanation import as_json, as_text


@click.command("explain")
@image_argument
@click.option("--json", "json_wanted", is_flag=True, help="Print JSON instead of text.")
def explain_command(file: Path, json_wanted: bool) -> None:
    """Show what is in an enclave image file, and what measures it.

    Sections with their SHA-256 (compare them with `sha256sum` of a kernel or ramdisk), the kernel's command
    line, the signature, the registers; and the metadata, which nothing measures.

    \b
    Example:
      concordat image explain concordat.eif
    """
    with progress(file, "reading") as advance:
        image = read_image(file, advance=advance)
    click.echo(json.dumps(as_json(image), indent=2) if json_wanted else as_text(image))
