"""Attacks on whoever measures somebody else's image file: row numbers are the threat model's.

The attacker writes each byte of the file, its checksum too, and wants it measured as one image and booted as
another, or the one who measures it to run out of memory or patience.
"""

from __future__ import annotations

import io
import resource
import struct
import time

import pytest

from enclave_compute.image.eif import Image, ImageFileError, ImageSignatureError
from enclave_compute.image.eif.reader import read_untrusted
from tests.eif_files import (
    COMMAND_LINE,
    GOOD,
    HEADER_BYTES,
    KERNEL,
    RAMDISK,
    SIGNATURE,
    image_file,
    with_checksum,
)
from tests.image_signers import signer

GIB = 2**30


def read(data: bytes) -> Image:
    return read_untrusted(io.BytesIO(data), size_bytes=len(data))


def refused(data: bytes, message: str) -> None:
    with pytest.raises(ImageFileError) as caught:
        read(data)
    assert message in caught.value.message


def section(kind: int, data: bytes) -> bytes:
    return struct.pack(">HHQ", kind, 0, len(data)) + data


def test_table_and_walk_find_different_kernels() -> None:
    """One reader follows the table to a kernel that lies inside a section the other reader walks past."""
    hidden = section(KERNEL, b"another kernel")
    parts = [*GOOD[:4], (RAMDISK, b"cpio " + hidden)]
    inside = len(image_file(parts)) - len(hidden)
    refused(image_file(parts, offsets={0: inside}, sizes={0: 14}), f"got offset {inside} in the table")


def test_table_and_section_say_different_sizes() -> None:
    refused(image_file(sizes={4: 13}), "section 4 (ramdisk): its header says 14 bytes, the table 13")
    refused(image_file(own_sizes={0: 62}), "section 0 (kernel): its header says 62 bytes, the table 63")


def test_table_lists_one_section_twice() -> None:
    first = HEADER_BYTES
    refused(image_file(offsets={3: first}, sizes={3: 63}), f"section 3: got offset {first} in the table")


def test_bytes_between_sections_belong_to_nobody() -> None:
    refused(image_file(between=b"x"), "section 1: got offset")


def test_trailing_bytes_are_a_section_for_one_reader_only() -> None:
    """Who walks to the end of the file finds a sixth section; who follows the table does not."""
    refused(image_file(after=section(RAMDISK, b"a third ramdisk")), "bytes after the last section")
    refused(image_file(after=b"\0"), "bytes after the last section")


def test_bytes_that_come_while_the_file_is_read() -> None:
    data = image_file()
    with pytest.raises(ImageFileError, match="after the last section"):
        read_untrusted(io.BytesIO(data + b"x"), size_bytes=len(data))


def test_two_kernels_in_one_image() -> None:
    refused(image_file([GOOD[0], *GOOD]), "got 2 kernel sections, expected exactly one")


def test_a_command_line_that_the_kernel_reads_to_its_first_zero() -> None:
    parts = [(kind, b"init=/bin/sh\0" + data if kind == COMMAND_LINE else data) for kind, data in GOOD]
    refused(image_file(parts), "not printable ASCII")


@pytest.mark.parametrize("size", [4 * GIB, 4 * GIB - 1, 2**40, 2**63, 2**64 - 1])
@pytest.mark.parametrize("number", range(5))
def test_sizes_that_are_not_there_cost_nothing(size: int, number: int) -> None:
    data = image_file(sizes={number: size}, own_sizes={number: size})
    before_kib, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with pytest.raises(ImageFileError, match=r"up to the end of the file|expected 1 to"):
        read(data)
    assert time.monotonic() - began < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 64 * 1024


def test_offsets_that_wrap_around() -> None:
    refused(image_file(offsets={1: 2**64 - 1}), "section 1: got offset 18446744073709551615 in the table")


def test_a_signature_taken_from_another_image() -> None:
    """Never counted as unsigned: whoever looks at PCR8 must not be told that it is zero."""
    other = signer().sign(read(image_file(GOOD[:4])).measurements.pcr0)
    with pytest.raises(ImageSignatureError, match="not PCR0 of this image"):
        read(image_file([*GOOD, (SIGNATURE, other)]))


def test_a_signature_that_is_damaged_is_not_no_signature() -> None:
    own = signer().sign(read(image_file()).measurements.pcr0)
    assert read(image_file([*GOOD, (SIGNATURE, own)])).measurements.pcr8 is not None
    with pytest.raises(ImageSignatureError):
        read(image_file([*GOOD, (SIGNATURE, own[:-1] + bytes([own[-1] ^ 1]))]))


def test_attack_05_a_certificate_with_the_name_of_another_is_another_register() -> None:
    """Anybody can make a certificate with any name: PCR8 is of the certificate, and so of its key."""
    pcr0 = read(image_file()).measurements.pcr0
    first, second = (
        read(image_file([*GOOD, (SIGNATURE, signer(number=number).sign(pcr0))])) for number in (7, 8)
    )
    assert first.measurements.pcr0 == second.measurements.pcr0
    assert first.measurements.pcr8 != second.measurements.pcr8


def test_the_same_registers_with_another_command_line() -> None:
    """What is measured is one string: where the kernel ends and the command line begins is in no register.

    The emulator boots both, and reports the same registers. No reader of files can refuse this: either may be
    the right one. What has to stop it is inside the image: its first program compares the command line with
    the one it was built for.
    """
    kernel, command_line = GOOD[0][1], GOOD[1][1]
    moved = [(KERNEL, kernel + command_line[:14]), (COMMAND_LINE, command_line[14:]), *GOOD[2:]]
    honest, shifted = read(image_file()), read(image_file(moved))
    assert honest.command_line == "console=ttyS0 pci=off"
    assert shifted.command_line == "pci=off"
    assert shifted.measurements == honest.measurements


def test_a_checksum_made_right_again_saves_no_change_from_the_registers() -> None:
    data, honest = bytearray(image_file()), read(image_file())
    at = data.index(b"second ramdisk")
    data[at] ^= 1
    refused(bytes(data), "checksum")
    changed = read(with_checksum(bytes(data)))
    assert changed.measurements.pcr0 != honest.measurements.pcr0
    assert changed.measurements.pcr2 != honest.measurements.pcr2
    assert changed.measurements.pcr1 == honest.measurements.pcr1
