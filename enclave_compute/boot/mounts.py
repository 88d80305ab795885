"""The file systems of a running enclave: the image, and three windows of the kernel. All read-only.

Everything lies in the machine's memory, which the hypervisor keeps from everybody else; there is no disk. The
enclave writes no file at all, so nothing needs a writable place.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from enclave_compute.boot.kernel import MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_REMOUNT, mount

_WINDOWS: Final = (
    ("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY),
    ("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY),
    ("devtmpfs", "/dev", "devtmpfs", MS_NOSUID | MS_NOEXEC),
)
DEVICES: Final = frozenset({"console", "nsm", "null", "random", "urandom"})


def mount_windows() -> None:
    """Processes, devices and facts of the machine. Raises `OSError`."""
    for source, target, kind, flags in _WINDOWS:
        mount(source, target, kind, flags)


def remove_devices(folder: Path = Path("/dev")) -> None:
    """Leaves the devices that the enclave uses; there is no other way to reach the rest. Raises `OSError`."""
    for path in folder.iterdir():
        if path.name not in DEVICES:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def make_read_only() -> None:
    """From here on no file or folder can be made, changed or removed, by nobody. Raises `OSError`.

    Devices can still be written to: the security module is asked that way.
    """
    mount("devtmpfs", "/dev", "devtmpfs", MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NOEXEC)
    mount("rootfs", "/", "rootfs", MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV)
