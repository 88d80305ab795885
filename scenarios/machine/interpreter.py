"""Which Python runs the SIMULATED enclave, with which command line, and what it may load.

The interpreter is the one that runs the machine. It starts isolated: no environment, no user or site
packages, no working folder on its path, and no byte-code from anywhere (its cache prefix is a folder that
does not exist), so that what runs is what was measured.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import sysconfig
from pathlib import Path
from typing import Final

from protos.formats.canonical import Value

FLAGS: Final = ("-I", "-S", "-B", "-X", "pycache_prefix=/nonexistent/pycache", "-X", "utf8=1")
BOOTSTRAP: Final = "import sys; sys.path.append(sys.argv[1]); from boot.init import main; main()"
"""Everything after it on the command line is for `boot.init`; the first word is the image's folder."""
_NOT_LOADED: Final = {"__pycache__", "site-packages", "dist-packages", "test", "tests", "idlelib", "tkinter"}
_STDLIB_SUFFIXES: Final = frozenset({".py", ".so"})


def executable() -> Path:
    """The interpreter itself, not the link that a virtual environment has to it."""
    return Path(sys.executable).resolve()


def standard_library() -> Path:
    """The folder of the standard library's modules."""
    return Path(sysconfig.get_path("stdlib"))


def command_line(image: Path, arguments: tuple[str, ...]) -> tuple[str, ...]:
    """What starts the enclave in `image`; `arguments` go to `boot.init`."""
    return (str(executable()), *FLAGS, "-c", BOOTSTRAP, str(image), *arguments)


@functools.cache
def facts() -> Value:
    """What the boot part says about the interpreter: name, version, command line, and what it is made of."""
    return {
        "implementation": sys.implementation.name,
        "version": sys.version,
        "flags": list(FLAGS),
        "bootstrap": BOOTSTRAP,
        "executable": _file_digest(executable()),
        "library": _shared_library(),
        "standard-library": _standard_library_digest(),
    }


def _shared_library() -> bytes | None:
    """SHA-384 of libpython, where the interpreter is linked to one."""
    folder, name = sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("INSTSONAME")
    path = Path(folder or "") / (name or "")
    return _file_digest(path) if sysconfig.get_config_var("Py_ENABLE_SHARED") and path.is_file() else None


def _standard_library_digest() -> bytes:
    """SHA-384 over path and digest of every module, in the order of a walk that sorts as it goes."""
    root, total = standard_library(), hashlib.sha384()
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(set(subfolders) - _NOT_LOADED)
        for path in (Path(folder, name) for name in sorted(names)):
            if path.suffix in _STDLIB_SUFFIXES:
                total.update(f"{path.relative_to(root).as_posix()}\0".encode() + _file_digest(path))
    return total.digest()


def _file_digest(path: Path) -> bytes:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha384").digest()
