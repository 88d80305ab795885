"""The emulator's folder is there whole or not at all, and its programs run from anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from enclave_compute.image.debian.errors import BuildRootError
from enclave_compute.image.debian.lock import Lock
from scenarios.emulator import build
from scenarios.emulator.build import EmulatorError, build_emulator, copy_to, main
from tests.debian_archives import deb, pinned, tar


def silent(_: str) -> None:
    """Nobody wants to know."""


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """An emulator in the cache."""
    folder = tmp_path / "cache" / "emulator" / build.inputs_key()
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "qemu-system-x86_64").write_text("#!/bin/sh\n")
    return folder


def test_what_is_in_the_cache_is_not_built_again(tmp_path: Path, kept: Path) -> None:
    assert build_emulator(say=silent, cache=tmp_path / "cache") == kept


def test_a_copy_goes_where_nothing_is(tmp_path: Path, kept: Path) -> None:
    copy_to(kept, tmp_path / "to")
    assert (tmp_path / "to" / "bin" / "qemu-system-x86_64").exists()
    with pytest.raises(EmulatorError, match="there already"):
        copy_to(kept, tmp_path / "to")


def test_the_command_prints_the_folder_and_only_that(
    tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CONCORDAT_CACHE", str(tmp_path / "cache"))
    assert main([]) == 0
    assert capsys.readouterr().out == f"{kept}\n"
    assert main(["--to", str(kept)]) == 1
    assert "error:" in capsys.readouterr().err


def test_a_build_that_fails_leaves_no_folder_but_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build among packages that have no shell."""
    content = deb(tar([("./usr/bin/bc", b"calculator")]))
    file = pinned(content)
    kept = tmp_path / "debian" / file.sha256 / file.file_name
    kept.parent.mkdir(parents=True)
    kept.write_bytes(content)
    monkeypatch.setattr(build, "read_lock", lambda _: Lock((file,)))
    with pytest.raises(BuildRootError, match="env"):
        build_emulator(say=silent, cache=tmp_path)
    assert [path.name for path in (tmp_path / "emulator").iterdir()] == [f"{build.inputs_key()}.log"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["debian", "emulator"]
