"""What is refused in an image file, rule by rule, and what is read from a good one."""

from __future__ import annotations

import hashlib
import io
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from enclave_compute.image.eif import ChecksumError, Image, ImageFileError, read_image
from enclave_compute.image.eif.header import ARCHITECTURES, HEADER_BYTES, parse_header_untrusted
from enclave_compute.image.eif.limits import MAX_FILE_BYTES
from enclave_compute.image.eif.reader import read_untrusted
from enclave_compute.image.eif.sections import SectionKind
from tests.eif_files import (
    COMMAND_LINE,
    GOOD,
    KERNEL,
    METADATA,
    METADATA_JSON,
    RAMDISK,
    SIGNATURE,
    image_file,
    with_checksum,
)

MIB = 2**20


def read(data: bytes) -> Image:
    return read_untrusted(io.BytesIO(data), size_bytes=len(data))


def replaced(kind: int, data: bytes) -> list[tuple[int, bytes]]:
    return [(one, data if one == kind else content) for one, content in GOOD]


def without(kind: int) -> list[tuple[int, bytes]]:
    return [part for part in GOOD if part[0] != kind]


def pcr(content: bytes) -> bytes:
    return hashlib.sha384(bytes(48) + hashlib.sha384(content).digest()).digest()


def test_a_good_file_is_read() -> None:
    data = image_file()
    image = read(data)
    kernel, command_line, _, first, second = (content for _, content in GOOD)
    assert image.command_line == "console=ttyS0 pci=off"
    assert image.metadata["BuildMetadata"]["BuildTool"] == "b"
    assert image.signature is None
    assert image.size_bytes == len(data)
    assert image.measurements.pcr0 == pcr(kernel + command_line + first + second)
    assert image.measurements.pcr1 == pcr(kernel + command_line + first)
    assert image.measurements.pcr2 == pcr(second)
    assert image.measurements.pcr8 is None
    assert [section.sha256 for section in image.sections] == [
        hashlib.sha256(content).digest() for _, content in GOOD
    ]
    assert [section.offset for section in image.sections] == list(image.header.offsets)


def test_metadata_is_in_no_register_wherever_it_stands() -> None:
    kernel, command_line, metadata, *ramdisks = GOOD
    other = (METADATA, METADATA_JSON.replace(b'"n"', b'"another name"'))
    last = read(image_file([kernel, command_line, *ramdisks, other]))
    assert last.measurements == read(image_file([metadata, kernel, command_line, *ramdisks])).measurements


def test_as_many_sections_as_the_table_holds() -> None:
    assert len(read(image_file([*GOOD, *[(RAMDISK, b"one more")] * 27])).sections) == 32


def test_a_command_line_as_long_as_the_kernel_reads() -> None:
    assert len(read(image_file(replaced(COMMAND_LINE, b"a" * 2047))).command_line) == 2047


