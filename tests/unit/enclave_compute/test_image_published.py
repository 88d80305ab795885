"""Measurements as they are published, and what another build of the source says about them."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from enclave_compute.image.commands.verify import verify_command_with
from enclave_compute.image.eif import Measurements
from enclave_compute.image.errors import ImageBuildError
from enclave_compute.image.published import (
    Rebuilt,
    conclusion,
    differences,
    inputs_of,
    published,
    read_measurements,
    write_measurements,
)
from enclave_compute.image.wheels import WHEELS_LOCK
from protos.formats.errors import FormatError
from tests.meta.repository import ROOT

MEASURED = Measurements(b"\x01" * 48, b"\x02" * 48, b"\x03" * 48, None)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A checkout's code and one lock."""
    folder = tmp_path / "checkout"
    for package in ("protos/formats", "enclave_compute"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / WHEELS_LOCK).parent.mkdir()
    (folder / WHEELS_LOCK).write_text("a==1\n")
    return folder


@pytest.fixture
def file(tmp_path: Path, source: Path) -> Path:
    path = tmp_path / "measurements.json"
    write_measurements(path, published("1.2.0", MEASURED, inputs_of(source), built_on="2026-11-27"))
    return path


def verify(file: Path, source: Path, measured: Measurements, *options: str) -> Result:
    def build(path: Path, root: Path) -> Rebuilt:
        path.write_bytes(b"an image")
        return Rebuilt(measured, inputs_of(root))

    command = verify_command_with(build)
    return CliRunner().invoke(command, [str(file), "--source", str(source), *options])


def test_the_source_is_what_the_image_has_of_it(source: Path) -> None:
    before = inputs_of(source)
    (source / "enclave_compute/image/new.py").write_text("# builds, and is not in the image\n")
    (source / "README.md").write_text("read me")
    assert inputs_of(source) == before
    (source / "enclave_compute/new.py").write_text("# in the image\n")
    after = inputs_of(source)
    assert {name for name in before if before[name] != after[name]} == {"source"}
    (source / "enclave_compute/new.py").rename(source / "enclave_compute/other.py")
    assert inputs_of(source)["source"] not in (before["source"], after["source"])


def test_inputs_are_named_by_their_digests(source: Path) -> None:
    found = inputs_of(source, commit="0a" * 20)
    assert found[WHEELS_LOCK] == "sha256:" + hashlib.sha256(b"a==1\n").hexdigest()
    kernel = (ROOT / "enclave_compute/image/locks/kernel.sha256").read_bytes()
    assert found["locks/kernel.sha256"] == "sha256:" + hashlib.sha256(kernel).hexdigest()
    assert found["commit"] == "git:" + "0a" * 20
    (source / WHEELS_LOCK).unlink()
    with pytest.raises(ImageBuildError, match=r"image\.lock: cannot be read"):
        inputs_of(source)


def test_what_is_written_is_what_is_read(file: Path, source: Path) -> None:
    found = read_measurements(file)
    assert (found.version, found.pcr2, dict(found.inputs)) == ("1.2.0", MEASURED.pcr2, inputs_of(source))
    file.write_bytes(file.read_bytes().replace(b"1.2.0", b"1.2.0 "))
    with pytest.raises(FormatError):
        read_measurements(file)
    with pytest.raises(ImageBuildError):
        read_measurements(file.with_name("none.json"))


def test_the_same_build_is_the_same(file: Path, source: Path) -> None:
    stated = published("1.2.0", MEASURED, inputs_of(source, commit="0a" * 20), built_on="2026-11-27")
    write_measurements(file, stated)
    result = verify(file, source, MEASURED)
    assert result.exit_code == 0, result.output
    assert "version 1.2.0: the same: this source gives exactly the published measurements" in result.output


def test_a_signed_image_is_compared_by_what_it_measures(file: Path, source: Path) -> None:
    assert verify(file, source, replace(MEASURED, pcr8=b"\x08" * 48)).exit_code == 0


@pytest.mark.parametrize(
    ("register", "meaning"),
    [("pcr0", "the whole image"), ("pcr1", "kernel, command line"), ("pcr2", "application")],
)
def test_a_register_that_differs_is_named(file: Path, source: Path, register: str, meaning: str) -> None:
    result = verify(file, source, replace(MEASURED, **{register: b"\x09" * 48}))
    assert result.exit_code == 1
    assert f"{register} differs ({meaning}" in result.output
    assert "09" * 48 in result.output
    assert "another image from the same inputs" in result.output


def test_inputs_that_differ_are_named(file: Path, source: Path) -> None:
    (source / WHEELS_LOCK).write_text("a==2\n")
    other = replace(MEASURED, pcr0=b"\x09" * 48, pcr2=b"\x09" * 48)
    result = verify(file, source, other, "--json")
    assert result.exit_code == 1
    said = json.loads(result.output)
    assert said["same"] is False
    names = [difference["what"] for difference in said["differences"]]
    assert names == ["pcr0", "pcr2", "requirements/image.lock"]
    assert "from other inputs: requirements/image.lock" in said["conclusion"]


def test_inputs_that_change_nothing_are_said_to(file: Path, source: Path) -> None:
    stated = read_measurements(file)
    rebuilt = Rebuilt(MEASURED, {**stated.inputs, "kernel": "sha256:" + "0" * 64})
    found = differences(stated, rebuilt)
    assert [(each.what, each.published) for each in found] == [("kernel", None)]
    assert conclusion(found).startswith("the same registers from inputs with other digests")
