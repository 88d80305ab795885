"""`concordat image measure`: the registers of an image, worked out from its file alone."""

from __future__ import annotations

import json
from pathlib import Path

import click

from enclave_compute.image.commands.image_file import image_argument, progress
from enclave_compute.image.eif import read_image
from enclave_compute.image.release import release_toml
from protos.formats.participants import FINGERPRINT_BYTES
from protos.release.roots import AWS_NITRO_ROOT_G1_SHA256, UNSIGNED_EMULATOR_SHA256


def _fingerprint(_: click.Context, __: click.Parameter, value: str) -> str:
    """64 hexadecimal digits, colons between them or not, as lower case."""
    digits = value.replace(":", "").lower()
    try:
        if len(bytes.fromhex(digits)) == FINGERPRINT_BYTES:
            return digits
    except ValueError:
        pass
    raise click.BadParameter(f"expected {FINGERPRINT_BYTES} bytes as hexadecimal digits")


@click.command("measure")
@image_argument
@click.option("--name", help="What to call the release; default: the file's name without its ending.")
@click.option(
    "--root-sha256",
    default=AWS_NITRO_ROOT_G1_SHA256.hex(),
    callback=_fingerprint,
    metavar="HEX",
    help="Fingerprint of the root its documents will end at; default: AWS's Nitro root G1.",
)
@click.option(
    "--unsafe-emulator",
    is_flag=True,
    help="UNSAFE: for QEMU's emulator, whose documents end at no root, in place of --root-sha256.",
)
@click.option("--json", "form", flag_value="json", help="As JSON.")
@click.option("--toml", "form", flag_value="toml", help="As a [[releases]] entry for an agreement.")
def measure_command(
    file: Path, name: str | None, root_sha256: str, form: str | None, unsafe_emulator: bool
) -> None:
    """Show the PCRs of an enclave image file.

    PCR0, PCR1 and PCR2, and PCR8 if it is signed: what the security module of an enclave that was started
    from this file will say. No tool of AWS's is needed, and nothing in the file is believed: it is refused
    if two readers could find two images in it, or if its signature is not of this image.

    \b
    Examples:
      concordat image measure concordat.eif
      concordat image measure concordat.eif --toml > release.toml
      concordat image measure concordat.eif --unsafe-emulator --toml
    """
    with progress(file, "measuring") as advance:
        measured = read_image(file, advance=advance).measurements.as_hex()
    root = UNSIGNED_EMULATOR_SHA256.hex() if unsafe_emulator else root_sha256
    release = {"name": name or file.stem, **measured, "root_sha256": root}
    if form == "json":
        click.echo(json.dumps(release, indent=2))
    elif form == "toml":  # PCR8 names who signed and not what runs: an agreement has no place for it
        click.echo(release_toml({key: value for key, value in release.items() if key != "pcr8"}), nl=False)
    else:
        for key, value in measured.items():
            click.echo(f"{key:12} {value}")
