"""Image files for tests, put together byte by byte and without the writer, so that any of it can be wrong."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Final

import cbor2

KERNEL, COMMAND_LINE, RAMDISK, SIGNATURE, METADATA = 1, 2, 3, 4, 5
METADATA_JSON: Final = (
    b'{"ImageName":"n","ImageVersion":"1","BuildMetadata":{"BuildTime":"t","BuildTool":"b",'
    b'"BuildToolVersion":"v","OperatingSystem":"o","KernelVersion":"k"},"DockerInfo":null,"CustomMetadata":null}'
)
Part = tuple[int, bytes]
GOOD: Final[tuple[Part, ...]] = (
    (KERNEL, b"kernel " * 9),
    (COMMAND_LINE, b"console=ttyS0 pci=off"),
    (METADATA, METADATA_JSON),
    (RAMDISK, b"first ramdisk"),
    (RAMDISK, b"second ramdisk"),
)
HEADER_BYTES: Final = 548


def image_file(
    parts: Sequence[Part] = GOOD,
    *,
    magic: bytes = b".eif",
    version: int = 4,
    flags: int = 0,
    reserved: int = 0,
    unused: int = 0,
    count: int | None = None,
    offsets: dict[int, int] | None = None,
    sizes: dict[int, int] | None = None,
    own_sizes: dict[int, int] | None = None,
    section_flags: int = 0,
    after: bytes = b"",
    between: bytes = b"",
) -> bytes:
    """A file of `parts`; `offsets`, `sizes` replace values in the table, `own_sizes` those before data."""
    body, table_offsets, table_sizes = b"", [0] * 32, [0] * 32
    for number, (kind, data) in enumerate(parts):
        table_offsets[number], table_sizes[number] = HEADER_BYTES + len(body), len(data)
        size = (own_sizes or {}).get(number, len(data))
        body += struct.pack(">HHQ", kind, section_flags, size) + data + between
    for table, changes in ((table_offsets, offsets), (table_sizes, sizes)):
        for number, value in (changes or {}).items():
            table[number] = value
    header = struct.pack(
        ">4sHHQQHH", magic, version, flags, 1, 1, reserved, len(parts) if count is None else count
    )
    header += struct.pack(">32Q", *table_offsets) + struct.pack(">32Q", *table_sizes)
    return with_checksum(header + struct.pack(">II", unused, 0) + body + after)


def with_checksum(data: bytes) -> bytes:
    """`data` with the CRC32 that it should have, as somebody who changes a file would leave it."""
    if len(data) < HEADER_BYTES:
        return data
    crc = zlib.crc32(data[HEADER_BYTES:], zlib.crc32(data[: HEADER_BYTES - 4]))
    return data[: HEADER_BYTES - 4] + struct.pack(">I", crc) + data[HEADER_BYTES:]


def signature_section(pem: bytes, message: bytes) -> bytes:
    """As AWS's tools write it."""
    return cbor2.dumps([{"signing_certificate": list(pem), "signature": list(message)}])
