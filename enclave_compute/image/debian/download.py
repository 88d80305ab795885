"""Downloads one file from a mirror that `$DEBIAN_MIRROR` names; size and time are bounded."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import Final

from enclave_compute.image.debian.errors import MirrorError

SILENCE_S: Final = 60.0
"""For so long a mirror may send nothing."""
SLOWEST_BYTES_PER_S: Final = 20_000
"""A mirror that is slower than this over a whole file is given up."""
_CHUNK_BYTES: Final = 1 << 16
_SCHEMES: Final = ("http://", "https://")


def download(url: str, target: Path, *, limit_bytes: int, silence_s: float = SILENCE_S) -> None:
    """What lies at `url`, at most one byte over `limit_bytes`, as `target`; nothing there, no file.

    Nothing is compared here: the caller knows the hash. Raises `MirrorError`.
    """
    if not url.startswith(_SCHEMES):
        raise MirrorError(
            f"{url}: not a mirror's URL", hint=f"expected one that starts with {' or '.join(_SCHEMES)}"
        )
    deadline = time.monotonic() + silence_s + limit_bytes / SLOWEST_BYTES_PER_S
    try:
        with urllib.request.urlopen(url, timeout=silence_s) as answer, target.open("xb") as stream:  # noqa: S310 - the scheme was checked
            left_bytes = limit_bytes + 1
            while left_bytes and (chunk := answer.read1(min(_CHUNK_BYTES, left_bytes))):
                stream.write(chunk)
                left_bytes -= len(chunk)
                if time.monotonic() > deadline:
                    raise MirrorError(f"{url}: too slow, given up with {left_bytes - 1} bytes to go")
    except urllib.error.HTTPError as error:
        error.close()
        if error.code not in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
            raise MirrorError(
                f"{url}: the mirror answers {error.code}", hint="try again, or another mirror"
            ) from error
    except (OSError, ValueError) as error:
        raise MirrorError(f"{url}: {error}", hint="try again, or another mirror") from error
