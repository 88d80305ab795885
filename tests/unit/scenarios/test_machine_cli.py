"""`concordat simulator` shows a release that an agreement can name, and says SIMULATED."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509

from scenarios.machine import image
from scenarios.machine.__main__ import main
from scenarios.machine.cli import default_state, group
from scenarios.machine.measure import measure
from scenarios.machine.pki import fingerprint
from scenarios.role import PACKAGES


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(image, "DISTRIBUTIONS", ("cbor2",))
    folder = tmp_path / "source"
    (folder / "enclave_compute").mkdir(parents=True)
    (folder / "enclave_compute" / "__main__.py").write_text("print('an enclave')\n")
    return folder


def run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(group, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_the_toml_is_a_release_of_an_agreement(source: Path, tmp_path: Path) -> None:
    shown = run("measure", "--state", tmp_path / "state", "--source", source, "--toml", "--name", "today")
    (release,) = tomllib.loads(shown)["releases"]
    measured = measure(source)
    root = x509.load_pem_x509_certificate((tmp_path / "state" / "root.pem").read_bytes())
    assert release == {
        "name": "today",
        "pcr0": measured.pcr0.hex(),
        "pcr1": measured.pcr1.hex(),
        "pcr2": measured.pcr2.hex(),
        "root_sha256": fingerprint(root).hex(),
    }
    assert shown.startswith("# SIMULATED")


def test_json_and_text_say_the_same(source: Path, tmp_path: Path) -> None:
    options = ("measure", "--state", tmp_path / "state", "--source", source)
    release = json.loads(run(*options, "--json"))
    text = run(*options)
    assert release["simulated"] is True
    assert text.startswith("SIMULATED")
    for key in ("name", "pcr0", "pcr1", "pcr2", "root_sha256", "root_pem"):
        assert f"{key:12} {release[key]}\n" in text
    assert Path(release["root_pem"]) == tmp_path / "state" / "root.pem"


def test_the_root_is_made_on_first_use_and_shown(tmp_path: Path) -> None:
    path = Path(run("root", "--state", tmp_path / "state").strip())
    assert run("root", "--state", tmp_path / "state", "--pem") == path.read_text()
    said = json.loads(run("root", "--state", tmp_path / "state", "--json"))
    sha256 = fingerprint(x509.load_pem_x509_certificate(path.read_bytes())).hex()
    assert said == {"root_pem": str(path), "sha256": sha256, "simulated": True}
    assert "SIMULATED" in x509.load_pem_x509_certificate(path.read_bytes()).subject.rfc4514_string()


def test_the_state_is_below_concordats_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CONCORDAT_HOME", str(tmp_path))
    assert default_state() == tmp_path / "simulator"
    monkeypatch.delenv("CONCORDAT_HOME")
    assert default_state() == Path.home() / ".concordat" / "simulator"


@pytest.mark.parametrize("text", ["abc", "8" + "0" * 15, "0" * 17, "ABCDEF0123456789"])
def test_an_enclave_id_is_16_hex_digits(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--socket", "x", "--enclave-id", text])
    assert "16 lower-case hex digits" in capsys.readouterr().err


def test_a_machine_whose_packages_are_not_installed_says_so() -> None:
    without = (
        "import runpy, sys; sys.modules['cryptography'] = None; "
        "runpy.run_module('scenarios.machine', run_name='__main__')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", without], capture_output=True, text=True, check=False, cwd=PACKAGES
    )
    assert ended.returncode == 1
    assert (
        ended.stderr == "error: a simulated machine needs cryptography: pip install 'concordat[scenarios]'\n"
    )
