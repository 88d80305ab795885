"""Where a scenario's enclaves live, and what everybody does differently because of it.

Both places are for trying out: neither keeps anything from whoever owns the computer, and all that is shown
to a person says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from protos.release.roots import UNSIGNED_EMULATOR_SHA256

UNSAFE_EMULATOR: Final = ("--unsafe-emulator",)
"""What commands are told about enclaves in an emulator that signs nothing."""
_RELEASE_NAME: Final = "emulated-image"


@dataclass(frozen=True)
class Place:
    """Words for commands, and for people."""

    label: str
    notice: str
    vouched_for: str
    """By what, in a sentence about the measurements."""
    serve: tuple[str, ...]
    """The coordinator's options."""
    measure: tuple[str, ...]
    """The command with which a party measures its own copy of what will run; takes --json and --toml."""
    root: tuple[str, ...] | None = None
    """The command that prints the root certificate, if there is one."""

    @property
    def simulated(self) -> bool:
        """Whether the enclave's own files run, rather than an image."""
        return self.root is not None


SIMULATED: Final = Place(
    label="SIMULATED",
    notice="The enclave runs on this computer, and whoever owns it can look inside.",
    vouched_for="under a root that is not AWS's",
    serve=("--launcher", "local"),
    measure=("simulator", "measure"),
    root=("simulator", "root", "--pem"),
)


def emulated(image: Path, emulator: Path) -> Place:
    """The image itself, booted in the emulator that lies in a folder."""
    measure = ("image", "measure", str(image), "--name", _RELEASE_NAME)
    return Place(
        label="UNSIGNED EMULATOR",
        notice="The enclave's image runs in an emulator: anybody could have written what it says of itself.",
        vouched_for="which nobody vouches for",
        serve=("--launcher", "qemu", "--image", str(image), "--emulator", str(emulator)),
        measure=(*measure, "--root-sha256", UNSIGNED_EMULATOR_SHA256.hex()),
    )
