"""`concordat image`: what is printed for a person and for a program, and what a refusal looks like."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from enclave_compute.image.cli import group
from enclave_compute.image.eif import ImageFileError, read_image
from party_client.attestation.roots import AWS_ROOT_G1_SHA256
from party_client.cli.main import main
from protos.formats.participants import Release
from protos.release.roots import UNSIGNED_EMULATOR_SHA256
from tests.eif_files import COMMAND_LINE, GOOD, METADATA, METADATA_JSON, RAMDISK, image_file
from tests.image_signers import certificate_pem, key_pem, signer


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "concordat-1.eif"
    path.write_bytes(image_file())
    return path


@pytest.fixture
def signed(image: Path) -> Path:
    key, certificate = image.with_name("key.pem"), image.with_name("certificate.pem")
    key.write_bytes(key_pem(signer()))
    certificate.write_bytes(certificate_pem(signer()))
    output = image.with_name("signed.eif")
    shown = run("sign", image, "--key", key, "--certificate", certificate, "-o", output)
    assert shown == registers(output)
    return output


def run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(group, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0
    assert result.stderr == ""
    return result.output


def registers(path: Path) -> str:
    return "".join(f"{name:12} {value}\n" for name, value in read_image(path).measurements.as_hex().items())


def test_registers_of_an_image(image: Path, signed: Path) -> None:
    assert run("measure", image) == registers(image)
    assert run("measure", signed) == registers(signed)
    assert "pcr8" in registers(signed)
    assert "pcr8" not in registers(image)


def test_the_toml_is_a_release_of_an_agreement(signed: Path) -> None:
    (release,) = tomllib.loads(run("measure", signed, "--toml"))["releases"]
    measured = read_image(signed).measurements
    pcr0, pcr1, pcr2, root = (bytes.fromhex(release[key]) for key in ("pcr0", "pcr1", "pcr2", "root_sha256"))
    assert Release(release["name"], pcr0, pcr1, pcr2, root) == (
        Release("signed", measured.pcr0, measured.pcr1, measured.pcr2, AWS_ROOT_G1_SHA256)
    )


def test_a_release_of_the_emulator_is_asked_for_by_name(image: Path) -> None:
    (release,) = tomllib.loads(run("measure", image, "--unsafe-emulator", "--toml"))["releases"]
    assert release["root_sha256"] == UNSIGNED_EMULATOR_SHA256.hex()


def test_the_json_says_all_of_it(image: Path, signed: Path) -> None:
    colons = ":".join(["AB"] * 32)
    shown = json.loads(run("measure", signed, "--json", "--name", "today", "--root-sha256", colons))
    assert shown == {"name": "today", **read_image(signed).measurements.as_hex(), "root_sha256": "ab" * 32}
    assert json.loads(run("measure", image, "--json"))["name"] == "concordat-1"


@pytest.mark.parametrize("digits", ["", "ab", "x" * 64, "ab" * 33])
def test_a_fingerprint_has_32_bytes(image: Path, digits: str) -> None:
    result = CliRunner().invoke(group, ["measure", str(image), "--root-sha256", digits])
    assert result.exit_code == 2
    assert "expected 32 bytes" in result.stderr


def test_an_explanation_for_people(signed: Path) -> None:
    shown = run("explain", signed)
    image = read_image(signed)
    for expected in (
        "version 4, x86_64",
        "command line console=ttyS0 pci=off\n",
        *(section.sha256.hex() for section in image.sections),
        *image.measurements.as_hex().values(),
        "signature    ES384, of PCR0",
        "  subject    CN=Example image signer\n",
        "metadata     NOT MEASURED",
        '    "ImageName": "n"',
    ):
        assert expected in shown
    kinds = [line.split("  ")[0] for line in shown.splitlines() if "PCR0 PCR" in line]
    assert kinds == ["kernel", "command line", "ramdisk", "ramdisk"]
    assert "PCR0 PCR2" in shown


def test_an_explanation_for_programs(image: Path, signed: Path) -> None:
    shown = json.loads(run("explain", signed, "--json"))
    assert [section["measured_in"] for section in shown["sections"]] == [
        *(["pcr0", "pcr1"], ["pcr0", "pcr1"], [], ["pcr0", "pcr1"], ["pcr0", "pcr2"], [])
    ]
    assert shown["signature"]["algorithm"] == "ES384"
    assert shown["unmeasured_metadata"]["ImageName"] == "n"
    assert shown["measurements"] == read_image(signed).measurements.as_hex()
    assert json.loads(run("explain", image, "--json"))["signature"] is None


def test_what_says_nothing_is_said_to_say_nothing(image: Path) -> None:
    image.write_bytes(image_file(GOOD[:4]))
    shown = run("explain", image)
    assert "no other ramdisk: the same for every such image" in shown
    assert "none: PCR8 will be zero" in shown


def test_no_text_of_a_file_moves_the_cursor(image: Path) -> None:
    name = METADATA_JSON.replace(b'"n"', b'"\\u001b[2J\xc2\x9b\xe2\x80\xae"')
    changed = {METADATA: name, COMMAND_LINE: b"a\tb\nc"}
    image.write_bytes(image_file([(kind, changed.get(kind, content)) for kind, content in GOOD]))
    shown = run("explain", image)
    assert all(line.isprintable() for line in shown.splitlines())
    assert "a\\tb\\nc" in shown


def test_a_refusal_is_two_lines(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image.write_bytes(image_file([*GOOD, (RAMDISK, b"")]))
    assert main(["image", "measure", str(image)]) == 1
    error, hint = capsys.readouterr().err.splitlines()
    assert error.startswith("error: section 5 (ramdisk): got 0 bytes")
    assert hint.startswith("hint: obtain the image file again")


def test_nothing_is_overwritten(image: Path, signed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = signed.read_bytes()
    key, certificate = image.with_name("key.pem"), image.with_name("certificate.pem")
    arguments = ["image", "sign", image, "--key", key, "--certificate", certificate, "-o", signed]
    assert main([str(argument) for argument in arguments]) == 1
    assert "is there already" in capsys.readouterr().err
    assert signed.read_bytes() == before


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["image", "explain", str(tmp_path / "absent.eif")]) == 1
    assert "cannot be read" in capsys.readouterr().err
    with pytest.raises(ImageFileError, match="cannot be read"):
        read_image(tmp_path / "absent.eif")
