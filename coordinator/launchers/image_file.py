"""Whether a file can be an enclave image (EIF), and how large it is.

Nothing more is read of it here: what it measures is for parties to verify, from the running enclave.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from coordinator.errors import CannotServeError

_MAGIC: Final = b".eif"


def require_image(path: Path) -> int:
    """The size of the image in bytes. Raises `CannotServeError` if it cannot be one."""
    hint = "give an enclave image: --image FILE.eif"
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
            size_bytes = file.seek(0, 2)
    except OSError as error:
        raise CannotServeError(f"{path}: {error.strerror}", hint=hint) from error
    if magic != _MAGIC:
        raise CannotServeError(f"{path}: not an enclave image, expected it to begin with .eif", hint=hint)
    return size_bytes
