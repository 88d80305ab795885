"""Runs short programs with the image's own Python, from the folder where the image is being laid out.

What the image is made with is thus an input of the image like any other: not the Python, nor the compression
library, of whoever builds it.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from enclave_compute.image.errors import ImageBuildError
from enclave_compute.image.system import INTERPRETER, LIBRARY_FOLDER


def run(root: Path, program: str, *words: str, fed: str = "") -> None:
    """Runs `program` with `words` and `fed` as its standard input; the image lies in `root`.

    Raises `ImageBuildError` with what it complained about.
    """
    libraries = root / LIBRARY_FOLDER
    linker = str(libraries / "ld-linux-x86-64.so.2")
    python = (linker, "--inhibit-cache", "--library-path", str(libraries), str(root / INTERPRETER))
    try:
        done = subprocess.run(
            (*python, "-S", "-s", "-B", "-P", "-c", program, *words),
            input=fed,
            check=False,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            env={"PYTHONHASHSEED": "0", "PYTHONHOME": str(root / "usr"), "PYTHONUTF8": "1"},
        )
    except OSError as error:
        raise ImageBuildError(
            f"the image's interpreter does not start: {error.strerror}",
            hint="build on Linux on x86_64, with TMPDIR where programs may be run (no noexec)",
        ) from error
    if done.returncode != 0:
        raise ImageBuildError(f"the image's interpreter failed: {done.stderr.strip()[-400:]}")
