"""Packages that a lock names, fetched and laid into one folder: for whoever takes files from them."""

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
    """Lay the packages called `names` into the new folder `folder`; gives it back. Raises `DebianError`."""
    wanted = [lock.package(name) for name in names]
    files = fetch(wanted, say=say, cache=cache)
    merge_folders(folder)
    for package in wanted:
        unpack_deb_untrusted(files[package], folder)
    return folder
