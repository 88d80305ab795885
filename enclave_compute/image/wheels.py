"""The enclave's distributions as wheels for the image's Python, each checked against the hash in the lock.

pip fetches them, for another platform than the one it runs on if need be; nothing is built and no code of
theirs runs.
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
    command = (
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--require-hashes", "--no-deps", "--only-binary", ":all:", "--dest", str(folder)),
        *(*_TARGET, "--requirement", str(lock)),
    )
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise ImageBuildError(
            f"pip cannot fetch the wheels of {lock.name}: {' '.join(said) or done.stderr[-400:].strip()}",
            hint="the package index must be reachable; nothing but the locked files is accepted",
        )
    return {name: _wheel_of(name, folder) for name in DISTRIBUTIONS}


def unpack_wheel(wheel: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """(path, file) of the code in `wheel`, unpacked below `folder`. Raises `ImageBuildError`."""
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            if is_distribution_code(name):
                if PurePosixPath(name).is_absolute():
                    raise ImageBuildError(f"{wheel.name}: got the path {name!r}, expected a relative one")
                yield name, Path(archive.extract(name, folder))


def _wheel_of(distribution: str, folder: Path) -> Path:
    prefix = distribution.replace(".", "_").replace("-", "_")
    found = sorted(folder.glob(f"{prefix}-*.whl"))
    if len(found) != 1:
        raise ImageBuildError(f"{distribution}: got {len(found)} wheels from the lock, expected 1")
    return found[0]
