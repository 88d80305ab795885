"""What an image file of anybody's contains, and what it measures, in one pass over it.

`read_untrusted` holds one buffer and the small sections in memory, whatever a file says about its sizes. It
guarantees that walking from section to section and following the header's table come to the same sections
(AWS's reader walks, the emulator follows the table), that they fill the file to its last byte, that
everything the specification demands is there once, that the checksum is right, and that a signature, if
there is one, is of this image. So there is one image in the file, and `measurements` are its. It says
nothing about whether the image is good, and metadata is only what somebody wrote. EIF specification,
"Enclave Image File (EIF) format".
"""

from __future__ import annotations

import hashlib
import os
import stat
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from enclave_compute.image.eif.errors import ChecksumError, ImageFileError
from enclave_compute.image.eif.header import CHECKSUM_BYTES, HEADER_BYTES, Header, parse_header_untrusted
from enclave_compute.image.eif.limits import BUFFER_BYTES, MAX_FILE_BYTES
from enclave_compute.image.eif.measure import Measurements, Registers
from enclave_compute.image.eif.metadata import parse_metadata_untrusted
from enclave_compute.image.eif.sections import (
    SECTION_HEADER_BYTES,
    Section,
    SectionKind,
    parse_section_header_untrusted,
    require_order,
)
from enclave_compute.image.eif.signature import ImageSignature, verify_untrusted

Advance = Callable[[int], None]
"""Called with the number of further bytes that were read."""
_KEPT: Final = (SectionKind.COMMAND_LINE, SectionKind.METADATA, SectionKind.SIGNATURE)
_BLANKS: Final = b"\t\n"


class ByteStream(Protocol):
    """What is read from: an open file, or bytes in memory."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fills the buffer from its start; how many bytes, 0 at the end."""

    def read(self, size: int, /) -> bytes | None:
        """At most so many bytes; none at the end."""


def nobody(_: int) -> None:
    """Is told how far a file was read, and does nothing."""


@dataclass(frozen=True, slots=True)
class Image:
    """What one image file contains. Made by this module alone."""

    size_bytes: int
    header: Header
    sections: tuple[Section, ...]
    """In file order."""
    command_line: str
    metadata: dict[str, Any]
    """What somebody wrote: in no PCR, and not to be believed."""
    signature: ImageSignature | None
    measurements: Measurements


