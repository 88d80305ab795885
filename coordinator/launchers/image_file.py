"""Whether a file can be an enclave image (EIF), how large it is, and for which processors.

Nothing more is read of it here: what it measures is for parties to verify, from the running enclave.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coordinator.errors import CannotServeError

_MAGIC: Final = b".eif"
_HEADER_BYTES: Final = 548
_FLAGS_AT: Final = 6
_FLAG_ARM64: Final = 1


@dataclass(frozen=True)
class ImageFile:
    """An enclave image, as far as somebody has to know who starts it."""

    size_bytes: int
    architecture: str
    """`x86_64` or `aarch64`, as `platform.machine()` calls them."""


def require_image(path: Path) -> ImageFile:
    """What `path` is. Raises `CannotServeError` if it cannot be an image."""
    hint = "give an enclave image: --image FILE.eif"
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
            size_bytes = file.seek(0, 2)
    except OSError as error:
        raise CannotServeError(f"{path}: {error.strerror}", hint=hint) from error
    if not header.startswith(_MAGIC) or len(header) < _HEADER_BYTES:
        raise CannotServeError(f"{path}: not an enclave image, expected it to begin with .eif", hint=hint)
    flags = int.from_bytes(header[_FLAGS_AT : _FLAGS_AT + 2], "big")
    return ImageFile(size_bytes, "aarch64" if flags & _FLAG_ARM64 else "x86_64")


def require_architecture(image: ImageFile, architecture: str) -> None:
    """Raises `CannotServeError` unless the image is for this kind of processor."""
    if image.architecture != architecture:
        raise CannotServeError(
            f"--image: got an image for {image.architecture}, expected one for {architecture}",
            hint="give the image that was built for this machine's processors",
        )
