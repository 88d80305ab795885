"""Which wheels the image is made from: one of each distribution, whatever else an index offers."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path

import pytest

from enclave_compute.image.contents import DISTRIBUTIONS
from enclave_compute.image.errors import ImageBuildError
from enclave_compute.image.wheels import WHEELS_LOCK, download, fetch_wheels, wheel_of
from enclave_compute.image.wheels_lock import ENCLAVE_LOCK, make_lock, pins_of

ROOT = Path(__file__).resolve().parents[3]
ANY = "py3-none-any"
NATIVE = "cp313-cp313-manylinux_2_17_x86_64"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package index that has nothing yet; pip on this machine knows no other."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", folder.as_uri())
    return folder


def offer(index: Path, name: str, *tags: str) -> dict[str, str]:
    """Puts wheels of version 1.0 there, and no others of that name; the hash of each by its tag."""
    module = name.replace(".", "_")
    about = f"{module}-1.0.dist-info"
    folder = index / name.replace(".", "-")
    folder.mkdir(exist_ok=True)
    hashes, links = {}, []
    for tag in tags:
        path = folder / f"{module}-1.0-{tag}.whl"
        with zipfile.ZipFile(path, "w") as wheel:
            wheel.writestr(zipfile.ZipInfo(f"{module}.py"), f"# for {tag}\n")
            metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
            wheel.writestr(zipfile.ZipInfo(f"{about}/METADATA"), metadata)
            wheel.writestr(zipfile.ZipInfo(f"{about}/WHEEL"), f"Wheel-Version: 1.0\nTag: {tag}\n")
            wheel.writestr(zipfile.ZipInfo(f"{about}/RECORD"), "")
        hashes[tag] = hashlib.sha256(path.read_bytes()).hexdigest()
        links.append(f'<a href="{path.name}#sha256={hashes[tag]}">{path.name}</a>')
    (folder / "index.html").write_text(f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>")
    return hashes


def pinned(name: str, *hashes: str, condition: str = "") -> str:
    lines = (f"--hash=sha256:{one}" for one in hashes)
    return " \\\n    ".join([f"{name.replace('.', '-')}==1.0{condition}", *lines]) + "\n"


def test_an_index_that_offers_another_wheel_gives_no_other_image(index: Path, tmp_path: Path) -> None:
    lock, fetched = tmp_path / "image.lock", tmp_path / "fetched"
    fetched.mkdir()
    lock.write_text(pinned("cbor2", offer(index, "cbor2", ANY, NATIVE)[ANY]))  # pip would prefer the other
    download(lock, fetched)
    assert wheel_of("cbor2", fetched).name == f"cbor2-1.0-{ANY}.whl"


def test_an_index_without_the_locked_wheel_is_no_index(index: Path, tmp_path: Path) -> None:
    lock = tmp_path / "image.lock"
    lock.write_text(pinned("cbor2", offer(index, "cbor2", NATIVE)[NATIVE]))
    offer(index, "cbor2", ANY)
    with pytest.raises(ImageBuildError, match=r"pip cannot fetch the wheels of image\.lock"):
        download(lock, tmp_path)


def test_the_lock_is_of_the_best_wheels_for_the_images_python(index: Path, tmp_path: Path) -> None:
    """Conditions on the Python that installs are no matter: the image has one Python."""
    lines = (
        pinned(name, *offer(index, name, ANY, NATIVE).values(), condition=" ; python_version < '3'")
        for name in DISTRIBUTIONS
    )
    (tmp_path / "image.lock").write_text(make_lock("".join(lines)))
    fetched = tmp_path / "fetched"
    fetched.mkdir()
    taken = fetch_wheels(tmp_path / "image.lock", fetched)
    assert set(taken) == set(DISTRIBUTIONS)
    assert all(wheel.name.endswith(f"-1.0-{NATIVE}.whl") for wheel in taken.values())


def test_a_lock_without_a_distribution_is_refused() -> None:
    with pytest.raises(ImageBuildError, match="has no cbor2"):
        pins_of("".join(f"{name.replace('.', '-')}==1.0\n" for name in DISTRIBUTIONS if name != "cbor2"))


def test_the_images_lock_has_one_wheel_of_each_that_the_enclaves_lock_allows() -> None:
    text = (ROOT / WHEELS_LOCK).read_text()
    assert " ; " not in text, "a condition on the Python that builds"
    taken, allowed = pins_of(text), pins_of((ROOT / ENCLAVE_LOCK).read_text())
    for name in DISTRIBUTIONS:
        pin, hashes = taken[name]
        assert pin == allowed[name][0], "make image-wheels"
        assert len(hashes) == 1
        assert set(hashes) <= set(allowed[name][1]), "make image-wheels"
