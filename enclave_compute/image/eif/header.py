"""The 548 bytes that an image file begins with: what they say, and which are refused.

`parse_header_untrusted` reads anybody's bytes. It guarantees that the header names 4 to 32 sections, that
everything in it that has no meaning is zero, and that encoding it again gives the same bytes; whether the
sections are where it says is for `reader`. All numbers are big-endian. EIF specification, "EifHeader".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from enclave_compute.image.eif.errors import ImageFileError
from enclave_compute.image.eif.limits import MAX_SECTIONS, MIN_SECTIONS

MAGIC: Final = b".eif"
VERSION: Final = 4
ARCHITECTURES: Final = ("x86_64", "aarch64")
"""By the value of the header's flags."""
_FIXED: Final = struct.Struct(">4sHHQQHH")
_TABLE: Final = struct.Struct(f">{MAX_SECTIONS}Q")
_END: Final = struct.Struct(">II")
HEADER_BYTES: Final = _FIXED.size + 2 * _TABLE.size + _END.size
CHECKSUM_BYTES: Final = 4
"""At the end of the header, and the only bytes of the file that the checksum does not cover."""
DEFAULT_MEMORY_BYTES: Final = 2**30
DEFAULT_CPUS: Final = 2
"""What AWS's tools write; nothing reads either."""


@dataclass(frozen=True, slots=True)
class Header:
    """A header whose table names as many sections as there are."""

    architecture: str
    """One of `ARCHITECTURES`."""
    offsets: tuple[int, ...]
    """Of each section's own header, from the start of the file, in bytes."""
    sizes: tuple[int, ...]
    """Of each section's content, in bytes."""
    crc32: int
    default_memory_bytes: int = DEFAULT_MEMORY_BYTES
    default_cpus: int = DEFAULT_CPUS

    def encode(self) -> bytes:
        """The header's 548 bytes."""
        flags = ARCHITECTURES.index(self.architecture)
        unused = (0,) * (MAX_SECTIONS - len(self.offsets))
        return b"".join(
            [
                _FIXED.pack(
                    MAGIC, VERSION, flags, self.default_memory_bytes, self.default_cpus, 0, len(self.offsets)
                ),
                _TABLE.pack(*self.offsets, *unused),
                _TABLE.pack(*self.sizes, *unused),
                _END.pack(0, self.crc32),
            ]
        )


def parse_header_untrusted(data: bytes) -> Header:
    """The header that `data` begins with. Raises `ImageFileError`."""
    if len(data) < HEADER_BYTES:
        raise ImageFileError(f"got {len(data)} bytes, expected a header of {HEADER_BYTES}")
    magic, version, flags, memory_bytes, cpus, reserved, count = _FIXED.unpack_from(data)
    offsets = _TABLE.unpack_from(data, _FIXED.size)
    sizes = _TABLE.unpack_from(data, _FIXED.size + _TABLE.size)
    unused, crc32 = _END.unpack_from(data, _FIXED.size + 2 * _TABLE.size)
    if magic != MAGIC:
        raise ImageFileError(
            f"got a file that begins with {magic.hex()}, expected {MAGIC.hex()} (.eif)",
            hint="give the enclave image file itself, not its kernel, ramdisk or Docker image",
        )
    if version != VERSION:
        raise ImageFileError(
            f"got version {version} of the format, expected {VERSION}",
            hint="build the image again with a tool of 2022 or later",
        )
    if flags >= len(ARCHITECTURES):
        raise ImageFileError(f"got header flags {flags:#x}, expected 0 (x86_64) or 1 (aarch64)")
    if not MIN_SECTIONS <= count <= MAX_SECTIONS:
        raise ImageFileError(f"got {count} sections, expected {MIN_SECTIONS} to {MAX_SECTIONS}")
    if reserved or unused or any(offsets[count:]) or any(sizes[count:]):
        raise ImageFileError("got a value where the header has no field, expected zero")
    return Header(
        architecture=ARCHITECTURES[flags],
        offsets=offsets[:count],
        sizes=sizes[:count],
        crc32=crc32,
        default_memory_bytes=memory_bytes,
        default_cpus=cpus,
    )
