"""Locks say exactly which bytes may be used, and nothing that could be read in two ways."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enclave_compute.image.debian.errors import LockError
from enclave_compute.image.debian.lock import (
    LOCKS,
    MAX_LOCK_BYTES,
    Lock,
    format_lock,
    parse_lock_untrusted,
    read_lock,
)
from enclave_compute.image.debian.wanted import read_wanted
from enclave_compute.image.system import PACKAGES
from tests.debian_archives import pinned

FILE = pinned(b"x")
OTHER = pinned(b"y", name="dash", path="pool/main/d/dash/dash_0.5.12-12_amd64.deb")
SOURCE = replace(
    OTHER, name="qemu", architecture="source", path="pool/main/q/qemu/qemu_10.0.13+ds.orig.tar.xz"
)


def test_a_lock_is_read_as_it_was_written() -> None:
    text = format_lock("What it is for.\n\nMade by hand.", [SOURCE, OTHER, FILE])
    assert text.startswith("# What it is for.\n#\n# Made by hand.\nbc ")
    lock = parse_lock_untrusted(text.encode())
    assert lock.files == (FILE, OTHER, SOURCE)
    assert (lock.packages, lock.sources) == ((FILE, OTHER), (SOURCE,))
    assert lock.package("dash") == OTHER
    with pytest.raises(LockError, match="0 packages named qemu"):
        lock.package("qemu")


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "BC"},
        {"name": "../bc"},
        {"version": "one"},
        {"version": "1.0 2"},
        {"architecture": "arm64"},
        {"path": "/pool/main/b/bc/bc.deb"},
        {"path": "pool/main/b/../../../etc/passwd"},
        {"path": "pool/main/b/bc/.hidden"},
        {"path": "http://example.org/pool/main/b/bc/bc.deb"},
        {"size_bytes": 0},
        {"size_bytes": 2 << 30},
        {"sha256": FILE.sha256.upper()},
        {"sha256": FILE.sha256[:-1]},
    ],
    ids=str,
)
def test_a_file_that_cannot_be_meant_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(LockError, match="not a pinned file"):
        replace(FILE, **changed)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only a comment\n",
        f"{OTHER.line()}\n{FILE.line()}\n",
        f"{FILE.line()}\n{FILE.line()}\n",
        f"{FILE.line()}\n{replace(FILE, version='2').line()}\n",
        FILE.line().replace(" ", "  ", 1),
        FILE.line() + " more",
        FILE.line().replace(" 1 ", " 01 "),
        FILE.line().replace(" 1 ", " +1 "),
        FILE.line() + " # é",
        "# " + "x" * MAX_LOCK_BYTES,
    ],
    ids=lambda text: text[:20],
)
def test_a_lock_that_could_be_read_in_two_ways_is_refused(text: str) -> None:
    with pytest.raises(LockError):
        parse_lock_untrusted(text.encode())


def test_an_empty_lock_allows_nothing_and_is_refused() -> None:
    with pytest.raises(LockError, match="0 files"):
        Lock(())


@given(st.binary(max_size=300))
def test_whatever_is_read_gives_a_lock_or_our_error(junk: bytes) -> None:
    for data in (junk, FILE.line().encode()[: len(junk)] + junk):
        try:
            lock = parse_lock_untrusted(data)
        except LockError:
            continue
        assert parse_lock_untrusted(format_lock("", lock.files).encode()) == lock


@pytest.mark.parametrize("wanted", read_wanted(), ids=lambda wanted: wanted.name)
def test_the_locks_that_ship_have_what_is_wanted(wanted: object) -> None:
    (build,) = [build for build in read_wanted() if build == wanted]
    lock = read_lock(build.name)
    names = {file.name for file in lock.packages}
    for request in build.requests:
        assert set(request.packages) <= names
        assert set(request.sources) <= {file.name for file in lock.sources}


def test_every_lock_that_ships_is_wanted() -> None:
    assert {path.stem for path in LOCKS.glob("*.lock")} == {wanted.name for wanted in read_wanted()}


def test_the_image_is_made_of_the_packages_that_have_a_reason() -> None:
    assert {file.name for file in read_lock("image").files} == PACKAGES.keys()
