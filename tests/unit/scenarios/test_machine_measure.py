"""One byte changed in the enclave's code changes PCR0 and PCR2; nothing else does."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from protos.formats.canonical import encode
from scenarios.machine import image, interpreter, staging
from scenarios.machine.errors import ImageError
from scenarios.machine.image import ImageFile, app_files, boot_files
from scenarios.machine.measure import Measurements, measure, measure_staged
from scenarios.machine.staging import staged

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The packages of a small enclave; the installed distributions come from where they are."""
    folder = tmp_path / "source"
    for path, text in {
        "enclave_compute/__init__.py": "",
        "enclave_compute/__main__.py": "print('an enclave')\n",
        "enclave_compute/engine/plan.py": "LIMIT = 1\n",
        "protos/__init__.py": "",
        "protos/formats/canonical.py": "ORDER = 1\n",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


@pytest.fixture(autouse=True)
def one_small_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashing 90 MB for every case would prove nothing more; `test_confinement` boots the whole image."""
    monkeypatch.setattr(image, "DISTRIBUTIONS", ("cbor2",))


def test_measuring_again_gives_the_same(source: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(source, copy)
    (copy / "enclave_compute" / "__main__.py").chmod(0o600)
    assert measure(source) == measure(source) == measure(copy)


@pytest.mark.parametrize(
    "changed",
    ["enclave_compute/__main__.py", "enclave_compute/engine/plan.py", "protos/formats/canonical.py"],
)
def test_one_byte_changes_the_image_and_the_application(changed: str, source: Path) -> None:
    before = measure(source)
    path = source / changed
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    after = measure(source)
    assert after.pcr0 != before.pcr0
    assert after.pcr1 == before.pcr1
    assert after.pcr2 != before.pcr2


def test_names_and_borders_of_files_are_measured(source: Path) -> None:
    before = measure(source)
    (source / "enclave_compute/engine/plan.py").rename(source / "enclave_compute/engine/plans.py")
    renamed = measure(source)
    (source / "enclave_compute/engine/plans.py").write_text("LIMIT = ")
    (source / "enclave_compute/engine/plant.py").write_text("1\n")
    split = measure(source)
    assert len({before.pcr2, renamed.pcr2, split.pcr2}) == 3


@pytest.mark.parametrize(
    "beside",
    [
        "enclave_compute/notes.txt",
        "enclave_compute/__pycache__/plan.cpython-311.pyc",
        "enclave_compute/image/build.py",
        "protos/v1/service.py",
        "party_client/client.py",
        "sitecustomize.py",
    ],
)
def test_what_does_not_run_in_the_enclave_is_not_measured(beside: str, source: Path) -> None:
    before = measure(source)
    (source / beside).parent.mkdir(parents=True, exist_ok=True)
    (source / beside).write_text("x = 1")
    assert measure(source) == before


def test_the_packages_of_the_enclave_are_measured(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = measure(source)
    monkeypatch.setattr(image, "DISTRIBUTIONS", ("cbor2", "cffi"))
    after = measure(source)
    assert (after.pcr1, after.pcr2 == before.pcr2) == (before.pcr1, False)


def test_the_boot_code_is_measured_as_pcr1(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = measure(source)
    weaker = tmp_path / "seccomp.py"
    weaker.write_text("def install() -> None: pass\n")
    files = [
        ImageFile(file.path, weaker) if file.path == "boot/seccomp.py" else file for file in boot_files()
    ]
    assert files != boot_files()
    monkeypatch.setattr("scenarios.machine.measure.boot_files", lambda: files)
    after = measure(source)
    assert after.pcr0 != before.pcr0
    assert after.pcr1 != before.pcr1
    assert after.pcr2 == before.pcr2


def test_the_interpreter_and_its_command_line_are_measured(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = measure(source)
    facts = interpreter.facts()
    assert facts["executable"] == hashlib.sha384(interpreter.executable().read_bytes()).digest()
    assert facts["version"] == sys.version
    monkeypatch.setattr(interpreter, "facts", lambda: {**facts, "flags": []})
    assert measure(source).pcr1 != before.pcr1


def test_registers_are_extended_like_those_of_an_image_file(source: Path) -> None:
    def content(files: list[ImageFile]) -> bytes:
        read = [(file.path, file.source.read_bytes()) for file in files]
        return b"".join(encode([path, len(data), hashlib.sha384(data).digest()]) for path, data in read)

    def register(data: bytes) -> bytes:
        return hashlib.sha384(bytes(48) + hashlib.sha384(data).digest()).digest()

    boot, app = encode(interpreter.facts()) + content(boot_files()), content(app_files(source))
    assert measure(source) == Measurements(register(boot + app), register(boot), register(app))


def test_a_folder_without_an_enclave_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="__main__"):
        measure(tmp_path)


def test_a_package_that_is_not_installed_is_named(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "DISTRIBUTIONS", ("no-such-distribution",))
    with pytest.raises(ImageError, match="no-such-distribution") as raised:
        measure(source)
    assert raised.value.hint == "install the enclave's packages: pip install 'concordat[enclave]'"


@pytest.fixture
def images(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "images"
    yield folder
    for path in folder.rglob("*"):
        if path.is_dir():
            path.chmod(0o755)


def test_a_staged_copy_is_read_only_and_measures_the_same(source: Path, images: Path) -> None:
    with staged(source, images) as copy:
        assert copy.measurements == measure(source) == measure_staged(copy.folder)
        everything = list(copy.folder.rglob("*"))
        assert not [path for path in everything if path.stat().st_mode & 0o222]
        assert not [path for path in everything if path.suffix in {".pyc", ".pyi", ".txt"}]


def test_a_staged_copy_is_used_again(source: Path, images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with staged(source, images) as first:
        monkeypatch.setattr(staging, "_copy", None)
        with staged(source, images) as second:
            assert second == first


def test_an_altered_copy_is_not_used(source: Path, images: Path) -> None:
    with staged(source, images) as first:
        victim = first.folder / "app/enclave_compute/__main__.py"
    victim.chmod(0o644)
    victim.write_text("print('somebody else')\n")
    with staged(source, images) as second:
        assert measure_staged(second.folder) == measure(source)
        assert (second.folder / "app/enclave_compute/__main__.py").read_text() == "print('an enclave')\n"


def test_a_file_added_to_a_copy_is_noticed(source: Path, images: Path) -> None:
    with staged(source, images) as first:
        folder = first.folder / "app"
    folder.chmod(0o755)
    (folder / "hashlib.py").write_text("")
    with staged(source, images) as second:
        assert not (second.folder / "app" / "hashlib.py").exists()


def test_an_altered_copy_that_somebody_runs_from_is_neither_used_nor_removed(
    source: Path, images: Path
) -> None:
    with staged(source, images) as first:
        victim = first.folder / "app/enclave_compute/__main__.py"
        victim.chmod(0o644)
        victim.write_text("print('somebody else')\n")
        with pytest.raises(ImageError), staged(source, images):
            pass
        assert victim.exists()


def test_copies_that_nobody_uses_are_removed_and_others_kept(source: Path, images: Path) -> None:
    with staged(source, images) as first:
        (source / "enclave_compute/engine/plan.py").write_text("LIMIT = 2\n")
        with staged(source, images) as second:
            assert sorted(images.iterdir()) == sorted([first.folder, second.folder])
    with staged(source, images) as third:
        assert list(images.iterdir()) == [third.folder]


def test_the_repositorys_own_enclave_has_everything_it_needs() -> None:
    paths = {file.path for file in app_files(REPOSITORY)}
    assert "app/protos/formats/canonical.py" in paths
    assert "app/enclave_compute/nsm/client.py" in paths
    assert not {path for path in paths if "/v1/" in path or "party_client" in path or "scenarios" in path}
