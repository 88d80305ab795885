"""What the SIMULATED enclave's image measures: PCR0, PCR1 and PCR2.

A part's content is the list of its files in path order, each as (path, length, SHA-384); it does not depend
on modes, times or where the files came from. As for an enclave image file, PCRn = SHA-384(0^48 || SHA-384(
content)): PCR1 is the boot part (which names the interpreter and the command line), PCR2 the application,
PCR0 both. One byte changed in any file changes PCR0.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from protos.formats.canonical import encode
from scenarios.machine import interpreter
from scenarios.machine.errors import ImageError
from scenarios.machine.image import APP, BOOT, ImageFile, app_files, boot_files, staged_files
from scenarios.machine.pcrs import ZERO, extended


@dataclass(frozen=True)
class Measurements:
    """What identifies an image: 48 bytes each."""

    pcr0: bytes
    pcr1: bytes
    pcr2: bytes


def measure(source_root: Path) -> Measurements:
    """What an image made from `source_root` (the folder of the packages) measures. Raises `ImageError`."""
    return _measurements(boot_files(), app_files(source_root))


def measure_staged(folder: Path) -> Measurements:
    """What the copy in `folder` measures, whatever it was made from."""
    return _measurements(staged_files(folder, BOOT), staged_files(folder, APP))


def _measurements(boot: Iterable[ImageFile], app: Iterable[ImageFile]) -> Measurements:
    boot_content = encode(interpreter.facts()) + b"".join(map(_entry, boot))
    app_content = b"".join(map(_entry, app))
    return Measurements(
        pcr0=_pcr(boot_content + app_content), pcr1=_pcr(boot_content), pcr2=_pcr(app_content)
    )


def _entry(file: ImageFile) -> bytes:
    try:
        with file.source.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha384").digest()
            return encode([file.path, stream.tell(), digest])
    except OSError as error:
        raise ImageError(f"{file.source}: {error.strerror}") from error


def _pcr(content: bytes) -> bytes:
    return extended(ZERO, hashlib.sha384(content).digest())
