"""Builds the enclave's image from its locked inputs: the same inputs give the same bytes, on any computer.

Inputs are the source folder (our code and the lock of its distributions), the locks of Debian's packages and
the kernel's source, and nothing of the computer it runs on but a Linux kernel on x86_64. `concordat image
build` calls this, and so does the Dockerfile.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from enclave_compute.boot.command_line import COMMAND_LINE
from enclave_compute.image.contents import DISTRIBUTIONS
from enclave_compute.image.debian import read_lock, unpack_packages
from enclave_compute.image.eif import Measurements, metadata_of, write_eif
from enclave_compute.image.errors import ImageBuildError
from enclave_compute.image.kernel import build_kernel
from enclave_compute.image.ramdisks import OWN, make_ramdisks
from enclave_compute.image.system import PACKAGES
from enclave_compute.image.wheels import WHEELS_LOCK, fetch_wheels

_NO_TIME: Final = "1970-01-01T00:00:00Z"
"""The image does not know when it was built: it would not be the same twice."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Built:
    """An image that was written, and what somebody who plans for it wants to know."""

    measurements: Measurements
    kernel_version: str
    unpacked_bytes: int
    """What its file system takes of the enclave's memory."""
    parts: dict[str, int]
    """What is in it, a key of `reasons` each, and how large that is in bytes (the kernel compressed)."""


def build_image(path: Path, *, source_root: Path, version: str, say: Say) -> Built:
    """Writes the image to `path`, in place of what was there. `say` hears what is being done.

    `source_root` is a checkout. Raises `ImageBuildError` and other `ConcordatError`.
    """
    lock = source_root / WHEELS_LOCK
    if not lock.is_file():
        raise ImageBuildError(
            f"{source_root}: no {WHEELS_LOCK} here", hint="give a checkout of the repository: --source DIR"
        )
    with tempfile.TemporaryDirectory(prefix="concordat-image-") as folder:
        work = Path(folder)
        say("kernel")
        kernel = build_kernel(say=say)
        say("Debian packages")
        debian = unpack_packages(read_lock("image"), PACKAGES, work / "debian", say=say)
        say("wheels")
        (work / "fetched").mkdir()
        wheels = fetch_wheels(lock, work / "fetched")
        say("ramdisks")
        ramdisks = make_ramdisks(work / "image", debian=debian, wheels=wheels, source_root=source_root)
        measurements = write_eif(
            path,
            kernel=kernel.image,
            cmdline=COMMAND_LINE,
            ramdisks=(ramdisks.system, ramdisks.application),
            metadata=_metadata(version, kernel.version),
        )
    parts = {"linux": kernel.image.stat().st_size, **ramdisks.parts}
    return Built(measurements, kernel.version, ramdisks.unpacked_bytes, parts)


def reasons() -> dict[str, str]:
    """Why each part of the image is there."""
    ours = "what is measured for: attestation, agreement, sealing, the plan, disclosure"
    return {"linux": "kernel, without modules", **PACKAGES, **DISTRIBUTIONS, OWN: ours}


def _metadata(version: str, kernel_version: str) -> dict[str, object]:
    return metadata_of(
        name="concordat",
        version=version,
        build_time=_NO_TIME,
        build_tool="concordat image build",
        build_tool_version=version,
        operating_system="Debian 13",
        kernel_version=kernel_version,
    )
