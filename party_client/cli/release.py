"""`concordat release`: what a published version measures, who signed that, and how an agreement names it.

Files come from whoever built the version. What `show` prints is the file's word; `verify` and `toml` print
what enough of the signers named by the caller have signed.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console

from party_client.cli.options import identity_option
from party_client.cli.present import emit, json_option, say, warn
from party_client.identity import Identity, PublicIdentity
from party_client.published import load_measurements, read_measurements, signature_files, write_signature
from protos.formats.identifiers import from_hex
from protos.formats.participants import FINGERPRINT_BYTES
from protos.release.measurements import PublishedMeasurements
from protos.release.roots import AWS_NITRO_ROOT_G1_SHA256, UNSIGNED_EMULATOR_SHA256

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_Command = TypeVar("_Command", bound=Any)
_NOBODY = "not verified: anybody can write such a file; `concordat release verify` says who signed it"


@click.group(name="release")
def group() -> None:
    """Sign, check and use published measurements."""


def signer_options(command: _Command) -> _Command:
    """Adds `--signer` and `--needed`, given to the command as `signer_files` and `needed`."""
    needed = click.option(
        "--needed", type=click.IntRange(min=1), metavar="K", help="How many of the signers; default: all."
    )
    signer = click.option(
        "--signer",
        "signer_files",
        type=FILE,
        multiple=True,
        required=True,
        metavar="PUB",
        help="Whose signature counts (NAME.pub); once for each.",
    )
    return signer(needed(command))


@group.command("sign")
@click.argument("file", type=FILE)
@identity_option
@json_option
def sign_command(*, file: Path, identity: Identity, as_json: bool) -> None:
    """Sign the measurements in FILE.

    The signature is a file beside it. Sign what you have built yourself, or compared with your own build
    (`concordat image verify`).

    \b
    Example:
      concordat release sign measurements.json --identity keys/builder.key
    """
    measurements = read_measurements(file)
    beside = write_signature(file, identity, now=datetime.now(UTC))
    value = {"file": beside, "signer": identity.id, "version": measurements.version}
    emit(
        as_json,
        value,
        lambda out: say(out, f"{beside}\nsigned as {identity.id}: version {measurements.version}"),
    )


@group.command()
@click.argument("file", type=FILE)
@json_option
def show(*, file: Path, as_json: bool) -> None:
    """Show what FILE says a version measures.

    And what it is made from. Nothing of it is verified.

    \b
    Example:
      concordat release show measurements.json
    """
    measurements = read_measurements(file)
    beside = signature_files(file)

    def render(out: Console) -> None:
        say(out, "\n".join(_lines(measurements)))
        warn(out, _NOBODY)

    emit(as_json, {**_facts(measurements), "signature_files": [str(each) for each in beside]}, render)


@group.command()
@click.argument("file", type=FILE)
@signer_options
@json_option
def verify(*, file: Path, signer_files: tuple[Path, ...], needed: int | None, as_json: bool) -> None:
    """Check that enough signers signed exactly FILE.

    Signatures are looked for beside FILE, as FILE.NAME.sig. Others than those named here do not count.

    \b
    Example:
      concordat release verify measurements.json --signer keys/builder.pub \\
          --signer keys/auditor.pub --needed 2
    """
    signers = [PublicIdentity.load(path) for path in signer_files]
    measurements, signed = load_measurements(file, signers=signers, needed=needed or len(signers))
    names = [signature.signer for signature in signed]

    def render(out: Console) -> None:
        say(out, "\n".join(_lines(measurements)))
        say(out, f"verified: signed by {', '.join(names)}", style="bold green")

    emit(as_json, {**_facts(measurements), "verified": True, "signed_by": names}, render)


@group.command("toml")
@click.argument("file", type=FILE)
@signer_options
@click.option(
    "--root-sha256",
    default=AWS_NITRO_ROOT_G1_SHA256.hex(),
    metavar="HEX",
    help="Fingerprint of the root that has to vouch for it; default: AWS's Nitro root G1.",
)
@click.option(
    "--unsafe-emulator",
    is_flag=True,
    help="UNSAFE: for QEMU's emulator, whose documents end at no root, in place of --root-sha256.",
)
def toml_command(
    *,
    file: Path,
    signer_files: tuple[Path, ...],
    needed: int | None,
    root_sha256: str,
    unsafe_emulator: bool,
) -> None:
    """Print FILE as a [[releases]] entry.

    For an agreement, once its signatures are verified.

    \b
    Example:
      concordat release toml measurements.json --signer keys/builder.pub \\
          > release.toml
    """
    root = (
        UNSIGNED_EMULATOR_SHA256
        if unsafe_emulator
        else from_hex(root_sha256.replace(":", "").lower(), length=FINGERPRINT_BYTES, what="--root-sha256")
    )
    signers = [PublicIdentity.load(path) for path in signer_files]
    measurements, _ = load_measurements(file, signers=signers, needed=needed or len(signers))
    release = measurements.release(root_sha256=root)
    registers = {"pcr0": release.pcr0, "pcr1": release.pcr1, "pcr2": release.pcr2, "root_sha256": root}
    fields = {"name": release.name, **{key: value.hex() for key, value in registers.items()}}
    # A JSON string is a TOML string as well.
    lines = [f"{key} = {json.dumps(value)}" for key, value in fields.items()]
    click.echo("\n".join(["[[releases]]", *lines]))


def _lines(measurements: PublishedMeasurements) -> list[str]:
    width = max(map(len, measurements.inputs))
    return [
        f"version  {measurements.version}, stated on {measurements.built_on}",
        *(f"{name.upper():<8} {value.hex()}" for name, value in measurements.registers().items()),
        *(f"input    {name:<{width}}  {value}" for name, value in measurements.inputs.items()),
    ]


def _facts(measurements: PublishedMeasurements) -> dict[str, Any]:
    return {
        "version": measurements.version,
        "built_on": measurements.built_on,
        "pcrs": measurements.registers(),
        "inputs": dict(measurements.inputs),
    }
