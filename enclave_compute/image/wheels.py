"""The enclave's distributions as wheels for the image's Python: of each the one whose hash is in the lock.

pip fetches them, for another platform than the one it runs on if need be; nothing is built and no code of
theirs runs. A version has several wheels that would do (for an older C library, without native code), so the
lock of the image names one of them: an index that has others gives no other image, and neither does another
Python that pip runs on.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from enclave_compute.image.contents import DISTRIBUTIONS, is_distribution_code
from enclave_compute.image.errors import ImageBuildError

WHEELS_LOCK: Final = "requirements/image.lock"
"""In a checkout. Written by `wheels_lock`."""
_TARGET: Final = (
    *("--python-version", "3.13", "--implementation", "cp"),
    *("--abi", "cp313", "--abi", "abi3", "--abi", "none"),
    *(word for glibc in (17, 27, 28, 34) for word in ("--platform", f"manylinux_2_{glibc}_x86_64")),
    *("--platform", "manylinux2014_x86_64"),
)
"""CPython 3.13 with the C library of Debian 13 (2.41) on x86_64."""


def fetch_wheels(lock: Path, folder: Path) -> dict[str, Path]:
    """Downloads what `lock` names into `folder`; the wheel of each of `DISTRIBUTIONS`.

    Raises `ImageBuildError`.
    """
    download(lock, folder)
    return {name: wheel_of(name, folder) for name in DISTRIBUTIONS}


def download(requirements: Path, folder: Path) -> None:
    """Fetches a wheel for each line of `requirements` into `folder`. Raises `ImageBuildError`."""
    command = (
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--require-hashes", "--no-deps", "--only-binary", ":all:", "--dest", str(folder)),
        *(*_TARGET, "--requirement", str(requirements)),
    )
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise ImageBuildError(
            f"pip cannot fetch the wheels of {requirements.name}: "
            f"{' '.join(said) or done.stderr[-400:].strip()}",
            hint="the package index must be reachable and have the locked files; nothing else is accepted",
        )


def wheel_of(distribution: str, folder: Path) -> Path:
    """The one wheel of `distribution` in `folder`. Raises `ImageBuildError`."""
    prefix = distribution.replace(".", "_").replace("-", "_")
    found = sorted(folder.glob(f"{prefix}-*.whl"))
    if len(found) != 1:
        raise ImageBuildError(f"{distribution}: got {len(found)} wheels from the lock, expected 1")
    return found[0]


def unpack_wheel(wheel: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """(path, file) of the code in `wheel`, unpacked below `folder`. Raises `ImageBuildError`."""
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            if is_distribution_code(name):
                if PurePosixPath(name).is_absolute():
                    raise ImageBuildError(f"{wheel.name}: got the path {name!r}, expected a relative one")
                yield name, Path(archive.extract(name, folder))
