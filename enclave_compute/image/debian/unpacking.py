"""Packages that a lock names, fetched and laid out side by side: for whoever takes files from them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from enclave_compute.image.debian.build_root import merge_folders
from enclave_compute.image.debian.deb import unpack_deb_untrusted
from enclave_compute.image.debian.lock import Lock
from enclave_compute.image.debian.mirror import Say, fetch


def unpack_packages(
    lock: Lock, names: Iterable[str], folder: Path, *, say: Say = lambda _: None, cache: Path | None = None
) -> Path:
    """Lay each package called in `names` into a folder of its name in `folder`, which is given back.

    All are fetched at once. Raises `DebianError`.
    """
    wanted = [lock.package(name) for name in names]
    files = fetch(wanted, say=say, cache=cache)
    for package in wanted:
        merge_folders(folder / package.name)
        unpack_deb_untrusted(files[package], folder / package.name)
    return folder
