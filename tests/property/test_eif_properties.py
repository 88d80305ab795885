"""Image files of any content come back as written; any change to one shows; no bytes end in a crash."""

from __future__ import annotations

import io
import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave_compute.image.eif import ChecksumError, Image, ImageFileError, metadata_of, read_image, write_eif
from enclave_compute.image.eif.reader import read_untrusted
from enclave_compute.image.eif.sections import MEASURED
from tests.eif_files import GOOD, SIGNATURE, image_file, with_checksum
from tests.image_signers import signer

COMMAND_LINES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=60)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def read(data: bytes) -> Image:
    return read_untrusted(io.BytesIO(data), size_bytes=len(data))


SIGNED = image_file([*GOOD, (SIGNATURE, signer().sign(read(image_file()).measurements.pcr0))])


@settings(max_examples=60, deadline=None)
@given(
    kernel=st.binary(min_size=1, max_size=3000),
    ramdisks=st.lists(st.binary(min_size=1, max_size=3000), min_size=1, max_size=28),
    cmdline=COMMAND_LINES,
    custom=JSON,
    architecture=st.sampled_from(["x86_64", "aarch64"]),
    is_signed=st.booleans(),
)
def test_what_is_written_is_read(
    *, kernel: bytes, ramdisks: list[bytes], cmdline: str, custom: object, architecture: str, is_signed: bool
) -> None:
    metadata = metadata_of(
        name="n",
        version="v",
        build_time="t",
        build_tool="b",
        build_tool_version="v",
        operating_system="o",
        kernel_version="k",
        custom=custom,
    )
    with TemporaryDirectory() as folder:
        paths = [Path(folder, str(number)) for number in range(len(ramdisks) + 1)]
        for path, content in zip(paths, [kernel, *ramdisks], strict=True):
            path.write_bytes(content)
        file = Path(folder, "a.eif")
        measured = write_eif(
            file,
            kernel=paths[0],
            cmdline=cmdline,
            ramdisks=paths[1:],
            metadata=metadata,
            architecture=architecture,
            signer=signer() if is_signed else None,
        )
        image, data = read_image(file), file.read_bytes()
    assert image.measurements == measured
    assert (image.command_line, image.metadata, image.header.architecture) == (
        cmdline,
        metadata,
        architecture,
    )
    contents = [data[one.offset + 12 :][: one.size_bytes] for one in image.sections if one.kind in MEASURED]
    assert contents == [kernel, cmdline.encode(), *ramdisks]


@pytest.mark.parametrize("data", [image_file(), SIGNED], ids=["unsigned", "signed"])
def test_every_changed_byte_breaks_the_checksum_or_the_form(data: bytes) -> None:
    for at in range(len(data)):
        with pytest.raises(ImageFileError):
            read(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])


@pytest.mark.parametrize("data", [image_file(), SIGNED], ids=["unsigned", "signed"])
def test_a_byte_changed_with_its_checksum_is_refused_or_measured_or_metadata(data: bytes) -> None:
    """What a change leaves alone in the registers is the header's hints and metadata, and nothing else."""
    honest, chance, unmeasured = read(data), random.Random(1), 0
    metadata = honest.sections[2]
    for at in range(len(data)):
        changed = with_checksum(data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :])
        try:
            image = read(changed)
        except ImageFileError:
            continue
        if image.measurements == honest.measurements:
            unmeasured += 1
            in_metadata = metadata.offset + 12 <= at < metadata.offset + 12 + metadata.size_bytes
            in_hints = 8 <= at < 24 or at in (7, *range(544, 548))
            assert in_metadata or in_hints, at
    assert unmeasured


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damage_is_refused_by_name(data: st.DataObject) -> None:
    """Cut, overwritten, repeated, with a right checksum: an image is read, or one error family escapes."""
    damaged = bytearray(data.draw(st.sampled_from([image_file(), SIGNED])))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged)))
        end = min(len(damaged), at + data.draw(st.integers(0, 20)))
        damaged[at:end] = data.draw(st.binary(max_size=24))
    for candidate in (bytes(damaged), with_checksum(bytes(damaged))):
        try:
            read(candidate)
        except ImageFileError as error:
            assert error.message
            assert error.hint


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=700))
def test_any_bytes_are_refused_by_name(data: bytes) -> None:
    with pytest.raises(ImageFileError):
        read(with_checksum(b".eif\0\4\0\0" + data))


def test_a_checksum_is_the_last_thing_that_is_looked_at() -> None:
    data = image_file()
    with pytest.raises(ChecksumError):
        read(data[:544] + bytes(4) + data[548:])
