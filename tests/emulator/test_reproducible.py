"""Who builds, where and when does not show in the image."""

from __future__ import annotations

import hashlib
import os
import shutil
from importlib.metadata import version
from pathlib import Path

import pytest

from enclave_compute.image.build import build_image
from tests.emulator.machines import image

pytestmark = [pytest.mark.qemu, pytest.mark.timeout(1200)]

ROOT = Path(__file__).resolve().parents[2]


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_another_copy_of_the_source_gives_the_same_bytes(tmp_path: Path) -> None:
    """Other folder, other times, other modes, other order of files; and what `make image` built."""
    source = tmp_path / "elsewhere" / "checkout"
    for package in ("requirements", "protos", "enclave_compute"):
        shutil.copytree(ROOT / package, source / package, copy_function=shutil.copyfile)
    for path in source.rglob("*"):
        path.chmod(0o700)
        os.utime(path, (1_000_000_000, 1_000_000_000))
    built = tmp_path / "other name.eif"
    build_image(built, source_root=source, version=version("concordat"), say=lambda _: None)
    assert sha256(built) == sha256(image())


def test_one_line_more_is_another_image(tmp_path: Path) -> None:
    source = tmp_path / "checkout"
    for package in ("requirements", "protos", "enclave_compute"):
        shutil.copytree(ROOT / package, source / package)
    with (source / "enclave_compute/disclosure.py").open("a") as code:
        code.write("# harmless, surely\n")
    first, other = (
        build_image(tmp_path / name, source_root=root, version=version("concordat"), say=lambda _: None)
        for name, root in (("first.eif", ROOT), ("other.eif", source))
    )
    assert other.measurements.pcr0 != first.measurements.pcr0
    assert other.measurements.pcr1 == first.measurements.pcr1
    assert other.measurements.pcr2 != first.measurements.pcr2