def test_a_header_is_what_it_encodes_to() -> None:
    data = image_file(flags=1)[:HEADER_BYTES]
    header = parse_header_untrusted(data)
    assert header.architecture == ARCHITECTURES[1]
    assert header.encode() == data


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another magic": ({"magic": b"\x7fELF"}, "begins with 7f454c46, expected 2e656966"),
    "version 3": ({"version": 3}, "got version 3 of the format, expected 4"),
    "version 5": ({"version": 5}, "got version 5"),
    "unknown flags": ({"flags": 2}, "header flags 0x2"),
    "reserved field": ({"reserved": 1}, "where the header has no field"),
    "unused field": ({"unused": 1}, "where the header has no field"),
    "a table entry more": ({"offsets": {9: 548}}, "where the header has no field"),
    "a size more": ({"sizes": {31: 1}}, "where the header has no field"),
    "three sections": ({"count": 3, "parts": GOOD[:3]}, "got 3 sections, expected 4 to 32"),
    "33 sections": ({"count": 33}, "got 33 sections"),
    "one section less than there are": (
        {"count": 4, "offsets": {4: 0}, "sizes": {4: 0}},
        "bytes after the last section",
    ),
    "flags of a section": ({"section_flags": 1}, "got flags 0x1, expected 0"),
    "type 0": ({"parts": [*GOOD, (0, b"x")]}, "section 5: got type 0"),
    "type 6": ({"parts": [*GOOD, (6, b"x")]}, "section 5: got type 6, expected 1 to 5"),
    "no kernel": ({"parts": without(KERNEL)}, "got 0 kernel sections"),
    "no command line": ({"parts": without(COMMAND_LINE)}, "got 0 command line sections"),
    "two command lines": ({"parts": [*GOOD[:2], *GOOD[1:]]}, "got 2 command line sections"),
    "no metadata": ({"parts": without(METADATA)}, "got 0 metadata sections"),
    "two sets of metadata": ({"parts": [*GOOD, GOOD[2]]}, "got 2 metadata sections"),
    "no ramdisk": ({"parts": [*without(RAMDISK), (SIGNATURE, b"x")]}, "got no ramdisk"),
    "two signatures": ({"parts": [*GOOD, (SIGNATURE, b"x"), (SIGNATURE, b"x")]}, "got 2 signature sections"),
    "command line before the kernel": (
        {"parts": [GOOD[1], GOOD[0], *GOOD[2:]]},
        "got the order command line",
    ),
    "ramdisk before the command line": ({"parts": [GOOD[0], GOOD[3], GOOD[1], GOOD[2]]}, "got the order"),
    "an empty ramdisk": ({"parts": [*GOOD, (RAMDISK, b"")]}, "ramdisk): got 0 bytes"),
    "a command line that the kernel cuts": (
        {"parts": replaced(COMMAND_LINE, b"a" * 2048)},
        "command line): got 2048 bytes, expected 1 to 2047",
    ),
    "a zero byte in the command line": ({"parts": replaced(COMMAND_LINE, b"a\0b")}, "not printable ASCII"),
    "an escape in the command line": ({"parts": replaced(COMMAND_LINE, b"a\x1b[2Jb")}, "not printable ASCII"),
    "metadata that is not JSON": ({"parts": replaced(METADATA, b"{")}, "metadata: not JSON"),
    "metadata that is a list": ({"parts": replaced(METADATA, b"[]")}, "metadata: got list"),
    "metadata with a key twice": (
        {"parts": replaced(METADATA, METADATA_JSON[:-1] + b',"ImageName":"m"}')},
        "metadata: not JSON",
    ),
    "metadata with NaN": (
        {"parts": replaced(METADATA, METADATA_JSON.replace(b"null", b"NaN"))},
        "metadata: not JSON",
    ),
    "metadata that is nested too deeply": (
        {"parts": replaced(METADATA, b"[" * 200_000)},
        "metadata: not JSON in UTF-8 (RecursionError)",
    ),
    "metadata without a field": (
        {"parts": replaced(METADATA, METADATA_JSON.replace(b"DockerInfo", b"Docker"))},
        "DockerInfo missing",
    ),
    "metadata without a field of the build": (
        {"parts": replaced(METADATA, METADATA_JSON.replace(b'BuildTool"', b'Tool"'))},
        "BuildTool missing",
    ),
    "a name that is a number": (
        {"parts": replaced(METADATA, METADATA_JSON.replace(b'"n"', b"7"))},
        "got ImageName as something else",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    arguments, message = REFUSED[name]
    with pytest.raises(ImageFileError) as caught:
        read(image_file(**arguments))
    assert message in caught.value.message
    assert caught.value.hint


def test_a_wrong_checksum_is_refused() -> None:
    data = bytearray(image_file())
    data[-1] ^= 1
    with pytest.raises(ChecksumError, match="its header says"):
        read(bytes(data))
    read(with_checksum(bytes(data)))


def test_a_file_that_ends_early_is_refused() -> None:
    data = image_file()
    for length in range(len(data)):
        with pytest.raises(ImageFileError):
            read(with_checksum(data[:length]))
    with pytest.raises(ImageFileError, match="bytes early, while it was read"):
        read_untrusted(io.BytesIO(data[:-1]), size_bytes=len(data))


def test_a_file_that_is_too_large_is_not_read() -> None:
    stream = io.BytesIO(image_file())
    with pytest.raises(ImageFileError, match="expected at most"):
        read_untrusted(stream, size_bytes=MAX_FILE_BYTES + 1)
    assert stream.tell() == 0
    with pytest.raises(ImageFileError, match="bytes after the last section"):
        read_untrusted(stream, size_bytes=MAX_FILE_BYTES)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageFileError, match="cannot be read"):
        read_image(tmp_path / "absent.eif")
    with pytest.raises(ImageFileError, match=r"cannot be read|not a regular file"):
        read_image(tmp_path)
    with pytest.raises(ImageFileError, match="/dev/zero: not a regular file"):
        read_image(Path("/dev/zero"))


def test_progress_comes_to_the_length_of_the_file(tmp_path: Path) -> None:
    path, seen = tmp_path / "a.eif", list[int]()
    path.write_bytes(image_file())
    read_image(path, advance=seen.append)
    assert sum(seen) == path.stat().st_size


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "large.eif"
    path.write_bytes(image_file(replaced(RAMDISK, bytes(24 * MIB))))
    tracemalloc.start()
    try:
        image = read_image(path)
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()
    assert sum(section.kind is SectionKind.RAMDISK for section in image.sections) == 2
