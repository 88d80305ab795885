"""Files and PCRs made by AWS's own code: read alike, measured alike, and written again byte for byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from enclave_compute.image.eif import read_image, write_eif
from enclave_compute.image.eif.header import Header
from enclave_compute.image.eif.sections import SECTION_HEADER_BYTES, Section, SectionKind
from enclave_compute.image.eif.writer import Content, write_contents

VECTORS = Path(__file__).parent / "eif/vectors"
INDEX: dict[str, dict[str, Any]] = json.loads((VECTORS / "index.json").read_text(encoding="utf-8"))


def content(name: str, section: Section) -> bytes:
    start = section.offset + SECTION_HEADER_BYTES
    return (VECTORS / f"{name}.eif").read_bytes()[start : start + section.size_bytes]


def test_there_is_a_file_for_every_kind() -> None:
    assert {path.stem for path in VECTORS.glob("*.eif")} == INDEX.keys()
    assert {entry["algorithm"] for entry in INDEX.values()} == {None, "ES256", "ES384", "ES512"}


@pytest.mark.parametrize("name", INDEX)
def test_measures_what_aws_measures(name: str) -> None:
    image = read_image(VECTORS / f"{name}.eif")
    entry = INDEX[name]
    assert image.measurements.as_hex() == entry["measurements"]
    assert image.header.architecture == entry["architecture"]
    assert (image.signature.algorithm if image.signature else None) == entry["algorithm"]
    kinds = [section.kind for section in image.sections]
    assert kinds.count(SectionKind.RAMDISK) == entry["ramdisks"]
    assert image.command_line == "reboot=k panic=30 pci=off console=ttyS0"


@pytest.mark.parametrize("name", INDEX)
def test_writes_the_bytes_that_aws_writes(name: str, tmp_path: Path) -> None:
    """All but the checksum and the table is copied; those have to come out the same."""
    image = read_image(VECTORS / f"{name}.eif")
    contents = [Content.of_bytes(section.kind, content(name, section)) for section in image.sections]
    write_contents(tmp_path / "again.eif", contents, Header(image.header.architecture, (), (), 0))
    assert (tmp_path / "again.eif").read_bytes() == (VECTORS / f"{name}.eif").read_bytes()


@pytest.mark.parametrize("name", [name for name in INDEX if INDEX[name]["algorithm"] is None])
def test_the_same_inputs_are_the_same_image(name: str, tmp_path: Path) -> None:
    image = read_image(VECTORS / f"{name}.eif")
    inputs: dict[SectionKind, list[Path]] = {}
    for number, section in enumerate(image.sections):
        path = tmp_path / f"{number}"
        path.write_bytes(content(name, section))
        inputs.setdefault(section.kind, []).append(path)
    (kernel,) = inputs[SectionKind.KERNEL]
    measured = write_eif(
        tmp_path / "own.eif",
        kernel=kernel,
        cmdline=image.command_line,
        ramdisks=inputs[SectionKind.RAMDISK],
        metadata=image.metadata,
        architecture=image.header.architecture,
    )
    own = read_image(tmp_path / "own.eif")
    assert measured == own.measurements == image.measurements
    assert own.metadata == image.metadata
    assert [section.kind for section in own.sections] == [section.kind for section in image.sections]
