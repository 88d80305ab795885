"""Lays the image's file system out and packs it into two ramdisks, bit for bit the same for the same inputs.

The first is the system (Debian's C library and Python, and `init`), the second the application (our code and
the distributions it needs): PCR1 changes with the one, PCR2 with the other, PCR0 with either.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from enclave_compute.image import interpreter
from enclave_compute.image.bytecode import compile_all
from enclave_compute.image.contents import own_files
from enclave_compute.image.cpio import write_cpio
from enclave_compute.image.system import add_system
from enclave_compute.image.tree import PROGRAM_MODE, Entry, Tree, character_device, file
from enclave_compute.image.wheels import unpack_wheel

APP: Final = "app"
"""Where the application lies in the image."""
OWN: Final = "concordat"
_INIT: Final = f"""#!/usr/bin/python3 -ISB
import sys
sys.path.append("/{APP}")
from enclave_compute.boot.init import main
main()
"""
_CONSOLE: Final = ("dev/console", 5, 1)
_COMPRESS: Final = """
import shutil, sys
sys.path.append(sys.argv[1])
from backports import zstd
with open(sys.argv[2], "rb") as plain, zstd.open(sys.argv[3], "wb", level=12) as packed:
    shutil.copyfileobj(plain, packed, 1 << 20)
"""


@dataclass(frozen=True)
class Ramdisks:
    """Two files, packed, and what is in them."""

    system: Path
    application: Path
    unpacked_bytes: int
    """How much of the machine's memory both fill when unpacked, byte-code included."""
    parts: dict[str, int]
    """Bytes of each of Debian's packages, of each distribution and of our own code, without byte-code."""


def make_ramdisks(work: Path, *, debian: Path, wheels: Mapping[str, Path], source_root: Path) -> Ramdisks:
    """Makes both in the empty folder `work`, which keeps what was laid out.

    `debian` is where each of `system.PACKAGES` is unpacked in a folder of its name, `wheels` is what
    `fetch_wheels` gave, `source_root` the folder of our packages. Raises `ImageBuildError`.
    """
    system, application, root = Tree(), Tree(), work / "root"
    parts = add_system(system, debian)
    system.add("init", file(_INIT.encode(), executable=True))
    path, major, minor = _CONSOLE
    system.add(path, character_device(major, minor))
    for name, wheel in wheels.items():
        parts[name] = _add(application, unpack_wheel(wheel, work / "wheels"))
    parts[OWN] = _add(application, own_files(source_root))
    for tree in (system, application):
        _lay_out(tree, root)
    for tree in (system, application):
        sources = [name for name, _ in tree.files() if name.endswith(".py")]
        for name in compile_all(root, sources):
            tree.add(name, file(root / name))
    return Ramdisks(
        _pack(system, work / "system", root),
        _pack(application, work / APP, root),
        sum(_size_bytes(entry) for tree in (system, application) for _, entry in tree.files()),
        parts,
    )


def _add(tree: Tree, files: Iterable[tuple[str, Path]]) -> int:
    """Adds the files to the application; how many bytes they have."""
    found = list(files)
    tree.add_all(APP, found)
    return sum(source.stat().st_size for _, source in found)


def _lay_out(tree: Tree, root: Path) -> None:
    """Files alone, where the image's own interpreter can run from."""
    for name, entry in tree.files():
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(entry.content, Path):
            shutil.copyfile(entry.content, target)
        else:
            target.write_bytes(entry.content)
        target.chmod(0o755 if entry.mode == PROGRAM_MODE else 0o644)


def _pack(tree: Tree, path: Path, root: Path) -> Path:
    """A compressed archive at `path` with the ending .cpio.zst."""
    plain, packed = path.with_suffix(".cpio"), path.with_suffix(".cpio.zst")
    with plain.open("wb") as out:
        write_cpio(tree, out)
    interpreter.run(root, _COMPRESS, str(root / APP), str(plain), str(packed))
    plain.unlink()
    return packed


def _size_bytes(entry: Entry) -> int:
    return entry.content.stat().st_size if isinstance(entry.content, Path) else len(entry.content)
