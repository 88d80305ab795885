"""Packages are unpacked below their folder whatever they say, and damage is named."""

from __future__ import annotations

import contextlib
import gzip
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enclave_compute.image.debian import deb as unpacking
from enclave_compute.image.debian.deb import inside, unpack_deb_untrusted
from enclave_compute.image.debian.errors import ArchiveError
from tests.debian_archives import ar, deb, files_below, folder, link, tar


@pytest.fixture
def unpacked(tmp_path: Path) -> Callable[[bytes], Path]:
    def unpack(package: bytes) -> Path:
        root = tmp_path / "root"
        root.mkdir(exist_ok=True)
        (tmp_path / "x.deb").write_bytes(package)
        unpack_deb_untrusted(tmp_path / "x.deb", root)
        return root

    return unpack


Unpack = Callable[[bytes], Path]


@pytest.mark.parametrize("compress", [True, False], ids=["xz", "plain"])
def test_files_folders_and_links(unpacked: Unpack, compress: bool) -> None:
    members: list[tarfile.TarInfo | tuple[str, bytes]] = [
        folder("./"),
        folder("./usr/"),
        ("./usr/a", b"first"),
        link("./usr/b", "a"),
        link("./usr/c", "./usr/a", kind=tarfile.LNKTYPE),
    ]
    root = unpacked(deb(tar(members), compress=compress))
    assert files_below(root) == {"usr/a": b"first", "usr/c": b"first"}
    assert (root / "usr/b").readlink() == Path("a")


def test_gzip_is_read_and_other_compressions_are_named(unpacked: Unpack) -> None:
    data = tar([("./a", b"x")])
    control = ("control.tar.gz", b"")
    packed = ar([("debian-binary", b"2.0\n"), control, ("data.tar.gz", gzip.compress(data))])
    assert files_below(unpacked(packed)) == {"a": b"x"}
    with pytest.raises(ArchiveError, match=r"got 'data\.tar\.zst'"):
        unpacked(ar([("debian-binary", b"2.0\n"), control, ("data.tar.zst", b"")]))


def test_a_later_package_replaces_files_and_keeps_merged_folders(unpacked: Unpack) -> None:
    root = unpacked(deb(tar([("./usr/bin/a", b"old"), link("./bin", "usr/bin")])))
    unpacked(deb(tar([folder("./bin"), ("./bin/a", b"new")])))
    assert files_below(root) == {"usr/bin/a": b"new"}
    assert (root / "bin").is_symlink()


def test_set_user_id_is_dropped(unpacked: Unpack) -> None:
    info = tarfile.TarInfo("su")
    info.mode = 0o6755
    assert unpacked(deb(tar([info]))).joinpath("su").stat().st_mode & 0o7777 == 0o755


@pytest.mark.parametrize("name", ["../out", "./a/../../out", "/out"])
def test_a_path_that_leaves_the_folder_is_refused(unpacked: Unpack, tmp_path: Path, name: str) -> None:
    with pytest.raises(ArchiveError, match="leaves the folder"):
        unpacked(deb(tar([(name, b"x")])))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("target", ["{outside}", "../outside", "../../../../../../../..{outside}"])
