"""What the folder that an image is built from says of itself: its version, and whether it is as committed.

An image has every module that lies in the folder, a forgotten one as well; whoever builds is told of those
that no commit has. That is for people: what counts is what the image measures. Where there is no git, or the
folder is no checkout of its own, nothing is said.
"""

from __future__ import annotations

import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

from enclave_compute.image.contents import OWN_FOLDERS, own_files
from enclave_compute.image.errors import ImageBuildError
from enclave_compute.image.wheels import WHEELS_LOCK


@dataclass(frozen=True)
class Checkout:
    """What an image is made from, against the last commit."""

    commit: str
    """40 hexadecimal digits."""
    strays: list[str]
    """Files of the image that are not as committed, or not committed at all."""


def version_of(source_root: Path) -> str:
    """The version that the source names. Raises `ImageBuildError`."""
    path = source_root / "pyproject.toml"
    try:
        return str(tomllib.loads(path.read_text(encoding="utf-8"))["project"]["version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ImageBuildError(
            f"{path}: names no version", hint="give a checkout of the repository: --source DIR"
        ) from error


def look_at(source_root: Path) -> Checkout | None:
    """The commit and what differs from it, or None where git does not say."""
    root = source_root.resolve()
    top = _git(root, "rev-parse", "--show-toplevel")
    if top is None or Path(top.removesuffix("\n")).resolve() != root:
        return None
    commit = _git(root, "rev-parse", "--verify", "HEAD")
    tracked = _git(root, "ls-files", "-z", "--", *OWN_FOLDERS)
    changed = _git(root, "diff", "--name-only", "--no-renames", "-z", "HEAD", "--", *OWN_FOLDERS, WHEELS_LOCK)
    if commit is None or tracked is None or changed is None:
        return None
    committed = set(tracked.split("\0")) - set(changed.split("\0"))
    strays = [name for name, _ in own_files(root) if name not in committed]
    strays += [name for name in changed.split("\0") if name and not (root / name).exists()]
    strays += [WHEELS_LOCK] if WHEELS_LOCK in changed.split("\0") else []
    return Checkout(commit.strip(), sorted(set(strays)))


def _git(root: Path, *words: str) -> str | None:
    """What git prints; None if there is none, or it does not want to."""
    command = ("git", "-c", "core.fsmonitor=false", "-C", str(root), *words)
    try:
        done = subprocess.run(command, check=False, capture_output=True, stdin=subprocess.DEVNULL, text=True)
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None
