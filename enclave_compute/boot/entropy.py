"""The kernel's random numbers rest on the security module, not on what an idle virtual machine has to offer.

`random(4)`: RNDADDENTROPY mixes bytes in and counts them. Keys are made from both sources all the same
(`enclave_compute.nsm.client`), so that neither alone decides.
"""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path
from typing import Final

from enclave_compute.boot.errors import BootError
from enclave_compute.nsm import Nsm

SEED_BYTES: Final = 256
NSM_SOURCE: Final = "nsm-hwrng"
_SOURCE: Final = Path("/sys/class/misc/hw_random/rng_current")
_RNDADDENTROPY: Final = 0x40085203
"""_IOW('R', 0x03, int[2])."""


def require_module_as_source(*, file: Path = _SOURCE) -> None:
    """Raises `BootError` unless the kernel goes on taking randomness from the security module."""
    source = file.read_text().strip()
    if source != NSM_SOURCE:
        raise BootError(f"source of the kernel's random numbers: got {source}, expected {NSM_SOURCE}")


def seed_kernel(nsm: Nsm, *, device: Path = Path("/dev/random")) -> None:
    """Feeds `SEED_BYTES` of the security module into the kernel's pool. Raises `NsmError` or `OSError`."""
    seed = nsm.random(SEED_BYTES)
    counted = struct.pack("ii", len(seed) * 8, len(seed)) + seed
    with device.open("wb", buffering=0) as pool:
        fcntl.ioctl(pool, _RNDADDENTROPY, counted)
    os.getrandom(1)  # returns once the pool is ready, which it is now
