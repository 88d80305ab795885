"""A folder of unpacked packages in which a build runs: no network, none of this machine's files or variables.

Nothing is installed and no package's scripts are run; the few links that they would make are made here. A
command sees the folder as its whole file system, beside `/proc` and the null, zero and random devices, and
is root only within a user namespace of its own. What it can still see of the machine: kernel version,
processors and the time; a build that must give the same bytes everywhere fixes what depends on them. Needs
`unshare`, `mount`, `chroot`.

Where namespaces are forbidden to root (in a container that is built), `chroot` alone has to do: the files
are still only the packages', but the network stays and processes are seen. What comes out is compared with
a pinned hash anyway.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
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
_ENVIRONMENT: Final = {"PATH": "/usr/sbin:/usr/bin", "HOME": "/tmp", "LC_ALL": "C", "TZ": "UTC"}  # noqa: S108 - inside the root
_LAST_BYTES: Final = 3000
# Both run on this machine's side, before the build's command.
_ENTER_NAMESPACES: Final = """
set -e
root=$1; shift
for device in null zero full random urandom; do
    : >>"$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mount -t proc proc "$root/proc"
exec chroot "$root" "$@"
"""
_ENTER_CHROOT: Final = """
set -e
root=$1; shift
while read -r device minor; do
    rm -f "$root/dev/$device"
    mknod -m 666 "$root/dev/$device" c 1 "$minor"
done <<'END'
null 3
zero 5
full 7
random 8
urandom 9
END
exec chroot "$root" "$@"
"""
_UNSHARE: Final = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--net", "--ipc", "--uts")
_OWN_USER: Final = ("--user", "--map-root-user")


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
        """Run a shell script in `/build`, what it prints to `log`. Raises `BuildRootError` when it fails."""
        environment = {**_ENVIRONMENT, **(variables or {})}
        settings = [f"{name}={value}" for name, value in environment.items()]
        shell = ["/usr/bin/env", "-i", *settings, "/bin/sh", "-euc", f"cd /{WORK}\n{script}"]
        command = [*isolation(), "enter", str(self.folder.absolute()), *shell]
        with log.open("ab") as output:
            try:
                finished = subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    check=False,
                    timeout=timeout_s,
                )
            except subprocess.TimeoutExpired as error:
                raise BuildRootError(
                    f"the build did not end within {timeout_s:.0f} s", hint=f"see {log}"
                ) from error
        if finished.returncode:
            raise BuildRootError(
                f"the build ended with status {finished.returncode}; its last lines:\n{_last_lines(log)}",
                hint=f"everything it said: {log}",
            )


def make_build_root(packages: Iterable[Path], folder: Path) -> BuildRoot:
    """Unpack `packages` below the new folder `folder`. Raises `ArchiveError`."""
    merge_folders(folder)
    for package in packages:
        unpack_deb_untrusted(package, folder)
    for name in (WORK, "dev", "proc", "tmp"):
        (folder / name).mkdir(exist_ok=True)
    for name, target in _LINKS.items():
        link = folder / "usr" / "bin" / name
        if link.with_name(target).exists() and not link.is_symlink() and not link.exists():
            link.symlink_to(target)
    return BuildRoot(folder)


def merge_folders(folder: Path) -> None:
    """Make `folder`, with the links (`/bin` to `/usr/bin`, ...) that Debian's packages take for granted."""
    for name in _MERGED:
        (folder / "usr" / name).mkdir(parents=True)
        (folder / name).symlink_to(f"usr/{name}")


def isolation() -> tuple[str, ...]:
    """The start of the command line that isolates a build, as well as this machine can.

    Raises `BuildRootError` when it cannot.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise BuildRootError(
            f"builds run Debian's programs for x86-64 Linux; this is {sys.platform} on {platform.machine()}",
            hint="build on another machine, or in a container on one",
        )
    is_root = os.geteuid() == 0
    for namespaces in ((*_UNSHARE, *_OWN_USER), *([_UNSHARE] if is_root else [])):
        # Not any mount will do: in a container that masks parts of /proc, this is the one that is forbidden.
        if _works([*namespaces, "mount", "-t", "proc", "proc", "/proc"]):
            return (*namespaces, "/bin/sh", "-c", _ENTER_NAMESPACES)
    if is_root and _works(["chroot", "/", "true"]):
        return ("/bin/sh", "-c", _ENTER_CHROOT)
    raise BuildRootError(
        "this machine does not let a build have namespaces of its own",
        hint="install util-linux and allow user namespaces (sysctl user.max_user_namespaces), or be root",
    )


def _works(command: Sequence[str]) -> bool:
    try:
        return not subprocess.run(
            command, capture_output=True, check=False, stdin=subprocess.DEVNULL
        ).returncode
    except OSError:
        return False


def _last_lines(log: Path) -> str:
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - _LAST_BYTES))
        return stream.read().decode("utf-8", "replace").strip()
