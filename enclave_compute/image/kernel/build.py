"""Builds the enclave's kernel: the same bytes on any x86-64 Linux, or an error.

Inputs: `locks/kernel.lock` (source and compiler), `enclave.config`, one patch, and the scripts below.
Whatever else could leave a trace is fixed: user, host, time, locale, folder. The result is compared with
`locks/kernel.sha256` and kept in the cache under a hash of all inputs, beside its final configuration,
which is part of an image's metadata.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from enclave_compute.image.debian.build_root import BuildRoot, make_build_root
from enclave_compute.image.debian.cache import cache_folder, made_whole
from enclave_compute.image.debian.lock import LOCKS, lock_path, read_lock
from enclave_compute.image.debian.mirror import Say, fetch
from enclave_compute.image.kernel.config import FRAGMENT, read_config, require_as_asked
from enclave_compute.image.kernel.errors import KernelError

PATCH: Final = Path(__file__).parent / "vsock-replies.patch"
PINS: Final = LOCKS / "kernel.sha256"
LOCK: Final = "kernel"
IMAGE: Final = "bzImage"
CONFIG: Final = "config"

_PIN: Final = re.compile(r"([0-9a-f]{64})  (bzImage|config)")
_VERSION: Final = re.compile(r"^# Linux/\S+ (\S+) Kernel Configuration$", re.MULTILINE)
_FIXED: Final = {
    "KBUILD_BUILD_USER": "concordat",
    "KBUILD_BUILD_HOST": "enclave",
    "KBUILD_BUILD_VERSION": "1",
    "KBUILD_BUILD_TIMESTAMP": "Thu Jan  1 00:00:01 UTC 1970",
    "SOURCE_DATE_EPOCH": "1",
}
_CONFIGURE: Final = """
mkdir source
tar --extract --no-same-owner --strip-components=1 --directory=source --file /usr/src/linux-source-*.tar.xz
cd source
patch --strip=1 --fuzz=0 <../vsock-replies.patch
make ARCH=x86_64 KCONFIG_ALLCONFIG=/build/enclave.config allnoconfig
"""
_COMPILE: Final = """
cd source
make ARCH=x86_64 --jobs="$JOBS" bzImage
"""


@dataclass(frozen=True)
class Kernel:
    """A kernel that was built, and the whole configuration it was built with."""

    image: Path
    config: Path

    @property
    def version(self) -> str:
        """As the source calls itself, such as `6.12.117`. Raises `KernelError`."""
        found = _VERSION.search(self.config.read_text(encoding="ascii"))
        if not found:
            raise KernelError(f"{self.config} does not say which kernel it configures")
        return found[1]

    def digests(self) -> dict[str, str]:
        """SHA-256 of both files, by name."""
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (self.image, self.config)
        }


def build_kernel(*, say: Say, cache: Path | None = None) -> Kernel:
    """The pinned kernel, from the cache or built now (some minutes). Raises `KernelError`, `DebianError`."""
    kernel = build_unpinned(say=say, cache=cache)
    got, pinned = kernel.digests(), read_pins(PINS.read_text(encoding="ascii"))
    if got != pinned:
        raise KernelError(
            f"this build gives another kernel than is pinned: got {got}, expected {pinned}",
            hint="if its inputs were changed on purpose: make kernel KERNEL=--pin; otherwise do not use it: "
            f"remove {kernel.image.parent} and build it again",
        )
    return kernel


def build_unpinned(*, say: Say, cache: Path | None = None) -> Kernel:
    """Whatever kernel the inputs give. Only for pinning it, and for comparing two builds."""
    base = cache or cache_folder()
    key = inputs_key()
    folder = base / "kernel" / key
    if not folder.is_dir():
        packages = fetch(read_lock(LOCK).packages, say=say, cache=base)
        with tempfile.TemporaryDirectory(prefix="kernel-", dir=base) as work, made_whole(folder) as fresh:
            say("Unpacking the kernel's source and its compiler")
            root = make_build_root(packages.values(), Path(work) / "root")
            _build(root, fresh, log=folder.with_name(f"{key}.log"), say=say)
    return Kernel(folder / IMAGE, folder / CONFIG)


def read_pins(text: str) -> dict[str, str]:
    """The pinned SHA-256 of both files, by name. Raises `KernelError`."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    found = {match[2]: match[1] for match in map(_PIN.fullmatch, lines) if match}
    if len(lines) != 2 or set(found) != {IMAGE, CONFIG}:
        raise KernelError("kernel.sha256 is not as this project writes it", hint="make kernel KERNEL=--pin")
    return found


def format_pins(digests: dict[str, str]) -> str:
    """The text that `read_pins` reads."""
    head = "# What the kernel's build must give. Written by `make kernel KERNEL=--pin`.\n"
    return head + "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))


def inputs_key() -> str:
    """Names everything that the result depends on: the folder of the cache that it lies in."""
    digest = hashlib.sha256()
    for part in (
        lock_path(LOCK).read_bytes(),
        FRAGMENT.read_bytes(),
        PATCH.read_bytes(),
        repr((_FIXED, _CONFIGURE, _COMPILE)).encode(),
    ):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:32]


def _build(root: BuildRoot, target: Path, *, log: Path, say: Say) -> None:
    log.write_bytes(b"")
    for part in (FRAGMENT, PATCH):
        (root.work / part.name).write_bytes(part.read_bytes())
    root.run(_CONFIGURE, log=log, variables=_FIXED)
    final = root.work / "source" / ".config"
    require_as_asked(read_config(FRAGMENT.read_text()), read_config(final.read_text()))
    say("Compiling the kernel (some minutes)")
    root.run(_COMPILE, log=log, variables={**_FIXED, "JOBS": str(os.cpu_count() or 1)})
    (target / IMAGE).write_bytes((root.work / "source/arch/x86/boot/bzImage").read_bytes())
    (target / CONFIG).write_bytes(final.read_bytes())
