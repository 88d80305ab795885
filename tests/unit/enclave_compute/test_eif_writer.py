"""Writing image files: the same bytes every time, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from enclave_compute.image.eif import (
    ContentError,
    Measurements,
    metadata_of,
    read_image,
    sign_eif,
    write_eif,
)
from enclave_compute.image.eif.sections import SectionKind
from enclave_compute.image.eif.writer import Content
from tests.image_signers import signer

METADATA = metadata_of(
    name="concordat",
    version="0.1.0",
    build_time="1970-01-01T00:00:00Z",
    build_tool="concordat",
    build_tool_version="0.1.0",
    operating_system="Linux",
    kernel_version="6.12",
    custom={"b": [1, None], "a": "é"},
)


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Any]:
    for name in ("kernel", "boot", "application"):
        (tmp_path / name).write_bytes(name.encode() * 1000)
    return {
        "kernel": tmp_path / "kernel",
        "cmdline": "console=ttyS0",
        "ramdisks": [tmp_path / "boot", tmp_path / "application"],
        "metadata": METADATA,
    }


def written(path: Path, inputs: dict[str, Any], **changes: Any) -> Measurements:
    return write_eif(path, **{**inputs, **changes})


def test_what_is_written_is_what_is_read(tmp_path: Path, inputs: dict[str, Any]) -> None:
    measured = written(tmp_path / "a.eif", inputs, architecture="aarch64", signer=signer())
    image = read_image(tmp_path / "a.eif")
    assert image.measurements == measured
    assert image.header.architecture == "aarch64"
    assert image.command_line == "console=ttyS0"
    assert image.metadata == METADATA
    assert [section.kind.label for section in image.sections] == [
        *("kernel", "command line", "metadata", "ramdisk", "ramdisk", "signature")
    ]
    assert image.signature is not None
    assert image.signature.certificate == signer().certificate


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512"])
def test_the_same_inputs_are_the_same_bytes(algorithm: str, tmp_path: Path, inputs: dict[str, Any]) -> None:
    turned = {key: METADATA[key] for key in reversed(METADATA)}
    written(tmp_path / "a.eif", inputs, signer=signer(algorithm))
    written(tmp_path / "b.eif", inputs, signer=signer(algorithm), metadata=turned)
    assert (tmp_path / "a.eif").read_bytes() == (tmp_path / "b.eif").read_bytes()


def test_signing_later_is_signing_at_once(tmp_path: Path, inputs: dict[str, Any]) -> None:
    written(tmp_path / "unsigned.eif", inputs)
    written(tmp_path / "at-once.eif", inputs, signer=signer())
    sign_eif(tmp_path / "unsigned.eif", tmp_path / "later.eif", signer=signer())
    assert (tmp_path / "later.eif").read_bytes() == (tmp_path / "at-once.eif").read_bytes()


def test_a_signature_is_replaced(tmp_path: Path, inputs: dict[str, Any]) -> None:
    first = written(tmp_path / "first.eif", inputs, signer=signer(number=7))
    second = sign_eif(tmp_path / "first.eif", tmp_path / "second.eif", signer=signer(number=8))
    assert second == read_image(tmp_path / "second.eif").measurements
    assert (second.pcr0, second.pcr1, second.pcr2) == (first.pcr0, first.pcr1, first.pcr2)
    assert second.pcr8 != first.pcr8


def test_a_file_can_be_signed_in_its_own_place(tmp_path: Path, inputs: dict[str, Any]) -> None:
    path = tmp_path / "a.eif"
    written(path, inputs)
    assert sign_eif(path, path, signer=signer()).pcr8 == read_image(path).measurements.pcr8


def refused(path: Path, inputs: dict[str, Any], message: str, **changes: Any) -> None:
    """It is refused, and neither the file nor anything beside it is left."""
    before = sorted(path.parent.iterdir())
    with pytest.raises(ContentError, match=message):
        written(path, inputs, **changes)
    assert sorted(path.parent.iterdir()) == before


def test_what_cannot_be_written_is_refused(tmp_path: Path, inputs: dict[str, Any]) -> None:
    path, empty = tmp_path / "a.eif", tmp_path / "empty"
    empty.touch()
    refused(path, inputs, "cannot be read", kernel=tmp_path / "absent")
    refused(path, inputs, "got 0 bytes", kernel=empty)
    refused(path, inputs, "got 0 bytes", ramdisks=[empty])
    refused(path, inputs, "no ramdisk", ramdisks=[])
    refused(path, inputs, "got 33 sections", ramdisks=[tmp_path / "boot"] * 30)
    refused(path, inputs, "got 0 bytes", cmdline="")
    refused(path, inputs, "got 2048 bytes", cmdline="a" * 2048)
    refused(path, inputs, "printable ASCII", cmdline="ä")
    refused(path, inputs, "printable ASCII", cmdline="a\0")
    refused(path, inputs, "architecture 'riscv'", architecture="riscv")
    refused(
        path,
        inputs,
        "BuildMetadata, DockerInfo, CustomMetadata missing",
        metadata={"ImageName": "n", "ImageVersion": "1"},
    )
    refused(path, inputs, "not JSON", metadata={**METADATA, "CustomMetadata": float("nan")})
    refused(path, inputs, "not JSON", metadata={**METADATA, "CustomMetadata": b""})
    refused(path, inputs, "for a metadata", metadata={**METADATA, "CustomMetadata": "a" * 2**20})
    refused(tmp_path, inputs, "cannot be written")


def test_an_image_that_is_too_large_is_not_begun(tmp_path: Path, inputs: dict[str, Any]) -> None:
    for name in ("large", "larger"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(9 * 2**30)  # of holes: takes no room
    refused(tmp_path / "a.eif", inputs, "got an image of", ramdisks=[tmp_path / "large", tmp_path / "larger"])


def test_a_command_line_as_long_as_the_kernel_reads(tmp_path: Path, inputs: dict[str, Any]) -> None:
    written(tmp_path / "a.eif", inputs, cmdline="a" * 2047)
    assert read_image(tmp_path / "a.eif").command_line == "a" * 2047


def test_what_was_there_stays_whole_when_writing_fails(tmp_path: Path, inputs: dict[str, Any]) -> None:
    path = tmp_path / "a.eif"
    path.write_bytes(b"what was there")
    refused(path, inputs, "got 33 sections", ramdisks=[tmp_path / "boot"] * 30)
    assert path.read_bytes() == b"what was there"


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ramdisk"
    for change in (b"", b"x" * 11, b"x" * 9):
        file.write_bytes(b"x" * 10)
        content = Content.of_file(SectionKind.RAMDISK, file)
        file.write_bytes(change)
        with pytest.raises(ContentError, match="changed while it was read"):
            list(content.pieces())


def test_others_can_read_what_was_written(tmp_path: Path, inputs: dict[str, Any]) -> None:
    before = os.umask(0o022)
    try:
        written(tmp_path / "a.eif", inputs)
    finally:
        os.umask(before)
    assert (tmp_path / "a.eif").stat().st_mode & 0o777 == 0o644
