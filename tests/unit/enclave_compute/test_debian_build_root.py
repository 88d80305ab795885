"""A build sees its packages' files and nothing of this machine (whose programs they are made of)."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from enclave_compute.image.debian import build_root
from enclave_compute.image.debian.build_root import BuildRoot, isolation, make_build_root
from enclave_compute.image.debian.errors import BuildRootError
from enclave_compute.image.debian.lock import Lock
from enclave_compute.image.debian.unpacking import unpack_packages
from tests.debian_archives import deb, files_below, pinned, tar

PROGRAMS = ("sh", "env", "cat", "ls", "sleep")


def package(*members: tuple[str, bytes]) -> bytes:
    return deb(tar(members))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> BuildRoot:
    """A root with a shell and four programs."""
    base = tmp_path_factory.mktemp("root")
    files: dict[str, bytes] = {}
    for program in PROGRAMS:
        path = shutil.which(program)
        assert path
        files[f"./usr/bin/{program}"] = Path(path).read_bytes()
        said = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
        for library in re.findall(r"(/\S+) \(0x", said):
            name = library.removeprefix("/usr").lstrip("/")
            files[f"./usr/{name}"] = Path(library).read_bytes()
    (base / "programs.deb").write_bytes(package(*files.items(), ("./usr/bin/gcc", b"#!/bin/sh\n")))
    made = make_build_root([base / "programs.deb"], base / "root")
    for name in files:
        made.folder.joinpath(name).chmod(0o755)
    return made


def printed(root: BuildRoot, script: str, tmp_path: Path, **variables: str) -> list[str]:
    log = tmp_path / "log"
    root.run(script, log=log, variables=variables)
    return log.read_text().splitlines()


def test_a_build_sees_the_packages_files_and_nothing_else(root: BuildRoot, tmp_path: Path) -> None:
    seen = printed(root, "ls /; ls /dev", tmp_path)
    expected = ["bin", "build", "dev", "lib", "lib64", "proc", "sbin", "tmp", "usr"]
    assert seen == [*expected, "full", "null", "random", "urandom", "zero"]


def test_a_build_has_no_variable_of_this_machine(
    root: BuildRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THIS_MACHINE", "x")
    seen = printed(root, "env", tmp_path, JOBS="2")
    names = {line.partition("=")[0] for line in seen} - {"_", "PWD", "OLDPWD", "SHLVL"}
    assert names == {"PATH", "HOME", "LC_ALL", "TZ", "JOBS"}


def test_a_build_works_in_its_folder_and_what_it_leaves_is_there(root: BuildRoot, tmp_path: Path) -> None:
    assert printed(root, "echo made >here; cat /build/here", tmp_path) == ["made"]
    assert (root.work / "here").read_text() == "made\n"


def test_a_build_has_no_network_and_sees_no_process_of_this_machine(root: BuildRoot, tmp_path: Path) -> None:
    if isolation()[0] != "unshare":
        return  # chroot is all that this machine allows: what is left open is in the module's own words
    devices = printed(root, "cat /proc/net/dev", tmp_path)[2:]
    assert [line.split(":")[0].strip() for line in devices] == ["lo"]
    processes = [name for name in printed(root, "ls /proc", tmp_path) if name.isdigit()]
    assert len(processes) <= 3


def test_links_that_package_scripts_would_make_are_made(root: BuildRoot) -> None:
    assert (root.folder / "usr/bin/cc").readlink() == Path("gcc")
    assert not (root.folder / "usr/bin/awk").is_symlink()


def test_a_build_that_fails_shows_its_last_lines_and_where_the_rest_is(
    root: BuildRoot, tmp_path: Path
) -> None:
    with pytest.raises(BuildRootError, match=r"(?s)status 1.*said before") as raised:
        root.run("echo said before; cat /missing; echo not reached", log=tmp_path / "log")
    assert "not reached" not in (tmp_path / "log").read_text()
    assert str(tmp_path / "log") in (raised.value.hint or "")


def test_a_build_that_does_not_end_is_ended_with_all_its_processes(root: BuildRoot, tmp_path: Path) -> None:
    mark = f"9{os.getpid()}"
    with pytest.raises(BuildRootError, match="did not end within"):
        root.run(f"sleep {mark} & sleep {mark}", log=tmp_path / "log", timeout_s=1)
    deadline = time.monotonic() + 20
    while any(mark in line for line in command_lines()):
        assert time.monotonic() < deadline, "a process of the build is left"
        time.sleep(0.1)


def command_lines() -> list[str]:
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return [line for line in lines if line.startswith("sleep")]


def without_namespaces(command: Sequence[str]) -> bool:
    return command[0] == "chroot"


def test_where_namespaces_are_forbidden_root_builds_by_chroot_and_others_are_told(
    root: BuildRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_root, "_works", without_namespaces)
    if os.geteuid() == 0:
        seen = printed(root, "ls /proc; cat </dev/null; echo done", tmp_path)
        assert seen == ["done"]
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(BuildRootError, match="namespaces") as raised:
        isolation()
    assert "user namespaces" in (raised.value.hint or "")


def test_a_container_that_masks_part_of_proc_builds_by_what_works_there() -> None:
    """A user namespace of one's own is to be had in it, and of no use: no /proc can be mounted there."""
    masked = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
    ask = "from enclave_compute.image.debian.build_root import isolation; print(isolation())"
    script = f'mount -t tmpfs none /proc/fs && exec "$1" -c "{ask}"'
    if isolation()[0] != "unshare":
        return  # this machine is such a container: the build that the other tests run is the proof
    said = subprocess.run([*masked, script, "sh", sys.executable], capture_output=True, text=True, check=True)
    assert "--user" not in said.stdout


def test_another_kind_of_machine_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(BuildRootError, match="x86-64 Linux; this is linux on aarch64"):
        isolation()


def test_packages_of_a_lock_are_laid_side_by_side(tmp_path: Path) -> None:
    content = package(("./bin/bc", b"calculator"))
    file = pinned(content)
    kept = tmp_path / "cache" / "debian" / file.sha256 / file.file_name
    kept.parent.mkdir(parents=True)
    kept.write_bytes(content)
    laid = unpack_packages(Lock((file,)), ["bc"], tmp_path / "laid", cache=tmp_path / "cache")
    assert laid == tmp_path / "laid"
    assert files_below(laid / file.name) == {"usr/bin/bc": b"calculator"}
