"""What a version of the image measures, as it is published, and whether another build gives the same.

A builder writes `PublishedMeasurements`; somebody else builds the same source and compares. Registers say
that something differs, digests of inputs say where to look: same inputs and other registers mean that the
build is not reproducible here, which is a finding as well. Followed: protos/README.md, "Measurements of a
version".
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from enclave_compute.image.contents import own_files
from enclave_compute.image.eif import Measurements
from enclave_compute.image.errors import ImageBuildError
from enclave_compute.image.wheels import WHEELS_LOCK
from protos.release.measurements import MEASUREMENTS_MAX_BYTES, PublishedMeasurements

BUILDER_LOCKS: Final = (
    "locks/image.lock",
    "locks/kernel.lock",
    "locks/kernel.sha256",
    "kernel/enclave.config",
)
COMMIT: Final = "commit"
"""For people: it is compared only where both sides name one."""
_BUILDER: Final = Path(__file__).resolve().parent
MEANINGS: Final = {
    "pcr0": "the whole image",
    "pcr1": "kernel, command line and system: what comes from Debian, and the first process",
    "pcr2": "application: the enclave's own code and the locked wheels",
    "pcr8": "who signed the image file, which says nothing of what runs",
}


@dataclass(frozen=True)
class Difference:
    """One thing that is not as published."""

    what: str
    """A register (`pcr2`) or an input."""
    published: str | None
    """None: not there."""
    built: str | None
    meaning: str


@dataclass(frozen=True)
class Rebuilt:
    """What somebody's own build of a source gave."""

    measurements: Measurements
    inputs: Mapping[str, str]
    """As `inputs_of` gives them."""


Build = Callable[[Path, Path], Rebuilt]
"""Builds the image of the source in the second folder and writes it to the first path."""


def inputs_of(source_root: Path, *, commit: str | None = None) -> dict[str, str]:
    """What an image of the checkout `source_root` is made from when this program builds it.

    Our own code and the lock of its wheels come from the checkout; what builds, with its locks and the
    options of the kernel, is this program. `commit` is 40 digits. Raises `ImageBuildError` for what is
    not there.
    """
    try:
        digests = {
            "source": _digest_of(own_files(source_root)),
            "builder": _digest_of(_builder_files()),
            WHEELS_LOCK: _digest_of_file(source_root / WHEELS_LOCK),
            **{name: _digest_of_file(_BUILDER / name) for name in BUILDER_LOCKS},
        }
    except OSError as error:
        raise ImageBuildError(f"{error.filename}: cannot be read ({error.strerror})") from error
    return digests if commit is None else {**digests, COMMIT: f"git:{commit}"}


def published(
    version: str, measurements: Measurements, inputs: Mapping[str, str], *, built_on: str
) -> PublishedMeasurements:
    """The statement about a build; `built_on` is a day such as 2026-01-31. Raises `FormatError`."""
    return PublishedMeasurements(
        version=version,
        built_on=built_on,
        pcr0=measurements.pcr0,
        pcr1=measurements.pcr1,
        pcr2=measurements.pcr2,
        pcr8=measurements.pcr8,
        inputs=dict(inputs),
    )


def write_measurements(path: Path, stated: PublishedMeasurements) -> None:
    """Writes the file that is to be signed."""
    path.write_bytes(stated.encode())


def read_measurements(path: Path) -> PublishedMeasurements:
    """What the file says, whoever wrote it. Raises `FormatError` or `ImageBuildError`."""
    try:
        with path.open("rb") as file:
            return PublishedMeasurements.decode_untrusted(file.read(MEASUREMENTS_MAX_BYTES + 1))
    except OSError as error:
        raise ImageBuildError(
            f"{path}: cannot be read ({error.strerror})",
            hint="give the published file: measurements.json of that version",
        ) from error


def differences(stated: PublishedMeasurements, rebuilt: Rebuilt) -> list[Difference]:
    """Registers first, then inputs; empty if and only if the code is as published, and made of the same.

    PCR8 is not compared: only whoever has the signing key can build it again.
    """
    registers = {name: value.hex() for name, value in stated.registers().items() if name != "pcr8"}
    built = {name: value for name, value in rebuilt.measurements.as_hex().items() if name != "pcr8"}
    return [
        *(
            Difference(name, value, built[name], MEANINGS[name])
            for name, value in registers.items()
            if built[name] != value
        ),
        *_input_differences(stated.inputs, rebuilt.inputs),
    ]


def conclusion(found: list[Difference]) -> str:
    """What the differences mean together, for a person who is about to sign."""
    registers = {difference.what for difference in found} & MEANINGS.keys()
    inputs = [difference.what for difference in found if difference.what not in MEANINGS]
    if not found:
        return "the same: this source gives exactly the published measurements"
    if not registers:
        return (
            "the same registers from inputs with other digests: what differs is not in the image, or the "
            "statement names other inputs than it was built from"
        )
    if inputs:
        return f"another image, from other inputs: {', '.join(inputs)}; is this the source of that version?"
    return (
        "another image from the same inputs: this build or the published one was changed on the way, or the "
        "build does not come out the same everywhere; do not sign"
    )


def _input_differences(stated: Mapping[str, str], built: Mapping[str, str]) -> list[Difference]:
    return [
        Difference(name, stated.get(name), built.get(name), "an input of the build")
        for name in sorted({*stated, *built})
        if stated.get(name) != built.get(name) and (name != COMMIT or name in stated.keys() & built.keys())
    ]


def _builder_files() -> Iterator[tuple[str, Path]]:
    for path in _BUILDER.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(_BUILDER).as_posix(), path


def _digest_of(files: Iterable[tuple[str, Path]]) -> str:
    """Over names and contents, in the order of the names: as of a file that `sha256sum` writes."""
    listed = "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}\n" for name, path in sorted(files)
    )
    return f"sha256:{hashlib.sha256(listed.encode()).hexdigest()}"


def _digest_of_file(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
