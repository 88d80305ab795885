"""What belongs to this repository: the files that the house rules are about.

Walks the work tree rather than asking git, so that the rules hold in an unpacked archive as well.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
SHIPPED: Final = ("coordinator", "enclave_compute", "party_client", "protos", "scenarios")

_MADE_BY_TOOLS: Final = {ROOT / "build", ROOT / "dist", ROOT / "run"}


def files(*suffixes: str) -> Iterator[Path]:
    """Every file kept here, relative to `ROOT`, with one of `suffixes` when there are any."""
    for name, folders, names in os.walk(ROOT):
        folder = Path(name)
        folders[:] = sorted(child for child in folders if _is_ours(folder / child))
        for path in sorted(folder / child for child in names):
            if _is_ours(path) and (not suffixes or path.suffix in suffixes):
                yield path.relative_to(ROOT)


def python_files() -> Iterator[Path]:
    """Every Python file written by hand, relative to `ROOT`."""
    return (path for path in files(".py") if not is_generated(path))


def is_generated(path: Path) -> bool:
    """Whether protoc wrote `path`."""
    return path.parent == Path("protos/v1") and "_pb2" in path.name


def _is_ours(path: Path) -> bool:
    hidden = path.name.startswith(".") and path.name not in {".ci", ".gitignore"}
    return not hidden and path.name != "__pycache__" and path not in _MADE_BY_TOOLS
