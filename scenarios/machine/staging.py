"""Keeps the read-only copy of the image that a SIMULATED enclave runs from, one folder per measurement.

A folder that is there already is measured again before it is used. Whoever runs from one holds a shared lock
on it; copies that nobody holds are removed when another is staged, so that a day of changing code does not
fill the disk.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scenarios.machine.errors import ImageError
from scenarios.machine.image import ImageFile, app_files, boot_files
from scenarios.machine.measure import Measurements, measure, measure_staged

_READ_ONLY_FILE: Final = 0o444
_READ_ONLY_FOLDER: Final = 0o555
_WRITABLE_FOLDER: Final = 0o755
_ATTEMPTS: Final = 3


@dataclass(frozen=True)
class StagedImage:
    """A read-only copy of the image and what it measures."""

    folder: Path
    measurements: Measurements


@contextlib.contextmanager
def staged(source_root: Path, images: Path) -> Iterator[StagedImage]:
    """A copy below `images` of the image made from `source_root`, kept for as long as the context lasts.

    Raises `ImageError`.
    """
    measurements = measure(source_root)
    folder = images / measurements.pcr0.hex()[:32]
    for _ in range(_ATTEMPTS):
        if not folder.exists():
            _copy([*boot_files(), *app_files(source_root)], folder)
        with _held(folder, fcntl.LOCK_SH) as held:
            if held and measure_staged(folder) == measurements:
                _remove_unused(images, keep=folder)
                yield StagedImage(folder, measurements)
                return
        _remove(folder)
    raise ImageError("the enclave's files change while they are being copied", hint="start again")


def _copy(files: Iterable[ImageFile], folder: Path) -> None:
    """Into a new folder beside `folder`, then in its place, so that nobody meets a half-made image."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix="new-", dir=folder.parent))
    with _held(fresh, fcntl.LOCK_SH):
        for file in files:
            target = fresh / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.source, target)
            target.chmod(_READ_ONLY_FILE)
        for directory in _folders(fresh):
            directory.chmod(_READ_ONLY_FOLDER)
        with contextlib.suppress(OSError):  # another machine was faster with the same image; ours goes unused
            fresh.rename(folder)


def _remove_unused(images: Path, *, keep: Path) -> None:
    for folder in images.iterdir():
        if folder != keep:
            _remove(folder)


def _remove(folder: Path) -> None:
    """Unless somebody runs from it, or is filling it."""
    with _held(folder, fcntl.LOCK_EX) as held:
        if held:
            for directory in _folders(folder):
                directory.chmod(_WRITABLE_FOLDER)
            shutil.rmtree(folder, ignore_errors=True)


def _folders(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_dir()]


@contextlib.contextmanager
def _held(folder: Path, kind: int) -> Iterator[bool]:
    """A lock on `folder`, without waiting; False if it is gone or held by somebody in another way."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            held = folder.exists() and folder.stat().st_ino == os.fstat(descriptor).st_ino
        except BlockingIOError:
            held = False
        yield held
    finally:
        os.close(descriptor)
