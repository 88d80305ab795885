"""Decides which bytes are the file that a lock names, and gets them from whatever mirror this machine uses.

No mirror is named here. `$DEBIAN_MIRROR` says where the archive is; without it the machine's own apt does,
and fetches too, with its proxies and credentials. What comes is the mirror's word: it is written under a
temporary name, its size and SHA-256 are compared with the lock, and only then it gets its place in the
cache, which is ordered by hash.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from enclave_compute.image.debian import apt
from enclave_compute.image.debian.cache import cache_folder
from enclave_compute.image.debian.download import download
from enclave_compute.image.debian.errors import GoneError, MirrorError
from enclave_compute.image.debian.lock import PinnedFile

Say = Callable[[str], None]
"""Is told what is going on, a short line at a time."""

MIRROR_VARIABLE: Final = "DEBIAN_MIRROR"
_CHUNK_BYTES: Final = 1 << 20
_GONE_HINT: Final = (
    f"Debian drops a version when a newer one is out. Let {MIRROR_VARIABLE} name an archive that keeps old "
    "ones, or pin newer packages: make image-lock"
)


def fetch(files: Iterable[PinnedFile], *, say: Say, cache: Path | None = None) -> dict[PinnedFile, Path]:
    """Where each of `files` lies on this machine, checked just now. Raises `MirrorError` or `GoneError`."""
    wanted = list(files)
    folder = (cache or cache_folder()) / "debian"
    folder.mkdir(parents=True, exist_ok=True)
    places = {file: folder / file.sha256 / file.file_name for file in wanted}
    missing = [file for file in wanted if not _is_kept(file, places[file])]
    if missing:
        say(f"Fetching {len(missing)} Debian files, {sum(file.size_bytes for file in missing) >> 20} MiB")
        with tempfile.TemporaryDirectory(prefix=".part-", dir=folder) as part:
            _fetch_all(missing, Path(part))
            for file in missing:
                places[file].parent.mkdir(exist_ok=True)
                (Path(part) / file.sha256).rename(places[file])
    return places


def _fetch_all(files: list[PinnedFile], folder: Path) -> None:
    """Every one of `files` as `folder/SHA256`, checked."""
    named = os.environ.get(MIRROR_VARIABLE)
    base = named or apt.debian_base()
    if not base:
        raise MirrorError(
            "no Debian mirror: apt on this machine knows none",
            hint=f"set {MIRROR_VARIABLE} to the base URL of one, the folder that holds `dists` and `pool`",
        )
    if named:
        for file in files:
            download(f"{base.rstrip('/')}/{file.path}", folder / file.sha256, limit_bytes=file.size_bytes)
    else:
        apt.download(
            {f"{base.rstrip('/')}/{file.path}": (folder / file.sha256, file.sha256) for file in files}
        )
    for file in files:
        _require_fetched(file, folder / file.sha256)


def _require_fetched(file: PinnedFile, path: Path) -> None:
    if not path.is_file():
        raise GoneError(
            f"the mirror has no {file.path} (pinned: {file.name} {file.version})",
            hint=_GONE_HINT,
        )
    size, sha256 = _measured(path)
    if (size, sha256) != (file.size_bytes, file.sha256):
        raise MirrorError(
            f"{file.path}: got {size} bytes with SHA-256 {sha256}, "
            f"expected {file.size_bytes} and {file.sha256}",
            hint="fetch again; if it stays so, the mirror is damaged or lies: use another",
        )


def _is_kept(file: PinnedFile, path: Path) -> bool:
    """Whether the cache has the file whole; a damaged copy is removed."""
    if not path.is_file():
        return False
    kept = _measured(path) == (file.size_bytes, file.sha256)
    if not kept:
        path.unlink()
    return kept


def _measured(path: Path) -> tuple[int, str]:
    """Size in bytes and SHA-256."""
    digest = hashlib.sha256()
    size_bytes = 0
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
            size_bytes += len(chunk)
    return size_bytes, digest.hexdigest()
