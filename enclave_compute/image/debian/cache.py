"""Where fetched and built things are kept, and how a half-made one is never taken for a whole one."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


def cache_folder() -> Path:
    """`$CONCORDAT_CACHE`, else `$XDG_CACHE_HOME/concordat`, else `~/.cache/concordat`."""
    named = os.environ.get("CONCORDAT_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "concordat"


@contextlib.contextmanager
def made_whole(folder: Path) -> Iterator[Path]:
    """A new folder to fill: becomes `folder` when the context ends well, is removed when it does not."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield fresh
        fresh.chmod(0o755)
        with contextlib.suppress(OSError):  # somebody was faster with the same thing; ours goes unused
            fresh.rename(folder)
    finally:
        remove(fresh)


def remove(folder: Path) -> None:
    """Take `folder` away with all that is in it, read-only folders too. Nothing there is no error."""
    for path, _, _ in os.walk(folder):
        with contextlib.suppress(OSError):
            Path(path).chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
