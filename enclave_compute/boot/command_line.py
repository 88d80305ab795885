"""Whether the kernel was started with the command line that the image was built with.

The registers do not say: kernel and command line are measured as one string, so an operator can move its
first words to the end of the kernel's file and change no register (AWS, "Enclave Image File specification").
Whatever the command line decides therefore holds because process 1 compares it. The hypervisor writes behind
it where the machine's devices are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from enclave_compute.boot.errors import BootError

COMMAND_LINE: Final = (
    "reboot=k panic=-1 pci=off console=ttyS0 quiet i8042.noaux i8042.nomux i8042.nopnp i8042.dumbkbd "
    "random.trust_cpu=on random.trust_bootloader=off clocksource=kvm-clock"
)
"""A panic ends the machine at once, no seed counts but the processor's and the security module's, and the
hypervisor's clock goes before the processor's, which Linux ranks higher where it calls itself invariant. The
rest is what an enclave's few devices need."""
_FILE: Final = Path("/proc/cmdline")


def require_built_command_line(*, file: Path = _FILE) -> None:
    """Raises `BootError` unless the kernel's command line begins with `COMMAND_LINE`, word for word."""
    started = file.read_text(errors="replace").strip()
    if not f"{started} ".startswith(f"{COMMAND_LINE} "):
        raise BootError("the kernel was started with another command line than the image was built with")
