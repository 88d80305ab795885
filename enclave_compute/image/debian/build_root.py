"""A folder of unpacked packages in which a build runs: no network, none of this machine's files or variables.

Nothing is installed and no package's scripts are run; the few links that they would make are made here. A command
sees the folder as its whole file system, beside `/proc` and the null, zero and random devices, and is root only
within a user namespace of its own. What it can still see of the machine: kernel version, processors and the time;
a build that must give the same bytes everywhere fixes what depends on them. Needs: `unshare`, `mount`, `chroot`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from enclave_compute.image.debian.deb import unpack_deb_untrusted
from enclave_compute.image.debian.errors import BuildRootError

WORK: Final = "build"
"""The folder, at the root, that a build is free to use."""

_MERGED: Final = ("bin", "lib", "lib64", "sbin")
_LINKS: Final = {"awk": "mawk", "cc": "gcc", "c++": "g++"}
"""Programs that packages leave to `update-alternatives`: the name, and who is behind it here."""
_DEVICES: Final = ("null", "zero", "full", "random", "urandom")
_ENVIRONMENT: Final = {"PATH": "/usr/sbin:/usr/bin", "HOME": "/tmp", "LC_ALL": "C", "TZ": "UTC"}  # noqa: S108 - inside the root
_LAST_BYTES: Final = 3000
# Runs on this machine's side, in the new namespaces, and ends as the build's command.
_ENTER: Final = """
set -e
root=$1; shift
for device in null zero full random urandom; do mount --bind "/dev/$device" "$root/dev/$device"; done
mount -t proc proc "$root/proc"
exec chroot "$root" "$@"
"""
_OWN_USER: Final = ("--user", "--map-root-user")
_OWN_REST: Final = ("--mount", "--pid", "--fork", "--kill-child", "--net", "--ipc", "--uts")


@dataclass(frozen=True)
class BuildRoot:
    """Unpacked packages below `folder`."""

    folder: Path

    @property
    def work(self) -> Path:
        """`/build` as seen from outside."""
        return self.folder / WORK

    def run(
        self, script: str, *, log: Path, variables: Mapping[str, str] | None = None, timeout_s: float = 3600
    ) -> None:
        """Run a shell script in `/build`; what it prints goes to `log`. Raises `BuildRootError` when it fails."""
        environment = {**_ENVIRONMENT, **(variables or {})}
        settings = [f"{name}={value}" for name, value in environment.items()]
        shell = ["/usr/bin/env", "-i", *settings, "/bin/sh", "-euc", f"cd /{WORK}\n{script}"]
        command = ["unshare", *_namespaces(), "/bin/sh", "-c", _ENTER, "enter", str(self.folder), *shell]
        with log.open("ab") as output:
            try:
                finished = subprocess.run(
                    command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False, timeout=timeout_s
                )
            except subprocess.TimeoutExpired as error:
                raise BuildRootError(f"the build did not end within {timeout_s:.0f} s", hint=f"see {log}") from error
        if finished.returncode:
            raise BuildRootError(
                f"the build ended with status {finished.returncode}; its last lines:\n{_last_lines(log)}",
                hint=f"everything it said: {log}",
            )


def make_build_root(packages: Iterable[Path], folder: Path) -> BuildRoot:
    """Unpack `packages` below the new folder `folder`. Raises `ArchiveError`."""
    for name in _MERGED:
        (folder / "usr" / name).mkdir(parents=True)
        (folder / name).symlink_to(f"usr/{name}")
    for package in packages:
        unpack_deb_untrusted(package, folder)
    for name in (WORK, "dev", "proc", "tmp"):
        (folder / name).mkdir(exist_ok=True)
    for name in _DEVICES:
        (folder / "dev" / name).touch()
    for name, target in _LINKS.items():
        link = folder / "usr" / "bin" / name
        if link.with_name(target).exists() and not link.is_symlink() and not link.exists():
            link.symlink_to(target)
    return BuildRoot(folder)


def _namespaces() -> tuple[str, ...]:
    """What to ask `unshare` for here. Raises `BuildRootError` when this machine cannot isolate a build."""
    if not shutil.which("unshare"):
        raise BuildRootError("no `unshare` here: a build cannot be isolated", hint="install util-linux; Linux only")
    chosen = (_OWN_USER + _OWN_REST, _OWN_REST) if os.geteuid() == 0 else (_OWN_USER + _OWN_REST,)
    said = ""
    for options in chosen:
        tried = subprocess.run(
            ["unshare", *options, "true"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
        if tried.returncode == 0:
            return options
        said = tried.stderr.strip()
    raise BuildRootError(
        f"this machine does not let a build have namespaces of its own: {said}",
        hint="allow user namespaces (sysctl kernel.unprivileged_userns_clone, user.max_user_namespaces), or be root",
    )


def _last_lines(log: Path) -> str:
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - _LAST_BYTES))
        return stream.read().decode("utf-8", "replace").strip()