def test_a_link_leads_nowhere_out_of_the_folder(unpacked: Unpack, tmp_path: Path, target: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    way = target.format(outside=outside)
    root = unpacked(deb(tar([link("./way", way), ("./way/file", b"x")])))
    assert list(outside.iterdir()) == []
    assert b"x" in files_below(root).values()


def test_a_file_is_not_written_through_a_link_in_its_place(unpacked: Unpack, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    root = unpacked(deb(tar([link("./a", str(victim)), ("./a", b"theirs")])))
    assert victim.read_bytes() == b"mine"
    assert (root / "a").read_bytes() == b"theirs"


@pytest.mark.parametrize("target", ["{victim}", "../victim", "missing"])
def test_a_hard_link_reaches_no_file_outside(unpacked: Unpack, tmp_path: Path, target: str) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    with pytest.raises(ArchiveError):
        unpacked(deb(tar([link("./a", target.format(victim=victim), kind=tarfile.LNKTYPE)])))


def test_a_hard_link_through_a_link_reaches_no_file_outside(unpacked: Unpack, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    with pytest.raises(ArchiveError, match="what is not a file"):
        unpacked(deb(tar([link("./a", str(victim)), link("./b", "a", kind=tarfile.LNKTYPE)])))


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_are_refused(unpacked: Unpack, kind: bytes) -> None:
    with pytest.raises(ArchiveError, match="neither file nor folder nor link"):
        unpacked(deb(tar([link("./dev", "", kind=kind)])))


def test_links_that_go_round_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(ArchiveError, match="links on the way"):
        inside(tmp_path, ("a", "file"), "x")


@pytest.mark.parametrize(("limit", "value"), [("MAX_MEMBERS", 2), ("MAX_UNPACKED_BYTES", 25)])
def test_size_and_count_are_bounded(
    unpacked: Unpack, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    members = [(f"./{number}", b"0123456789") for number in range(3)]
    unpacked(deb(tar(members)))
    monkeypatch.setattr(unpacking, limit, value)
    with pytest.raises(ArchiveError, match="more than"):
        unpacked(deb(tar(members)))


def test_what_is_written_for_a_member_is_what_its_header_says(unpacked: Unpack) -> None:
    """A tar that ends within a file is damage, not a shorter file."""
    whole = tar([("./a", b"0123456789" * 1000)])
    with pytest.raises(ArchiveError, match="damaged"):
        unpacked(deb(whole[:3000], compress=False))


@pytest.mark.parametrize(
    "package",
    [
        b"",
        b"not a package",
        ar([]),
        ar([("debian-binary", b"3.0\n")]),
        ar([("debian-binary", b"2.0\n"), ("data.tar.xz", b"")]),
        ar([("debian-binary", b"2.0\n"), ("control.tar", b"")]),
        ar([("debian-binary", b"2.0\n"), ("control.tar", b""), ("data.tar.xz", b"not xz")]),
        deb(tar([("./a", b"x")]))[:-20],
        deb(tar([("./a", b"x")])).replace(b"`\n", b"``", 1),
    ],
)
def test_what_is_no_package_is_refused(unpacked: Unpack, package: bytes) -> None:
    with pytest.raises(ArchiveError):
        unpacked(package)


NAMES = st.text(st.sampled_from("ab./\\\0é"), max_size=12)
KINDS = st.sampled_from(
    [
        tarfile.REGTYPE,
        tarfile.DIRTYPE,
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.CHRTYPE,
        tarfile.FIFOTYPE,
        b"S",
    ]
)


@st.composite
def hostile_members(draw: st.DrawFn) -> list[Any]:
    members: list[Any] = []
    for _ in range(draw(st.integers(0, 6))):
        info = link(draw(NAMES), draw(NAMES), kind=draw(KINDS))
        info.mode = draw(st.integers(0, 0o7777))
        members.append(draw(st.sampled_from([info, (info.name, b"x")])))
    return members


@given(members=hostile_members())
def test_no_package_writes_outside_its_folder(
    tmp_path_factory: pytest.TempPathFactory, members: list[Any]
) -> None:
    base = tmp_path_factory.mktemp("hostile")
    root = base / "deep" / "root"
    root.mkdir(parents=True)
    (base / "x.deb").write_bytes(deb(tar(members), compress=False))
    with contextlib.suppress(ArchiveError):
        unpack_deb_untrusted(base / "x.deb", root)
    assert sorted(path.relative_to(base).as_posix() for path in base.glob("*")) == ["deep", "x.deb"]
    assert [path.name for path in (base / "deep").iterdir()] == ["root"]


@given(cut=st.integers(0, 2000), junk=st.binary(max_size=64), at=st.integers(0, 2000))
def test_damaged_packages_give_our_error_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, cut: int, junk: bytes, at: int
) -> None:
    base = tmp_path_factory.mktemp("damaged")
    whole = deb(tar([("./usr/a", b"content" * 50), link("./b", "usr/a")]))
    damaged = (whole[:at] + junk + whole[at + len(junk) :])[: max(cut, at)]
    (base / "x.deb").write_bytes(damaged)
    with contextlib.suppress(ArchiveError):
        unpack_deb_untrusted(base / "x.deb", base / "root")
