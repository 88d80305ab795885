"""Asks the machine's own apt: which mirror it uses, to fetch from it, and what a suite holds.

apt is Debian's client: it has the proxies, the credentials and the signing keys of this machine. Nothing is
installed and nothing of its state is written: suites are read into a folder of our own, and apt checks
their signatures.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from enclave_compute.image.debian.errors import MirrorError

HELPER: Final = "/usr/lib/apt/apt-helper"
KEYRING: Final = "/usr/share/keyrings/debian-archive-keyring.gpg"
_TIMEOUT_S: Final = 1800
_NOT_THERE: Final = ("  404 ", "  410 ")
_SUMMARY: Final = "E: Download Failed"


def debian_base() -> str | None:
    """The base URL of the Debian archive in the machine's apt configuration, or None."""
    if not shutil.which("apt-get") or not Path(HELPER).exists():
        return None
    finished = _run(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"])
    bases = dict.fromkeys(line.strip().rstrip("/") for line in finished.stdout.splitlines())
    return next((base for base in bases if base.rpartition("/")[2] == "debian"), None)


def download(wanted: Mapping[str, tuple[Path, str]]) -> None:
    """Fetch each URL as the file beside it with that SHA-256. What the mirror no longer has is left out.

    Raises `MirrorError` for anything else that goes wrong.
    """
    arguments = [
        part for url, (path, sha256) in wanted.items() for part in (url, str(path), f"SHA256:{sha256}")
    ]
    finished = _run([HELPER, "-q", "download-file", *arguments])
    errors = [line for line in finished.stderr.splitlines() if line.startswith("E: ")]
    gone = [line for line in errors if any(mark in line for mark in _NOT_THERE)]
    serious = [line for line in errors if line not in gone and line != _SUMMARY]
    if finished.returncode and (serious or not gone):
        raise MirrorError(
            f"apt could not fetch from this machine's mirror: {'; '.join(serious)[:500]}",
            hint="try again later, or let DEBIAN_MIRROR name another mirror",
        )


def suite_index(folder: Path, base: str, suite: str) -> tuple[str, str]:
    """What `suite` holds now: its binary and its source packages, as Debian's control paragraphs.

    apt checks the suite's signature with Debian's keyring. Raises `MirrorError` when it cannot.
    """
    state = folder / suite
    for name in ("lists/partial", "cache/archives/partial"):
        (state / name).mkdir(parents=True, exist_ok=True)
    if not Path(KEYRING).is_file():
        raise MirrorError("Debian's keyring is not here", hint="install debian-archive-keyring")
    lines = [f"{kind} [arch=amd64 signed-by={KEYRING}] {base} {suite} main" for kind in ("deb", "deb-src")]
    (state / "sources.list").write_text("\n".join(lines) + "\n", encoding="ascii")
    (state / "apt.conf").write_text(_private_configuration(state), encoding="utf-8")
    environment = {"APT_CONFIG": str(state / "apt.conf")}
    finished = _run(["apt-get", "update", "--error-on=any"], environment)
    if finished.returncode:
        raise MirrorError(f"apt does not accept {suite}: {finished.stderr.strip()[-500:]}")
    return _lists(state, "Packages", environment), _lists(state, "Sources", environment)


def _lists(state: Path, kind: str, environment: Mapping[str, str]) -> str:
    listed = _run(["apt-get", "indextargets", "--format", "$(FILENAME)", f"Created-By: {kind}"], environment)
    # As apt keeps it, often compressed; the helper opens either.
    found = [name for name in listed.stdout.split() if Path(name).is_relative_to(state)]
    if not found:
        raise MirrorError(f"apt read no list of {kind} into {state.name}")
    return _run([HELPER, "cat-file", *found], environment).stdout


def _private_configuration(state: Path) -> str:
    places = {
        "Dir::State": state,
        "Dir::State::lists": state / "lists",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": state / "cache",
        "Dir::Etc::sourcelist": state / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
    }
    return "".join(f'{name} "{place}";\n' for name, place in places.items()) + 'APT::Sandbox::User "root";\n'


def _run(
    command: list[str], environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C", **(environment or {})},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MirrorError(f"{command[0]} does not run to its end: {error}") from error
