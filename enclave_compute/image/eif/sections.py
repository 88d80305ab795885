"""What stands in an image file: the kinds of section, their headers, and in which order they may come.

`parse_section_header_untrusted` reads anybody's bytes; `require_order` takes the kinds that were found in a
file. The specification leaves the order open except that ramdisks follow the kernel. Here the kernel comes
before the command line and that before all ramdisks, because the PCRs hash them in file order: with one
order there is one value. Metadata and signature are not hashed, and may stand anywhere. EIF specification,
"EifSectionHeader".
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from enclave_compute.image.eif.errors import ImageFileError
from enclave_compute.image.eif.limits import (
    MAX_COMMAND_LINE_BYTES,
    MAX_FILE_BYTES,
    MAX_METADATA_BYTES,
    MAX_SIGNATURE_BYTES,
)

_HEADER: Final = struct.Struct(">HHQ")
SECTION_HEADER_BYTES: Final = _HEADER.size


class SectionKind(IntEnum):
    """The kinds of section that version 4 knows; 0 is invalid on purpose."""

    KERNEL = 1
    COMMAND_LINE = 2
    RAMDISK = 3
    SIGNATURE = 4
    METADATA = 5

    @property
    def label(self) -> str:
        """As people read it: `command line`."""
        return self.name.lower().replace("_", " ")


MAX_BYTES: Final = {
    SectionKind.KERNEL: MAX_FILE_BYTES,
    SectionKind.COMMAND_LINE: MAX_COMMAND_LINE_BYTES,
    SectionKind.RAMDISK: MAX_FILE_BYTES,
    SectionKind.SIGNATURE: MAX_SIGNATURE_BYTES,
    SectionKind.METADATA: MAX_METADATA_BYTES,
}
_ONCE: Final = (SectionKind.KERNEL, SectionKind.COMMAND_LINE, SectionKind.METADATA)
MEASURED: Final = (SectionKind.KERNEL, SectionKind.COMMAND_LINE, SectionKind.RAMDISK)
"""What the PCRs of the image cover, in the order in which it stands in a file."""


@dataclass(frozen=True, slots=True)
class Section:
    """One section as it was found in a file, or as it was written."""

    kind: SectionKind
    offset: int
    """Of the section's header, in bytes from the start of the file."""
    size_bytes: int
    sha256: bytes
    """Of the content: what `sha256sum` gives for the kernel or ramdisk that went in."""


def section_header(kind: SectionKind, size_bytes: int) -> bytes:
    """The 12 bytes before a section's content."""
    return _HEADER.pack(kind, 0, size_bytes)


def parse_section_header_untrusted(data: bytes, *, number: int) -> tuple[SectionKind, int]:
    """(kind, size of the content in bytes) of section `number`, counted from 0. Raises `ImageFileError`."""
    what = f"section {number}"
    if len(data) != SECTION_HEADER_BYTES:
        raise ImageFileError(f"{what}: the file ends in its header")
    value, flags, size_bytes = _HEADER.unpack(data)
    try:
        kind = SectionKind(value)
    except ValueError:
        raise ImageFileError(f"{what}: got type {value}, expected 1 to {max(SectionKind).value}") from None
    if flags:
        raise ImageFileError(f"{what} ({kind.label}): got flags {flags:#x}, expected 0")
    if not 1 <= size_bytes <= MAX_BYTES[kind]:
        raise ImageFileError(
            f"{what} ({kind.label}): got {size_bytes} bytes, expected 1 to {MAX_BYTES[kind]}"
        )
    return kind, size_bytes


def require_order(kinds: Sequence[SectionKind]) -> None:
    """One kernel, command line and metadata, ramdisks, at most one signature, in the order said above."""
    counts = Counter(kinds)
    for kind in _ONCE:
        if counts[kind] != 1:
            raise ImageFileError(f"got {counts[kind]} {kind.label} sections, expected exactly one")
    if not counts[SectionKind.RAMDISK]:
        raise ImageFileError("got no ramdisk section, expected at least one")
    if counts[SectionKind.SIGNATURE] > 1:
        raise ImageFileError(f"got {counts[SectionKind.SIGNATURE]} signature sections, expected at most one")
    measured = [kind for kind in kinds if kind in MEASURED]
    if measured != sorted(measured):
        raise ImageFileError(
            f"got the order {', '.join(kind.label for kind in measured)}; "
            "expected kernel, command line, ramdisks"
        )
