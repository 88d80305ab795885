"""What a builder is told about the folder that is built from."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from enclave_compute.image.checkout import look_at, version_of
from enclave_compute.image.commands.build import commit_of
from enclave_compute.image.errors import ImageBuildError
from enclave_compute.image.wheels import WHEELS_LOCK


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=builder", "-c", "user.email=builder@example.org", "-c", "commit.gpgsign=false")
    command = ("git", *who, "-C", str(folder), *words)
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    for name in ("enclave_compute/life.py", "enclave_compute/image/build.py", "protos/calls.py", WHEELS_LOCK):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("# as committed\n")
    (folder / ".gitignore").write_text("scratch*\n")
    (folder / "pyproject.toml").write_text('[project]\nname = "concordat"\nversion = "7.8.9"\n')
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "all of it")
    return folder


def test_a_checkout_as_committed_is_named_by_its_commit(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (source / "README.md").write_text("not in the image")
    (source / "enclave_compute/image/new.py").write_text("# builds, and is not in the image\n")
    assert commit_of(look_at(source)) == git(source, "rev-parse", "HEAD")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["enclave_compute/forgotten.py", "protos/scratch.py"])
def test_a_module_that_nobody_committed_is_named(
    name: str, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that git is told to ignore would be in the image, too."""
    (source / name).write_text("# forgotten\n")
    assert commit_of(look_at(source)) is None
    assert (
        f"note: not as in commit {git(source, 'rev-parse', 'HEAD')[:12]}: {name}" in capsys.readouterr().err
    )


@pytest.mark.parametrize("name", ["enclave_compute/life.py", WHEELS_LOCK])
@pytest.mark.parametrize("stage", [False, True])
def test_what_was_changed_or_removed_is_named(name: str, stage: bool, source: Path) -> None:
    (source / name).write_text("# changed\n")
    if stage:
        git(source, "add", "--all")
    found = look_at(source)
    assert found is not None
    assert found.strays == [name]
    (source / name).unlink()
    found = look_at(source)
    assert found is not None
    assert found.strays == [name]


def test_of_many_the_first_are_named(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(5):
        (source / f"protos/new{number}.py").write_text("# new\n")
    commit_of(look_at(source))
    assert "protos/new0.py, protos/new1.py, protos/new2.py and 2 more" in capsys.readouterr().err


def test_a_folder_that_is_no_checkout_of_its_own_says_nothing(source: Path, tmp_path: Path) -> None:
    assert look_at(tmp_path) is None
    assert look_at(source / "protos") is None
    assert commit_of(None) is None


def test_the_version_is_the_sources(source: Path) -> None:
    assert version_of(source) == "7.8.9"
    (source / "pyproject.toml").write_text("[project]\n")
    with pytest.raises(ImageBuildError, match="names no version"):
        version_of(source)
