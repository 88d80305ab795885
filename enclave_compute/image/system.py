"""Which files of Debian's Python and C library the image consists of: a list, and nothing beside it.

Left out is whatever starts programs, speaks to networks, loads code from data or reads archives from afar
(`subprocess`, `http`, `ssl`, `pickle`, `tarfile`, ...), and every shell, tool and package manager: there is
one program in the image, the interpreter. A module that is missing here fails at import, which the test that
imports everything finds before any image is released.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from enclave_compute.image.errors import ImageBuildError
from enclave_compute.image.tree import Tree, file, folder, link

PACKAGES: Final = {
    "libc6": "C library and dynamic linker",
    "libexpat1": "the interpreter is linked to it",
    "libffi8": "ctypes, for the security module's ioctl and mount(2)",
    "libgcc-s1": "unwinding, for libstdc++",
    "libpython3.13-minimal": "standard library, first part",
    "libpython3.13-stdlib": "standard library, second part",
    "libstdc++6": "DuckDB is written in C++",
    "python3.13-minimal": "the interpreter",
    "zlib1g": "the interpreter is linked to it",
}
"""Debian packages that files are taken from, each with its reason."""
LIBRARY_FOLDER: Final = "usr/lib/x86_64-linux-gnu"
PYTHON_FOLDER: Final = "usr/lib/python3.13"
INTERPRETER: Final = "usr/bin/python3"
BYTECODE_TAG: Final = "cpython-313"
_LINKER: Final = "ld-linux-x86-64.so.2"
_LIBRARIES: Final = (
    *(_LINKER, "libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1"),
    *("libexpat.so.1", "libffi.so.8", "libgcc_s.so.1", "libstdc++.so.6", "libz.so.1"),
)
_EXTENSIONS: Final = ("_ctypes", "_decimal", "resource")
"""Modules of the standard library that are shared objects of their own; the rest is in the interpreter."""
_MODULES: Final = Path(__file__).with_name("standard_library.txt")
_ALL_OF: Final = "/*"
MOUNT_POINTS: Final = ("dev", "proc", "sys")


def add_system(tree: Tree, unpacked: Path) -> dict[str, int]:
    """Adds the listed files from `unpacked`, where each of `PACKAGES` lies in a folder of its own name.

    How many bytes came from each package. Raises `ImageBuildError` for a file that none of them has.
    """
    taken = dict.fromkeys(PACKAGES, 0)

    def take(name: str, *, at: str, executable: bool = False) -> None:
        package, source = _found(unpacked, name)
        tree.add(at, file(source, executable=executable))
        taken[package] += source.stat().st_size

    for name in _LIBRARIES:
        path = f"{LIBRARY_FOLDER}/{name}"
        take(path, at=path, executable=name == _LINKER)
    tree.add(f"lib64/{_LINKER}", link(f"../{LIBRARY_FOLDER}/{_LINKER}"))
    take("usr/bin/python3.13", at=INTERPRETER, executable=True)
    for path in _standard_library(unpacked):
        take(path, at=path)
    for name in MOUNT_POINTS:
        tree.add(name, folder())
    return taken


def _standard_library(unpacked: Path) -> list[str]:
    """Paths of the modules that are taken."""
    names = [f"lib-dynload/{name}.{BYTECODE_TAG}-x86_64-linux-gnu.so" for name in _EXTENSIONS]
    for line in _MODULES.read_text(encoding="ascii").splitlines():
        if line.endswith(_ALL_OF):
            names.extend(_modules_of(unpacked, line.removesuffix(_ALL_OF)))
        elif line and not line.startswith("#"):
            names.append(f"{line}.py")
    return [f"{PYTHON_FOLDER}/{name}" for name in names]


def _modules_of(unpacked: Path, package: str) -> list[str]:
    """All modules of a package of the standard library, which may lie in several of Debian's."""
    roots = [unpacked / name / PYTHON_FOLDER for name in PACKAGES]
    found = (path.relative_to(root) for root in roots for path in (root / package).rglob("*.py"))
    return sorted(path.as_posix() for path in found)


def _found(unpacked: Path, name: str) -> tuple[str, Path]:
    """Which package has the file, and where its content lies."""
    for package in PACKAGES:
        path = (unpacked / package / name).resolve()
        if path.is_file() and path.is_relative_to((unpacked / package).resolve()):
            return package, path
    raise ImageBuildError(f"no package has {name}", hint="the lock is of other packages: make image-lock")
