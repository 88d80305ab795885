"""How an image file is written: the same inputs give the same bytes, and what was written is read back.

Reads the caller's own files, in pieces, and trusts them for their content alone: sizes are taken when
writing begins, and a file that is longer or shorter when it is read is an error. The sections stand in the
order of AWS's tools: kernel, command line, metadata, ramdisks, signature. The file appears under its name
when it is whole: it is written beside it, read back by `reader` and then renamed, and the measurements are
those that were read back. EIF specification, "Enclave Image File (EIF) format".
"""

from __future__ import annotations

import os
import secrets
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Final

from enclave_compute.image.eif.errors import ContentError, ImageFileError
from enclave_compute.image.eif.header import ARCHITECTURES, CHECKSUM_BYTES, HEADER_BYTES, Header
from enclave_compute.image.eif.limits import BUFFER_BYTES, MAX_FILE_BYTES, MAX_SECTIONS
from enclave_compute.image.eif.measure import Measurements, Registers
from enclave_compute.image.eif.metadata import encode as encode_metadata
from enclave_compute.image.eif.reader import Advance, command_line_untrusted, nobody, read_image
from enclave_compute.image.eif.sections import MAX_BYTES, SECTION_HEADER_BYTES, SectionKind, section_header
from enclave_compute.image.eif.signature import Signer

_MODE: Final = 0o644


@dataclass(frozen=True, slots=True)
class Content:
    """What one section will contain: bytes, or a part of a file."""

    kind: SectionKind
    size_bytes: int
    data: bytes = b""
    """The whole content, where there is no file."""
    file: Path | None = None
    start: int = 0
    """Where in the file the content begins, in bytes."""

    def __post_init__(self) -> None:
        if not 1 <= self.size_bytes <= MAX_BYTES[self.kind]:
            raise ContentError(
                f"{self.file or self.kind.label}: got {self.size_bytes} bytes, "
                f"expected 1 to {MAX_BYTES[self.kind]} for a {self.kind.label}"
            )

    @classmethod
    def of_bytes(cls, kind: SectionKind, data: bytes) -> Content:
        """These bytes."""
        return cls(kind, len(data), data=data)

    @classmethod
    def of_file(cls, kind: SectionKind, file: Path) -> Content:
        """All of a file. Raises `ContentError`."""
        try:
            return cls(kind, file.stat().st_size, file=file)
        except OSError as error:
            raise ContentError(f"{file}: cannot be read ({error.strerror})") from error

    def pieces(self) -> Iterator[bytes]:
        """The content in pieces. Raises `ContentError` when the file does not have what it had."""
        if self.file is None:
            yield self.data
            return
        left = self.size_bytes
        try:
            with self.file.open("rb") as file:
                file.seek(self.start)
                while left and (piece := file.read(min(left, BUFFER_BYTES))):
                    left -= len(piece)
                    yield piece
                grew = self.start == 0 and bool(file.read(1))
        except OSError as error:
            raise ContentError(f"{self.file}: cannot be read ({error.strerror})") from error
        if left or grew:
            raise ContentError(
                f"{self.file}: changed while it was read", hint="build again once it is at rest"
            )


def write_eif(
    path: Path,
    *,
    kernel: Path,
    cmdline: str,
    ramdisks: Sequence[Path],
    metadata: Mapping[str, Any],
    architecture: str = "x86_64",
    signer: Signer | None = None,
    advance: Advance = nobody,
) -> Measurements:
    """Writes an image file to `path`, in place of what was there. Raises `ImageFileError`."""
    if architecture not in ARCHITECTURES:
        raise ContentError(f"got architecture {architecture!r}, expected {' or '.join(ARCHITECTURES)}")
    if not ramdisks:
        raise ContentError("got no ramdisk, expected at least one")
    contents = [
        Content.of_file(SectionKind.KERNEL, kernel),
        Content.of_bytes(SectionKind.COMMAND_LINE, _command_line(cmdline)),
        Content.of_bytes(SectionKind.METADATA, encode_metadata(metadata)),
        *(Content.of_file(SectionKind.RAMDISK, ramdisk) for ramdisk in ramdisks),
    ]
    if signer is not None:
        contents.append(Content.of_bytes(SectionKind.SIGNATURE, signer.sign(_pcr0(contents))))
    return write_contents(path, contents, Header(architecture, (), (), 0), advance=advance)


def sign_eif(source: Path, path: Path, *, signer: Signer, advance: Advance = nobody) -> Measurements:
    """Writes the image in `source` to `path` with a signature, in place of the one that it may have.

    Nothing else in it changes, nor do PCR0, PCR1 and PCR2. Raises `ImageFileError`.
    """
    image = read_image(source, advance=advance)
    contents = [
        Content(
            section.kind,
            section.size_bytes,
            file=source,
            start=section.offset + SECTION_HEADER_BYTES,
        )
        for section in image.sections
        if section.kind is not SectionKind.SIGNATURE
    ]
    contents.append(Content.of_bytes(SectionKind.SIGNATURE, signer.sign(image.measurements.pcr0)))
    return write_contents(path, contents, image.header, advance=advance)


def write_contents(
    path: Path, contents: Sequence[Content], header: Header, *, advance: Advance = nobody
) -> Measurements:
    """Writes these sections in this order; of `header`, what does not follow from them is kept."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
        with os.fdopen(descriptor, "wb") as file:
            _write(file, contents, _with_table(header, contents), advance)
            file.flush()
            os.fsync(file.fileno())
        measurements = read_image(beside, advance=advance).measurements
        beside.replace(path)
    except OSError as error:
        raise ContentError(
            f"{path}: cannot be written ({error.strerror})", hint="look at the folder"
        ) from error
    finally:
        beside.unlink(missing_ok=True)
    return measurements


def _write(file: BinaryIO, contents: Sequence[Content], header: Header, advance: Advance) -> None:
    checksum = zlib.crc32(header.encode()[:-CHECKSUM_BYTES])
    file.write(header.encode())
    for content in contents:
        head = section_header(content.kind, content.size_bytes)
        checksum = zlib.crc32(head, checksum)
        file.write(head)
        for piece in content.pieces():
            checksum = zlib.crc32(piece, checksum)
            file.write(piece)
            advance(len(piece))
    file.seek(0)
    file.write(replace(header, crc32=checksum).encode())


def _with_table(header: Header, contents: Sequence[Content]) -> Header:
    if len(contents) > MAX_SECTIONS:
        raise ContentError(f"got {len(contents)} sections, expected at most {MAX_SECTIONS}")
    offsets, position = [], HEADER_BYTES
    for content in contents:
        offsets.append(position)
        position += SECTION_HEADER_BYTES + content.size_bytes
    if position > MAX_FILE_BYTES:
        raise ContentError(f"got an image of {position} bytes, expected at most {MAX_FILE_BYTES}")
    sizes = tuple(content.size_bytes for content in contents)
    return replace(header, offsets=tuple(offsets), sizes=sizes, crc32=0)


def _pcr0(contents: Sequence[Content]) -> bytes:
    registers = Registers()
    for content in contents:
        registers.begin(content.kind)
        for piece in content.pieces():
            registers.update(content.kind, piece)
    return registers.measurements().pcr0


def _command_line(text: str) -> bytes:
    try:
        data = text.encode("ascii")
        command_line_untrusted(data)
    except (UnicodeEncodeError, ImageFileError) as error:
        raise ContentError("command line: expected printable ASCII") from error
    return data
