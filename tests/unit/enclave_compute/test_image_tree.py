"""The file system to be: what may be added, and the archive that Linux unpacks it from."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enclave_compute.image.cpio import write_cpio
from enclave_compute.image.errors import ImageBuildError
from enclave_compute.image.tree import (
    FILE_MODE,
    FOLDER_MODE,
    LINK_MODE,
    PROGRAM_MODE,
    Entry,
    Tree,
    character_device,
    file,
    folder,
    link,
)


def archive(tree: Tree) -> bytes:
    out = io.BytesIO()
    write_cpio(tree, out)
    return out.getvalue()


def read_back(data: bytes) -> dict[str, tuple[list[int], bytes]]:
    """As the kernel's `init/initramfs.c` walks it: path → the thirteen numbers and the content."""
    found: dict[str, tuple[list[int], bytes]] = {}
    at = 0
    while True:
        assert data[at : at + 6] == b"070701"
        numbers = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        name = data[at + 110 : at + 110 + numbers[11]]
        assert name.endswith(b"\0")
        at += (110 + numbers[11] + 3) & ~3
        content = data[at : at + numbers[6]]
        at += (numbers[6] + 3) & ~3
        if name == b"TRAILER!!!\0":
            assert at == len(data)
            return found
        found[name[:-1].decode()] = (numbers, content)


def test_every_kind_of_entry_comes_back(tmp_path: Path) -> None:
    (tmp_path / "library.so").write_bytes(b"\x7fELF" + bytes(70_001))
    tree = Tree()
    tree.add("usr/lib/library.so", file(tmp_path / "library.so"))
    tree.add("init", file(b"#!/usr/bin/python3\n", executable=True))
    tree.add("lib64/ld.so", link("../usr/lib/ld.so"))
    tree.add("dev/console", character_device(5, 1))
    tree.add("proc", folder())
    found = read_back(archive(tree))
    assert {path: numbers[1] for path, (numbers, _) in found.items()} == {
        "dev": FOLDER_MODE,
        "dev/console": 0o020600,
        "init": PROGRAM_MODE,
        "lib64": FOLDER_MODE,
        "lib64/ld.so": LINK_MODE,
        "proc": FOLDER_MODE,
        "usr": FOLDER_MODE,
        "usr/lib": FOLDER_MODE,
        "usr/lib/library.so": FILE_MODE,
    }
    assert found["usr/lib/library.so"][1] == (tmp_path / "library.so").read_bytes()
    assert found["lib64/ld.so"][1] == b"../usr/lib/ld.so"
    assert found["dev/console"][0][9:11] == [5, 1]


def test_nothing_in_an_archive_can_be_written_or_belongs_to_anybody_but_root() -> None:
    tree = Tree()
    tree.add("a/b", file(b"1"))
    tree.add("a/c", file(b"2", executable=True))
    for numbers, _ in read_back(archive(tree)).values():
        _inode, mode, owner, group, links, time_s, *_ = numbers
        assert not mode & 0o222
        assert (owner, group, links, time_s) == (0, 0, 1, 0)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,3}(/[a-z]{1,3}){0,3}", fullmatch=True), st.binary(max_size=9)))
def test_the_order_in_which_files_are_added_changes_nothing(files: dict[str, bytes]) -> None:
    names = [name for name in files if not any(other.startswith(f"{name}/") for other in files)]
    shuffled = random.Random(len(names)).sample(names, len(names))
    archives = []
    for order in (names, shuffled):
        tree = Tree()
        for name in order:
            tree.add(name, file(files[name]))
        archives.append(archive(tree))
    assert archives[0] == archives[1]
    assert {name: content for name, (_, content) in read_back(archives[0]).items() if name in names} == {
        name: files[name] for name in names
    }
    paths = list(read_back(archives[0]))
    assert all("/" not in path or path.rpartition("/")[0] in paths[:at] for at, path in enumerate(paths))


@pytest.mark.parametrize("path", ["", "/etc", "a/../b", "..", "a//b", "a/", "./a"])
def test_odd_paths_are_refused(path: str) -> None:
    with pytest.raises(ImageBuildError, match="expected a plain relative one"):
        Tree().add(path, file(b""))


@pytest.mark.parametrize("entry", [file(b"2"), folder(), link("b")])
def test_a_path_is_taken_once(entry: Entry) -> None:
    tree = Tree()
    tree.add("a", file(b"1"))
    with pytest.raises(ImageBuildError, match="a: two files"):
        tree.add("a", entry)


def test_nothing_lies_below_a_file() -> None:
    tree = Tree()
    tree.add("a", file(b"1"))
    with pytest.raises(ImageBuildError, match="below something that is no folder"):
        tree.add("a/b", file(b"2"))


def test_a_file_that_grows_while_it_is_read_is_no_input(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_bytes(b"1")
    tree = Tree()
    tree.add("module.py", file(path))

    class Growing(io.BytesIO):
        """The header has been written by then, with the size that the file had."""

        def write(self, data: Any) -> int:
            with path.open("ab") as more:
                more.write(b"!")
            return super().write(data)

    with pytest.raises(ImageBuildError, match=r"module\.py: changed while"):
        write_cpio(tree, Growing())
