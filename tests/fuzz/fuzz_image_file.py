"""Fuzz target: an image file of anybody's is refused with an `ImageFileError`, or is one image.

Each input is read as it is and with the checksum it should have, so that changes get past it. Of what is
accepted, the sections fill the file and the registers are those of the contents at the table's offsets.
"""

from __future__ import annotations

import contextlib
import hashlib
import io

from enclave_compute.image.eif import Image, ImageFileError
from enclave_compute.image.eif.reader import read_untrusted
from enclave_compute.image.eif.sections import MEASURED, SECTION_HEADER_BYTES
from enclave_compute.image.explanation import as_text
from tests.eif_files import GOOD, SIGNATURE, image_file, with_checksum
from tests.fuzz.runner import run
from tests.image_signers import signer


def read(data: bytes) -> Image:
    """The image in `data`."""
    return read_untrusted(io.BytesIO(data), size_bytes=len(data))


def one_input(data: bytes) -> None:
    """Reads `data` as a file, with its own checksum and with the right one."""
    for candidate in (data, with_checksum(data)):
        with contextlib.suppress(ImageFileError):
            require_one_image(candidate, read(candidate))


def require_one_image(data: bytes, image: Image) -> None:
    """The registers are those of a reader that follows the table, and nothing in the file is left over."""
    content = b"".join(
        data[offset + SECTION_HEADER_BYTES :][:size]
        for offset, size, section in zip(
            image.header.offsets, image.header.sizes, image.sections, strict=True
        )
        if section.kind in MEASURED
    )
    assert image.measurements.pcr0 == hashlib.sha384(bytes(48) + hashlib.sha384(content).digest()).digest()
    assert image.header.offsets[-1] + SECTION_HEADER_BYTES + image.header.sizes[-1] == len(data)
    assert all(line.isprintable() for line in as_text(image).split("\n"))


SEEDS = [
    image_file(),
    image_file(GOOD[:4]),
    image_file([*GOOD, (SIGNATURE, signer("ES256").sign(read(image_file()).measurements.pcr0))]),
]

if __name__ == "__main__":
    run(one_input, seeds=SEEDS)
