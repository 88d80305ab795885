"""Which files are the SIMULATED enclave's image, and where they come from.

Two parts, as an enclave image file has: `boot`, what runs before the enclave's own code and confines it
(`scenarios.machine.boot`), and `app`, which is exactly `enclave_compute`, `protos` without its gRPC service,
and the installed distributions that these need. Code and its metadata only: no byte-code, no tests, no
documentation.
"""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from enclave_compute.image.contents import DISTRIBUTIONS, is_distribution_code, own_files
from scenarios.machine.errors import ImageError

_BEFORE_PYTHON_3_13: Final = ("typing_extensions",)
"""What pyopenssl takes from newer Pythons' standard library, such as the real image's."""
BOOT: Final = "boot"
APP: Final = "app"


@dataclass(frozen=True, order=True)
class ImageFile:
    """One file: where it will lie in the image (posix, below `boot` or `app`) and where it is now."""

    path: str
    source: Path


def app_files(source_root: Path) -> list[ImageFile]:
    """The application part, sorted by path. Raises `ImageError`."""
    files = [*_own_files(source_root)]
    backported = _BEFORE_PYTHON_3_13 if sys.version_info < (3, 13) else ()
    for distribution in (*DISTRIBUTIONS, *backported):
        files.extend(_distribution_files(distribution))
    return sorted(files)


def boot_files() -> list[ImageFile]:
    """The boot part, sorted by path."""
    folder = Path(__file__).parent / BOOT
    return sorted(ImageFile(f"{BOOT}/{path.name}", path) for path in folder.glob("*.py"))


def staged_files(image: Path, part: str) -> list[ImageFile]:
    """Whatever lies below `part` in a staged image, sorted by path."""
    found = (path for path in (image / part).rglob("*") if not path.is_dir())
    return sorted(ImageFile(path.relative_to(image).as_posix(), path) for path in found)


def _own_files(source_root: Path) -> Iterator[ImageFile]:
    if not (source_root / "enclave_compute" / "__main__.py").is_file():
        raise ImageError(
            f"{source_root} has no enclave_compute/__main__.py",
            hint="give the folder that holds the packages",
        )
    for name, path in own_files(source_root):
        yield ImageFile(f"{APP}/{name}", path)


def _distribution_files(name: str) -> Iterator[ImageFile]:
    try:
        listed = importlib.metadata.files(name)
    except importlib.metadata.PackageNotFoundError as error:
        raise ImageError(
            f"{name} is not installed",
            hint="install the enclave's packages: pip install 'concordat[enclave]'",
        ) from error
    if not listed:
        raise ImageError(f"{name}: its installation has no list of files", hint="install it again with pip")
    for entry in listed:
        if is_distribution_code(entry.as_posix()):
            yield ImageFile(f"{APP}/{entry.as_posix()}", Path(str(entry.locate())))
