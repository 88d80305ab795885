"""What this party has seen of an agreement's release changes, so that an older file is noticed.

Changes that end a release only work for whoever has them, and nothing in an agreement's file says that there
is a newer one. So the last change that was relied on is kept in the party's own folder, as its number and
digest; a file that has fewer changes, or others, is refused. Another folder remembers other things.
Raises `ForkError`, `ChangeOrderError`, `FormatError` or `FileAccessError`.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from party_client import files
from protos.formats.canonical import decode_map_untrusted, encode, require_bytes, require_int
from protos.formats.identifiers import DIGEST_BYTES
from protos.release.change import CHANGES_MAX
from protos.release.errors import ChangeOrderError, ForkError
from protos.release.history import AgreedReleases

SEEN_LABEL: Final = "concordat/seen-release-change/v1"
_FILE_MAX_BYTES: Final = 1024
_LOCK: Final = "lock"


def require_not_older(agreed: AgreedReleases, folder: Path) -> None:
    """`agreed` has every change that was relied on from `folder` before; from now on that is its last one."""
    path = folder / f"{agreed.agreement.digest().hex()}.seen"
    if agreed.changes or path.exists():
        with _alone_in(folder):
            _require_not_older(agreed, path)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Until the other commands are through: one that is slower must not put back what it read before."""
    files.make_folder(folder)
    with (folder / _LOCK).open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _require_not_older(agreed: AgreedReleases, path: Path) -> None:
    seen = _read(path) if path.exists() else None
    digests = [change.digest() for change, _ in agreed.changes]
    if seen is not None:
        number, digest = seen
        if len(digests) < number:
            raise ChangeOrderError(
                f"got an agreement with {len(digests)} release changes, this client has relied on {number}",
                hint="use the newer file of the agreement; whoever gave you this one kept a change from you",
            )
        if digests[number - 1] != digest:
            raise ForkError(
                f"release change {number} is {digests[number - 1].hex()[:16]}…, this client has relied on "
                f"{digest.hex()[:16]}… under that number"
            )
        if len(digests) == number:
            return
    if digests:
        files.replace(path, encode({"label": SEEN_LABEL, "number": len(digests), "digest": digests[-1]}))


def _read(path: Path) -> tuple[int, bytes]:
    fields = decode_map_untrusted(
        files.read(path, max_bytes=_FILE_MAX_BYTES, private=False),
        label=SEEN_LABEL,
        keys=frozenset({"number", "digest"}),
        max_bytes=_FILE_MAX_BYTES,
    )
    number = require_int(fields["number"], what=f"{path}: number", low=1, high=CHANGES_MAX)
    return number, require_bytes(fields["digest"], what=f"{path}: digest", length=DIGEST_BYTES)
