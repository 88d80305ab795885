"""`concordat image sign`: an image file with a signature of its PCR0, for policies that look at PCR8."""

from __future__ import annotations

from pathlib import Path

import click

from enclave_compute.image.commands.image_file import image_argument, progress
from enclave_compute.image.eif import ContentError, Signer, sign_eif

_PASSES = 3
"""Over the image: it is read, written, and read back."""


@click.command("sign")
@image_argument
@click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE",
    help="Private key on P-256, P-384 or P-521, PEM, not encrypted.",
)
@click.option(
    "--certificate",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE",
    help="Certificate of that key, PEM.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE",
    help="Where to write the signed image; must not be there yet.",
)
def sign_command(file: Path, key: Path, certificate: Path, output: Path) -> None:
    """Write a signed copy of an enclave image file.

    The signature takes the place of one that it may have. PCR0, PCR1 and PCR2 stay the same; PCR8 becomes the
    digest of the certificate. The same image, key and certificate give the same bytes. PCR8 lets in whatever
    the key signs, old images too: let policies demand PCR0 beside it.

    \b
    Example:
      concordat image sign concordat.eif --key signing.key \\
          --certificate signing.pem -o concordat.signed.eif
    """
    if output.exists():
        raise ContentError(f"{output}: is there already", hint="give -o a name that is not taken")
    signer = Signer.from_files(key, certificate)
    with progress(file, "signing", passes=_PASSES) as advance:
        measurements = sign_eif(file, output, signer=signer, advance=advance)
    for name, value in measurements.as_hex().items():
        click.echo(f"{name:12} {value}")
