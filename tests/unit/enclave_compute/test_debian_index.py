"""What a build asks for becomes a list of files: dependencies, alternatives, virtual packages, versions."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enclave_compute.image.debian.errors import LockError
from enclave_compute.image.debian.index import Suite, closure, package, read_suite, source_files
from enclave_compute.image.debian.versions import version_key
from enclave_compute.image.debian.wanted import read_wanted

SHA256 = "ab" * 32


def paragraph(name: str, version: str = "1-1", **fields: str) -> str:
    known = {
        "Package": name,
        "Version": version,
        "Architecture": "amd64",
        "Filename": f"pool/main/x/{name}/{name}_{version}_amd64.deb",
        "Size": "10",
        "SHA256": SHA256,
        **{key.replace("_", "-"): value for key, value in fields.items()},
    }
    return "".join(f"{key}: {value}\n" for key, value in known.items())


def suite(*paragraphs: str, sources: str = "") -> Suite:
    return read_suite("\n".join(paragraphs), sources)


def names(found: Suite, *wanted: str) -> list[str]:
    return sorted(closure(found, wanted))


def test_dependencies_are_followed_to_the_end() -> None:
    found = suite(
        paragraph("gcc", Depends="cpp (>= 4:14), libc6 (>= 2.36) [amd64], gcc-14:any"),
        paragraph("cpp", Pre_Depends="libc6"),
        paragraph("gcc-14", Depends="gcc"),
        paragraph("libc6"),
        paragraph("unrelated"),
    )
    assert names(found, "gcc") == ["cpp", "gcc", "gcc-14", "libc6"]


def test_the_first_alternative_that_exists_is_taken() -> None:
    found = suite(paragraph("aa", Depends="gone | second | third"), paragraph("second"), paragraph("third"))
    assert names(found, "aa") == ["aa", "second"]


def test_an_alternative_that_is_there_already_is_enough() -> None:
    found = suite(paragraph("aa", Depends="third"), paragraph("bb", Depends="second | third"))
    found.packages |= suite(paragraph("second"), paragraph("third")).packages
    assert names(found, "aa", "bb") == ["aa", "bb", "third"]


def test_a_virtual_package_is_provided_by_the_first_by_name() -> None:
    found = suite(
        paragraph("aa", Depends="awk"),
        paragraph("original-awk", Provides="awk"),
        paragraph("mawk", Provides="awk (= 1), other"),
        paragraph("zz", Depends="awk"),
    )
    assert names(found, "aa") == ["aa", "mawk"]
    assert names(found, "original-awk", "zz") == ["original-awk", "zz"]


def test_what_does_not_exist_is_named() -> None:
    with pytest.raises(LockError, match="no gone or lost"):
        closure(suite(paragraph("aa", Depends="gone | lost")), ["aa"])


def test_the_newest_of_several_versions_is_taken() -> None:
    found = suite(paragraph("aa", "1.9"), paragraph("aa", "1.10"), paragraph("aa", "1.10~rc1"))
    assert package(found, "aa").file.version == "1.10"


@pytest.mark.parametrize(
    "text",
    [
        "Package aa\n",
        paragraph("aa").replace("Size: 10", "Size: ten"),
        paragraph("aa").replace("Size: 10", "Size: -1"),
        paragraph("aa").replace(f"SHA256: {SHA256}\n", ""),
        paragraph("aa", Depends="(>= 1)"),
        paragraph("aa").replace("pool/main", "../main"),
    ],
)
def test_a_list_that_cannot_be_read_is_an_error_and_no_package_less(text: str) -> None:
    with pytest.raises(LockError):
        package(suite(text), "aa")


SOURCES = f"""Package: qemu
Version: 1:10.0.13+ds-0+deb13u1
Directory: pool/main/q/qemu
Checksums-Sha256:
 {SHA256} 1 qemu_10.0.13+ds-0+deb13u1.dsc
 {SHA256} 40 qemu_10.0.13+ds.orig.tar.xz
 {SHA256} 15 qemu_10.0.13+ds-0+deb13u1.debian.tar.xz

Package: qemu
Version: 1:11
Directory: pool/main/q/qemu
Extra-Source-Only: yes
Checksums-Sha256:
 {SHA256} 1 qemu_11.orig.tar.xz
"""


def test_a_source_package_is_its_files_without_the_description() -> None:
    files = source_files(suite(paragraph("aa"), sources=SOURCES), "qemu")
    assert [(file.file_name, file.size_bytes) for file in files] == [
        ("qemu_10.0.13+ds.orig.tar.xz", 40),
        ("qemu_10.0.13+ds-0+deb13u1.debian.tar.xz", 15),
    ]
    with pytest.raises(LockError, match="no source package gcc"):
        source_files(suite(paragraph("aa"), sources=SOURCES), "gcc")


OLD_TO_NEW = [
    "0~~",
    "0~",
    "0",
    "0a",
    "0.1",
    "1.0~rc1-1",
    "1.0-1",
    "1.0-1+deb13u1",
    "1.0-1.1",
    "1.10",
    "1:0",
    "2:0",
]


def test_versions_sort_from_old_to_new() -> None:
    assert sorted(OLD_TO_NEW, key=version_key) == OLD_TO_NEW


@given(st.lists(st.text(st.sampled_from("019a.+~-"), min_size=1, max_size=8), min_size=2, max_size=2))
def test_versions_compare_as_dpkg_compares_them(pair: list[str]) -> None:
    if not shutil.which("dpkg"):
        return
    first, second = (f"1{version}" for version in pair)
    said = subprocess.run(
        ["dpkg", "--compare-versions", first, "lt", second], check=False, capture_output=True
    )
    if said.returncode < 2 and not said.stderr:
        assert (version_key(first) < version_key(second)) == (said.returncode == 0)


@pytest.mark.parametrize(
    "text",
    [
        "not toml",
        "[a]\n",
        '[a]\npurpose = "x"\nfrom = [{}]\n',
        '[a]\npurpose = "x"\nfrom = []\nmore = 1\n',
        '[a]\npurpose = "x"\nfrom = [{suite = "trixie", archs = ["arm64"]}]\n',
    ],
)
def test_wishes_that_cannot_be_read_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "wanted.toml").write_text(text)
    with pytest.raises(LockError):
        read_wanted(tmp_path / "wanted.toml")