def read_image(path: Path, *, advance: Advance = nobody) -> Image:
    """The image in the file at `path`. Raises `ImageFileError`."""
    try:
        with path.open("rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ImageFileError(f"{path}: not a regular file", hint="give the path of an image file")
            return read_untrusted(file, size_bytes=status.st_size, advance=advance)
    except OSError as error:
        raise ImageFileError(
            f"{path}: cannot be read ({error.strerror})", hint="give the path of an image file"
        ) from error


def read_untrusted(stream: ByteStream, *, size_bytes: int, advance: Advance = nobody) -> Image:
    """The image in the `size_bytes` bytes of `stream`. Raises `ImageFileError`."""
    if size_bytes > MAX_FILE_BYTES:
        raise ImageFileError(f"got a file of {size_bytes} bytes, expected at most {MAX_FILE_BYTES}")
    walk = _Walk(stream, size_bytes, advance)
    header = parse_header_untrusted(walk.take(min(HEADER_BYTES, size_bytes)))
    walk.checksum = zlib.crc32(header.encode()[:-CHECKSUM_BYTES])  # the checksum does not cover itself
    for number, (offset, size) in enumerate(zip(header.offsets, header.sizes, strict=True)):
        walk.section(number, offset=offset, listed_bytes=size)
    walk.require_end()
    require_order([section.kind for section in walk.sections])
    if walk.checksum != header.crc32:
        raise ChecksumError(f"the file's checksum is {walk.checksum:08x}, its header says {header.crc32:08x}")
    return _image(walk, header)


def _image(walk: _Walk, header: Header) -> Image:
    signature = None
    if SectionKind.SIGNATURE in walk.kept:
        unsigned = walk.registers.measurements()
        signature = verify_untrusted(walk.kept[SectionKind.SIGNATURE], pcr0=unsigned.pcr0)
    return Image(
        size_bytes=walk.position,
        header=header,
        sections=tuple(walk.sections),
        command_line=command_line_untrusted(walk.kept[SectionKind.COMMAND_LINE]),
        metadata=parse_metadata_untrusted(walk.kept[SectionKind.METADATA]),
        signature=signature,
        measurements=walk.registers.measurements(
            certificate_der=signature.certificate_der if signature else None
        ),
    )


def command_line_untrusted(data: bytes) -> str:
    """The kernel's command line, of printable ASCII and blanks.

    A zero byte would end it for the kernel and not for the PCRs; the rest is so that it can be shown as is.
    """
    if not all(0x20 <= byte <= 0x7E or byte in _BLANKS for byte in data):
        raise ImageFileError("command line: got a byte that is not printable ASCII, a tab or a line end")
    return data.decode("ascii")


class _Walk:
    """From section to section; what has been read goes into the checksum, the registers and nowhere else."""

    def __init__(self, stream: ByteStream, size_bytes: int, advance: Advance) -> None:
        self.sections: list[Section] = []
        self.kept: dict[SectionKind, bytes] = {}
        self.registers = Registers()
        self.checksum = 0
        self.position = 0
        self._stream, self._size_bytes, self._advance = stream, size_bytes, advance
        self._buffer = memoryview(bytearray(min(BUFFER_BYTES, max(size_bytes, HEADER_BYTES))))

    def take(self, length: int) -> bytes:
        """The next `length` bytes, which are few."""
        return b"".join(bytes(piece) for piece in self._pieces(length))

    def section(self, number: int, *, offset: int, listed_bytes: int) -> None:
        """Reads one section, which must be where and as long as the header's table says."""
        if self.position != offset:
            raise ImageFileError(
                f"section {number}: got offset {offset} in the table, expected {self.position}, "
                "where the section before it ends"
            )
        left = max(0, self._size_bytes - self.position)
        kind, size_bytes = parse_section_header_untrusted(
            self.take(min(left, SECTION_HEADER_BYTES)), number=number
        )
        if size_bytes != listed_bytes:
            raise ImageFileError(
                f"section {number} ({kind.label}): "
                f"its header says {size_bytes} bytes, the table {listed_bytes}"
            )
        self._require_left(size_bytes, what=f"section {number} ({kind.label})")
        self._content(kind, offset, size_bytes)

    def _content(self, kind: SectionKind, offset: int, size_bytes: int) -> None:
        digest, kept = hashlib.sha256(), []
        self.registers.begin(kind)
        for piece in self._pieces(size_bytes):
            digest.update(piece)
            self.registers.update(kind, piece)
            if kind in _KEPT:
                kept.append(bytes(piece))
        self.sections.append(Section(kind, offset, size_bytes, digest.digest()))
        if kind in _KEPT:
            self.kept[kind] = b"".join(kept)

    def require_end(self) -> None:
        """Nothing stands after the last section."""
        after = self._size_bytes - self.position
        if after or self._stream.read(1):
            raise ImageFileError(f"got {max(after, 1)} or more bytes after the last section, expected none")

    def _require_left(self, size_bytes: int, *, what: str) -> None:
        left = self._size_bytes - self.position
        if size_bytes > left:
            raise ImageFileError(f"{what}: got {left} bytes up to the end of the file, expected {size_bytes}")

    def _pieces(self, length: int) -> Iterator[memoryview]:
        """The next `length` bytes, in views of one buffer that the next view overwrites."""
        while length:
            got = self._stream.readinto(self._buffer[: min(length, len(self._buffer))])
            if not got:
                raise ImageFileError(f"the file ended {length} bytes early, while it was read")
            piece = self._buffer[:got]
            self.checksum = zlib.crc32(piece, self.checksum)
            self.position += got
            self._advance(got)
            length -= got
            yield piece
