"""Which roots of trust a command believes, or that it takes the unsigned emulator's word: shared options.

The two exclude each other: whoever accepts unsigned documents would make nothing of a root beside them. AWS's
root counts unless the emulator was asked for; then no root does. Raises `click.UsageError` for both together.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import click

from party_client import files
from party_client.attestation import Anchor, Anchors, EmulatorUnsafe, TrustedRoots
from party_client.attestation.emulator import UNSIGNED_EMULATOR
from party_client.cli.present import note

ROOT_FILE_MAX_BYTES: Final = 64 * 1024
UNSAFE_EMULATOR: Final = (
    "UNSAFE: --unsafe-emulator: no signature is checked; whoever runs the emulator can read everything"
)
_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class Trust:
    """What the options said. No file has been opened yet."""

    root_files: tuple[Path, ...]
    """PEM, each to be believed beside AWS's root."""
    unsafe_emulator: bool

    def anchors(self) -> Anchors:
        """What counts above a document. Raises `RootFileError` or `FileAccessError`."""
        return EmulatorUnsafe() if self.unsafe_emulator else trusted_roots(self.root_files)


def trusted_roots(root_files: tuple[Path, ...]) -> TrustedRoots:
    """AWS's root and the one in each of `root_files` (PEM). Raises `RootFileError` or `FileAccessError`."""
    roots = TrustedRoots.aws()
    for file in root_files:
        pem = files.read(file, max_bytes=ROOT_FILE_MAX_BYTES, private=False)
        roots |= TrustedRoots.from_pem(pem, name=file.name)
    return roots


def trust_options(command: _Command) -> _Command:
    """Adds `--root` and `--unsafe-emulator`, given to the command as `trust`; warns whenever it is unsafe.

    For what verifies, signs, or says who vouches.
    """

    @functools.wraps(command)
    def with_trust(*args: Any, root_files: tuple[Path, ...], unsafe_emulator: bool, **options: Any) -> Any:
        if unsafe_emulator and root_files:
            raise click.UsageError(
                "--unsafe-emulator believes no root of trust, and --root names one; leave one out"
            )
        if unsafe_emulator:
            note(UNSAFE_EMULATOR)
        return command(*args, trust=Trust(root_files, unsafe_emulator), **options)

    unsafe = click.option(
        "--unsafe-emulator",
        is_flag=True,
        help="UNSAFE: take QEMU's unsigned emulator for an enclave; its owner can read everything.",
    )
    option = click.option(
        "--root",
        "root_files",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        multiple=True,
        metavar="PEM",
        help="Also believe this root of trust, which is not AWS's (for simulated enclaves).",
    )
    return cast(_Command, option(unsafe(with_trust)))


def root_warning(root: Anchor) -> str | None:
    """What has to be said aloud when it was not AWS that vouched for an enclave; None when it was."""
    if root.is_aws:
        return None
    if isinstance(root, EmulatorUnsafe):
        return f"{UNSIGNED_EMULATOR}: no signature was checked; whoever runs the emulator can see the data"
    if root.is_simulated:
        return (
            "SIMULATED: no AWS Nitro Enclave stands behind this; whoever runs the simulator can see the data"
        )
    return f"NOT AWS: the root of trust is {root.name!r} (SHA-256 {root.sha256.hex()})"
